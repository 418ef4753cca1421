//! Lines and columns of byte offsets.

/// A place in a file, both numbers counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// Finds positions in one text.
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl Position {
    pub const START: Self = Self { line: 1, column: 1 };
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
        Self { text, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// Position of a byte; past the end, or inside a character, the nearest one before it.
    pub fn position(&self, byte: usize) -> Position {
        let byte = self.text.floor_char_boundary(byte.min(self.text.len()));
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts[line - 1];
        Position { line, column: self.text[start..byte].chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_at_newlines() {
        let lines = Lines::new("aé\nb\r\n\nc");
        let at = |byte| {
            let Position { line, column } = lines.position(byte);
            (line, column)
        };
        assert_eq!(
            [at(0), at(1), at(3), at(4), at(7), at(8), at(99)],
            [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (4, 1), (4, 2)]
        );
    }
}

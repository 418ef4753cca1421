//! Server-sent events as bytes: Azure's plain framing, and every other framing the standard allows.
//! What the events say is left to the operations.

use bytes::Bytes;

/// How an event is written down. The default is what Azure sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    pub line_end: LineEnd,
    /// `data:{…}` without the blank.
    pub no_space: bool,
    /// A byte order mark before the first event.
    pub bom: bool,
    /// A comment event between events and a comment line inside each.
    pub comments: bool,
    /// The JSON of an event over several `data` lines.
    pub multi_line: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnd {
    #[default]
    Lf,
    CrLf,
    Cr,
}

impl LineEnd {
    fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// The bytes of one event whose data is `payload`, under a name where it has one; `first` if nothing was written before it.
pub fn event(name: Option<&str>, payload: &str, framing: &Framing, first: bool) -> Bytes {
    let end = framing.line_end.text();
    let field = if framing.no_space { "data:" } else { "data: " };
    let mut text = String::with_capacity(payload.len() + 32);
    if framing.bom && first {
        text.push('\u{feff}');
    }
    if framing.comments {
        text.push_str(": between events");
        text.push_str(end);
        text.push_str(end);
        text.push_str(": inside an event");
        text.push_str(end);
    }
    if let Some(name) = name {
        text.push_str(if framing.no_space { "event:" } else { "event: " });
        text.push_str(name);
        text.push_str(end);
    }
    for line in lines(payload, framing.multi_line) {
        text.push_str(field);
        text.push_str(line);
        text.push_str(end);
    }
    text.push_str(end);
    Bytes::from(text)
}

/// A JSON object may be broken behind its first and before its last brace; white space is allowed there.
fn lines(payload: &str, multi_line: bool) -> Vec<&str> {
    let inner = payload.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match inner {
        Some(inner) if multi_line => vec!["{", inner, "}"],
        _ => vec![payload],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framings_differ_and_the_default_is_azure() {
        let write =
            |framing: Framing| String::from_utf8(event(None, "{\"a\":1}", &framing, true).to_vec()).expect("text");
        assert_eq!(write(Framing::default()), "data: {\"a\":1}\n\n");
        assert_eq!(
            write(Framing { line_end: LineEnd::Cr, no_space: true, ..Framing::default() }),
            "data:{\"a\":1}\r\r"
        );
        assert_eq!(write(Framing { bom: true, ..Framing::default() }), "\u{feff}data: {\"a\":1}\n\n");
        let several = Framing { multi_line: true, line_end: LineEnd::CrLf, ..Framing::default() };
        assert_eq!(write(several), "data: {\r\ndata: \"a\":1\r\ndata: }\r\n\r\n");
    }

    #[test]
    fn done_is_never_broken_up() {
        let several = Framing { multi_line: true, ..Framing::default() };
        assert_eq!(event(None, "[DONE]", &several, false), "data: [DONE]\n\n");
    }
}

//! One Rust file as the checks see it: words and the paths they form, comments and literals taken out. It reads tokens, not
//! grammar; what it cannot see (macros that build paths, `use … as`) the compiler's privacy rules see.

/// A source file: its path below the repository's top, its text, and its tokens.
pub struct Source {
    pub path: String,
    pub text: String,
    tokens: Vec<Token>,
}

struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first == '_' || first.is_alphabetic())
    }
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), tokens: tokens(&without_literals(text)) }
    }

    /// The first part of the module path: `pool` for `src/pool/gate.rs`, `snapshot` for `src/snapshot.rs`.
    pub fn folder(&self) -> String {
        self.module().split('/').next().unwrap_or_default().to_owned()
    }

    /// Whether the file is the module `room` or below it; `room` is a path such as `pool/health`.
    pub fn is_in(&self, room: &str) -> bool {
        self.module().strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tokens.iter().filter(|token| token.is_word()).map(|token| (token.line, token.text.as_str()))
    }

    /// The modules that this file declares.
    pub fn modules(&self) -> Vec<String> {
        let pairs = self.tokens.windows(2).filter(|pair| pair[0].text == "mod" && pair[1].is_word());
        pairs.map(|pair| pair[1].text.clone()).collect()
    }

    /// The top-level modules of this crate that the file names, through `crate::`, the crate's own name, or `super::`.
    pub fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, depth) in self.depths() {
            let root = match self.text_at(at) {
                "super" if self.text_at(at.wrapping_sub(2)) != "super" => {
                    let supers = self.tokens[at..].iter().step_by(2).take_while(|token| token.text == "super").count();
                    (supers == depth).then_some(at + 2 * (supers - 1))
                }
                // `pub(in crate::pool)` says who may look in, not what is looked at.
                "crate" if self.text_at(at.wrapping_sub(1)) != "in" => Some(at),
                "azgate" => Some(at),
                _ => None,
            };
            if let Some(root) = root.filter(|root| self.text_at(root + 1) == "::") {
                let names = self.branches(root + 2);
                found.extend(names.into_iter().map(|name| (self.tokens[name].line, self.tokens[name].text.clone())));
            }
        }
        found
    }

    /// Every path that stands in the file, groups written out: `std::{fs, mem}` is `std::fs` and `std::mem`.
    pub fn paths(&self) -> Vec<(usize, String)> {
        let starts = |at: usize| self.tokens[at].is_word() && self.text_at(at + 1) == "::";
        let continues = |at: usize| at > 0 && matches!(self.text_at(at - 1), "::");
        let mut found = Vec::new();
        for at in (0..self.tokens.len()).filter(|&at| starts(at) && !continues(at)) {
            self.write_out(at, "", &mut found);
        }
        found
    }

    /// Lines of the file, less its inline `#[cfg(test)]` modules.
    pub fn lines_without_tests(&self) -> usize {
        let mut count = self.text.lines().count();
        let marker: Vec<&str> = "# [ cfg ( test ) ] mod".split(' ').collect();
        for at in 0..self.tokens.len() {
            let here = || marker.iter().enumerate().all(|(step, text)| self.text_at(at + step) == *text);
            let open = at + marker.len() + 1;
            if here() && self.text_at(open) == "{" {
                count -= self.tokens[self.close(open)].line - self.tokens[at].line + 1;
            }
        }
        count
    }

    /// `pool/gate` for `src/pool/gate.rs`, `pool` for `src/pool/mod.rs`.
    fn module(&self) -> &str {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs")).unwrap_or(path)
    }

    fn text_at(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    /// Each token's index with the number of modules around it: how many `super` lead from there to the crate's root.
    fn depths(&self) -> Vec<(usize, usize)> {
        let outer =
            if self.folder() == "lib" || self.folder() == "main" { 0 } else { self.module().split('/').count() };
        let mut inner: Vec<usize> = Vec::new();
        let mut depths = Vec::new();
        for at in 0..self.tokens.len() {
            if self.text_at(at) == "mod" && self.text_at(at + 2) == "{" {
                inner.push(self.close(at + 2));
            }
            inner.retain(|&close| close > at);
            depths.push((at, outer + inner.len()));
        }
        depths
    }

    /// Indexes of the next path segments at `at`: one name, or the first name of each branch of a group.
    fn branches(&self, at: usize) -> Vec<usize> {
        if self.text_at(at) != "{" {
            return vec![at];
        }
        let close = self.close(at);
        let mut names = Vec::new();
        let mut next = at + 1;
        while next < close {
            match self.text_at(next) {
                "," => {}
                "{" => next = self.close(next),
                _ if matches!(self.text_at(next - 1), "{" | ",") => names.push(next),
                _ => {}
            }
            next += 1;
        }
        names
    }

    fn write_out(&self, at: usize, before: &str, found: &mut Vec<(usize, String)>) {
        let path = format!("{before}{}", self.text_at(at));
        if self.text_at(at + 1) != "::" {
            found.push((self.tokens[at].line, path));
            return;
        }
        for next in self.branches(at + 2).into_iter().filter(|&next| next < self.tokens.len()) {
            self.write_out(next, &format!("{path}::"), found);
        }
    }

    /// The index of the `}` that ends the group opened at `open`.
    fn close(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for at in open..self.tokens.len() {
            match self.text_at(at) {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len() - 1
    }
}

/// The text with comments and the insides of literals blanked out, lines kept.
fn without_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped =
            comment(rest).or_else(|| raw_string(rest, &code)).or_else(|| string(rest)).or_else(|| character(rest));
        let (length, keep) = skipped.map_or((first.len_utf8(), true), |length| (length, false));
        let (head, tail) = rest.split_at(length);
        if keep {
            code.push_str(head);
        } else {
            code.push(' ');
            code.extend(head.matches('\n'));
        }
        rest = tail;
    }
    code
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (1, 2);
    while depth > 0 && at < text.len() {
        let step = match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => 1,
            Some(b"*/") => -1,
            _ => 0,
        };
        depth += step;
        at += if step == 0 { 1 } else { 2 };
    }
    Some(at)
}

/// `r"…"`, `r#"…"#` and so on, unless the `r` ends a longer word; the `b` or `c` of `br"…"` is a word of its own here.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    let tail = text.strip_prefix('r')?;
    let hashes = tail.len() - tail.trim_start_matches('#').len();
    let inside = tail[hashes..].strip_prefix('"')?;
    let word: String = before.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if !matches!(word.as_str(), "" | "b" | "c") {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(text.len() - inside.len() + length)
}

fn string(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    let close = inside.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    Some(close.map_or(text.len(), |at| at + 2))
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        return inside[2..].find('\'').map(|at| at + 4);
    }
    inside[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            let length = if word > 0 {
                word
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, tail) = rest.split_at(length);
            tokens.push(Token { line: number + 1, text: token.to_owned() });
            rest = tail.trim_start();
        }
    }
    tokens
}

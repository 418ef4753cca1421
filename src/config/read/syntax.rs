//! Strict JSON from text to tree: no comments, no trailing commas, no single quotes, no name twice in one object.

use jsonc_parser::{
    CollectOptions, ParseOptions, Scanner, ScannerOptions,
    ast::{self, ObjectPropName},
    common::Ranged,
    errors::{ParseError, ParseErrorKind},
    tokens::Token,
};

use super::{
    place::{Finding, Spot},
    position::Lines,
    tree::{Element, List, Member, Node, Object, Value},
};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads a document. Problems that do not hinder reading on (a name that occurs twice) come beside the tree.
pub fn parse(text: &str) -> Result<(Node, Vec<Finding>), Finding> {
    // A byte order mark is what some Windows editors put in front; it is no part of the document.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::new(text);
    let collect = CollectOptions::default();
    let parsed = jsonc_parser::parse_to_ast(text, &collect, &STRICT).map_err(|error| explain(&error, text, &lines))?;
    let Some(value) = parsed.value else {
        return Err(finding(&lines, 0, "the file is empty", "expected a JSON object"));
    };
    let mut planter = Planter { text, lines: &lines, next: 0, findings: Vec::new() };
    let root = planter.node(&value);
    Ok((root, planter.findings))
}

struct Planter<'a> {
    text: &'a str,
    lines: &'a Lines<'a>,
    next: u32,
    findings: Vec<Finding>,
}

impl Planter<'_> {
    fn node(&mut self, value: &ast::Value<'_>) -> Node {
        let id = self.next;
        self.next += 1;
        let at = self.lines.position(value.start());
        let value = match value {
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
            ast::Value::NumberLit(literal) => Value::Number(literal.value.to_owned()),
            ast::Value::StringLit(literal) => self.string(id, literal),
            ast::Value::Array(array) => {
                let elements = array.elements.iter().enumerate();
                let elements = elements.map(|(index, value)| Element { index, node: self.node(value) }).collect();
                Value::List(List { elements, gaps: false })
            }
            ast::Value::Object(object) => Value::Object(self.object(id, object)),
        };
        Node { id, at, value }
    }

    fn string(&mut self, id: u32, literal: &ast::StringLit<'_>) -> Value {
        if literal.text(self.text).bytes().any(|byte| byte < b' ') {
            let (at, spot) = (self.lines.position(literal.start()), Spot::Node(id));
            let (message, hint) = ("this string holds a raw control character", "write it as an escape such as `\\n`");
            self.findings.push(Finding { at, spot, message: message.to_owned(), hint: Some(hint.to_owned()) });
        }
        Value::Text(literal.value.as_ref().to_owned())
    }

    fn object(&mut self, id: u32, object: &ast::Object<'_>) -> Object {
        let mut first = std::collections::HashMap::new();
        let mut members = Vec::with_capacity(object.properties.len());
        for property in &object.properties {
            let name = match &property.name {
                ObjectPropName::String(literal) => literal.value.as_ref(),
                ObjectPropName::Word(literal) => literal.value,
            };
            let at = self.lines.position(property.start());
            if let Some(earlier) = first.get(name) {
                let super::Position { line, column } = *earlier;
                self.findings.push(Finding {
                    at,
                    spot: Spot::Member(id, name.to_owned()),
                    message: "this name stands here a second time".to_owned(),
                    hint: Some(format!("keep this one or the one at {line}:{column}")),
                });
                continue;
            }
            first.insert(name.to_owned(), at);
            members.push(Member { name: name.to_owned(), at, node: self.node(&property.value) });
        }
        Object { members, dropped: Vec::new() }
    }
}

/// A syntax error in words that say what was expected.
fn explain(error: &ParseError, text: &str, lines: &Lines<'_>) -> Finding {
    if let Some(start) = unclosed_string(text) {
        return finding(lines, start, "this string does not end on its line", "close it with `\"`");
    }
    use ParseErrorKind::*;
    let (message, hint) = match error.kind() {
        CommentsNotAllowed | UnterminatedCommentBlock => ("comments are no part of JSON", "remove it"),
        TrailingCommasNotAllowed => ("there is a comma after the last entry", "remove it"),
        ExpectedComma => ("something is missing between two entries", "expected `,`"),
        ExpectedColonAfterObjectKey => ("something is missing after a field's name", "expected `:`"),
        ExpectedObjectValue => ("the file ends after a field's name", "expected a value"),
        ExpectedStringObjectProperty => ("this is no field name", "expected a name in double quotes"),
        SingleQuotedStringsNotAllowed => ("single quotes are no part of JSON", "use double quotes"),
        HexadecimalNumbersNotAllowed => ("hexadecimal numbers are no part of JSON", "write it in decimal"),
        UnaryPlusNumbersNotAllowed => ("this number begins with `+`", "leave the sign out"),
        BareDecimalPointNumbersNotAllowed => ("this number has no digit beside its point", "write it like `0.5`"),
        NonFiniteNumbersNotAllowed => ("infinity and NaN are no JSON numbers", "expected a finite number"),
        ExpectedDigit | ExpectedDigitFollowingNegativeSign | ExpectedPlusMinusOrDigitInNumberLiteral => {
            ("this number is incomplete", "expected a digit")
        }
        MultipleRootJsonValues => ("something follows after the end of the document", "expected the end of the file"),
        UnterminatedObject => ("this object is never closed", "expected `}`"),
        UnterminatedArray => ("this list is never closed", "expected `]`"),
        UnexpectedTokenInObject => ("this is no field", "expected a name in double quotes, or `}`"),
        NestingDepthExceeded => ("the document is nested too deeply", "expected at most 512 levels"),
        String(_) => ("this string is not valid", "expected an escape that JSON knows, and a closing `\"`"),
        _ => ("this is no JSON value", "expected an object, list, string, number, `true`, `false` or `null`"),
    };
    finding(lines, error.range().start, message, hint)
}

/// Start of the first string that runs past the end of its line. The parser reads on to the next quotation mark and
/// then complains at a place that has nothing to do with the mistake.
fn unclosed_string(text: &str) -> Option<usize> {
    let options = ScannerOptions { allow_single_quoted_strings: false, ..ScannerOptions::default() };
    let mut scanner = Scanner::new(text, &options);
    loop {
        match scanner.scan() {
            Ok(Some(Token::String(_))) if text[scanner.token_start()..scanner.token_end()].contains('\n') => {
                return Some(scanner.token_start());
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

fn finding(lines: &Lines<'_>, byte: usize, message: &str, hint: &str) -> Finding {
    Finding { at: lines.position(byte), spot: Spot::Text, message: message.to_owned(), hint: Some(hint.to_owned()) }
}

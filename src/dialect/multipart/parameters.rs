//! The parameters of a form's headers: the boundary, and what a part is called.

/// RFC 2046, section 5.1.1.
const LONGEST_BOUNDARY: usize = 70;

/// The boundary that a content type names.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (media, parameters) = content_type.split_once(';')?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary")?;
    let fits =
        (1..=LONGEST_BOUNDARY).contains(&boundary.len()) && boundary.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    fits.then_some(boundary)
}

/// What the head of a part says of it.
pub(super) struct Disposition {
    pub name: String,
    pub filename: Option<String>,
}

/// `None` as well where two readers could find two names: more than one of these headers, one that goes on in a second line, a
/// line that ends otherwise than the others, a name that is given twice or in two ways.
pub(super) fn disposition(head: &str) -> Option<Disposition> {
    let lines = || head.split("\r\n");
    if lines().any(|line| line.starts_with([' ', '\t']) || line.contains(['\r', '\n', '\0'])) {
        return None;
    }
    let is_disposition = |name: &str| name.trim().eq_ignore_ascii_case("content-disposition");
    let mut values = lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| is_disposition(name))
        .map(|(_, value)| value);
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (kind, text) = value.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let all = parameters(text);
    let value = |wanted: &str| {
        let mut values = all.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
        (values.next().cloned(), values.next().is_some())
    };
    let ((Some(name), false), (None, false)) = (value("name"), value("name*")) else { return None };
    let filename = value("filename*").0.or(value("filename").0);
    Some(Disposition { name, filename })
}

/// One of the parameters `a=b; c="d"`.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    parameters(text).into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}

/// The parameters `a=b; c="d"`, up to the first that is none.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([';', ' ', '\t']);
        let Some((name, rest)) = text.split_once('=') else { return found };
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => match quoted_text(quoted) {
                Some(quoted) => quoted,
                None => return found,
            },
            None => {
                let end = rest.find(';').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        found.push((name.trim().to_owned(), value));
        text = rest;
    }
}

/// The text up to the closing quote, and what follows.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &text[at + 1..])),
            _ => value.push(c),
        }
    }
    None
}

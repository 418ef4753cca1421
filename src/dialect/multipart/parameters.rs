//! The parameters of a form's headers: the boundary, and what a part is called.

/// RFC 2046, section 5.1.1.
const LONGEST_BOUNDARY: usize = 70;

/// The boundary that a content type names. `None` as well where two readers could find two: other parameters than the
/// usual ones, escapes, marks that end a value for some.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (media, text) = content_type.split_once(';')?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") || text.contains('\\') {
        return None;
    }
    let all = parameters(text)?;
    let boundary = once(&all, "boundary")?.filter(|_| has_only(&all, &["boundary", "charset"]))?;
    let fits = (1..=LONGEST_BOUNDARY).contains(&boundary.len())
        && boundary.trim_matches(' ').len() == boundary.len()
        && boundary.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    fits.then(|| boundary.clone())
}

/// Whether the head of a part says that its content is written in another way than it is meant.
pub(super) fn is_encoded(head: &str) -> bool {
    let is_plain = |encoding: &str| ["7bit", "8bit", "binary"].iter().any(|plain| plain.eq_ignore_ascii_case(encoding));
    values(head, "content-transfer-encoding").any(|encoding| !is_plain(encoding.trim()))
}

/// What the lines of a head that have this name say.
fn values<'a>(head: &'a str, wanted: &'static str) -> impl Iterator<Item = &'a str> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.filter(move |(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}

/// What the head of a part says of it.
pub(super) struct Disposition {
    pub name: String,
    pub filename: Option<String>,
}

/// `None` as well where two readers could find two names: more than one of these headers, one that goes on in a second line, a
/// line that ends otherwise than the others, a name that is given twice, in two ways or in letters that some decode,
/// parameters that some put together or pass over, an escaped quote.
pub(super) fn disposition(head: &str) -> Option<Disposition> {
    let is_odd = |c: char| c.is_control() && c != '\t';
    if head.split("\r\n").any(|line| line.starts_with([' ', '\t']) || line.contains(is_odd)) {
        return None;
    }
    let mut values = values(head, "content-disposition");
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (kind, text) = value.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") || text.contains("\\\"") {
        return None;
    }
    let all = parameters(text)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-[]".contains(&byte);
    let name = once(&all, "name")?.filter(|name| !name.is_empty() && name.bytes().all(is_plain))?.clone();
    if !has_only(&all, &["name", "filename", "filename*"]) {
        return None;
    }
    let (plain, encoded) = (once(&all, "filename")?, once(&all, "filename*")?);
    Some(Disposition { name, filename: encoded.or(plain).cloned() })
}

fn has_only(all: &[(String, String)], usual: &[&str]) -> bool {
    all.iter().all(|(name, _)| usual.iter().any(|usual| usual.eq_ignore_ascii_case(name)))
}

/// The value of a parameter that may be given once; `None` when it is given more often.
fn once<'a>(all: &'a [(String, String)], wanted: &str) -> Option<Option<&'a String>> {
    let mut values = all.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let first = values.next();
    values.next().is_none().then_some(first)
}

/// The parameters `a=b; c="d"`; `None` when the text has anything else.
fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let blank = [' ', '\t'];
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([';', ' ', '\t']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, rest) = text.split_once('=')?;
        let name = name.trim_matches(blank);
        if name.is_empty() || name.contains([';', '"', ' ', '\t']) {
            return None;
        }
        let rest = rest.trim_start_matches(blank);
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = rest.find(';').unwrap_or(rest.len());
                let value = rest[..end].trim_matches(blank);
                if value.contains(['"', ',', ' ', '\t']) {
                    return None;
                }
                (value.to_owned(), &rest[end..])
            }
        };
        text = rest.trim_start_matches(blank);
        if !(text.is_empty() || text.starts_with(';')) {
            return None;
        }
        found.push((name.to_owned(), value));
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

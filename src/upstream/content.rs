//! The content of an answer over HTTP/1.1, cut out of what arrives without copying it (RFC 9112, sections 6 and 7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, HeaderValue};

use super::answer::{Malformed, shown};

/// Longest line before a chunk, with what extends its size.
const LONGEST_LINE: usize = 4 * 1024;

/// Most bytes of such lines beyond [`PLAIN_LINE`] each, over the whole content: what is cut out of a buffer keeps all of it.
const MOST_EXTENDED: usize = 16 * 1024;
const PLAIN_LINE: usize = 20;

/// Digits of a size, leading zeros among them.
const MOST_DIGITS: usize = 16;

/// Most bytes of trailer fields, which are read over.
const LONGEST_TRAILER: usize = 64 * 1024;

/// Content, as far as it was not taken yet.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// So many bytes are left.
    Exactly(u64),
    Chunked(Chunks),
    UntilClosed,
}

/// Chunks, as far as they were not taken yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    place: Place,
    /// What sizes were extended by.
    extended: usize,
}

/// Where in chunks their reader stands.
#[derive(Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the line with the size of the next chunk.
    #[default]
    Size,
    /// So many bytes of a chunk are left.
    Data(u64),
    /// Behind the bytes of a chunk, before the end of its line.
    DataEnd,
    /// In the trailer, of which so many bytes were read.
    Trailer(usize),
    Over,
}

/// What could be taken of content.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Some(Bytes),
    /// Nothing until more has arrived.
    Nothing,
    /// It is over.
    End,
}

impl Content {
    /// Takes the next piece from the front of what has arrived.
    ///
    /// # Errors
    /// When what should frame a chunk does not.
    pub fn take(&mut self, arrived: &mut BytesMut) -> Result<Taken, Malformed> {
        Ok(match self {
            Self::Exactly(0) => Taken::End,
            Self::Exactly(left) => piece(left, arrived),
            Self::Chunked(chunks) => return chunks.take(arrived),
            Self::UntilClosed if arrived.is_empty() => Taken::Nothing,
            Self::UntilClosed => Taken::Some(arrived.split().freeze()),
        })
    }

    /// Whether all of it was taken, and the connection is open.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Exactly(0) | Self::Chunked(Chunks { place: Place::Over, .. }))
    }
}

/// At most so many bytes of what has arrived.
fn piece(left: &mut u64, arrived: &mut BytesMut) -> Taken {
    if arrived.is_empty() {
        return Taken::Nothing;
    }
    let length = usize::try_from(*left).map_or(arrived.len(), |left| left.min(arrived.len()));
    *left -= length as u64;
    Taken::Some(arrived.split_to(length).freeze())
}

impl Chunks {
    fn take(&mut self, arrived: &mut BytesMut) -> Result<Taken, Malformed> {
        loop {
            let next = match &mut self.place {
                Place::Size => size(arrived, &mut self.extended)?,
                Place::Data(left) => {
                    let taken = piece(left, arrived);
                    if *left == 0 {
                        self.place = Place::DataEnd;
                    }
                    return Ok(taken);
                }
                Place::DataEnd => data_end(arrived)?,
                Place::Trailer(read) => trailer(*read, arrived)?,
                Place::Over => return Ok(Taken::End),
            };
            match next {
                Some(next) => self.place = next,
                None => return Ok(Taken::Nothing),
            }
        }
    }
}

/// Extensions of a size are read over (RFC 9112, section 7.1.1).
fn size(arrived: &mut BytesMut, extended: &mut usize) -> Result<Option<Place>, Malformed> {
    let window = &arrived[..arrived.len().min(LONGEST_LINE)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < LONGEST_LINE { Ok(None) } else { Err(no_size(window)) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or_else(|| no_size(window))?;
    let digits = line.split(|byte| b"; \t".contains(byte)).next().unwrap_or(line);
    let blank = line[digits.len()..].iter().take_while(|byte| **byte != b';').all(|byte| b" \t".contains(byte));
    let size = hexadecimal(digits).filter(|_| blank).ok_or_else(|| no_size(line))?;
    *extended += line.len().saturating_sub(PLAIN_LINE);
    if line.contains(&b'\r') || *extended > MOST_EXTENDED {
        return Err(no_size(line));
    }
    arrived.advance(end + 1);
    Ok(Some(if size == 0 { Place::Trailer(0) } else { Place::Data(size) }))
}

/// A number of digits alone: the standard's reader takes a sign as well.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn no_size(line: &[u8]) -> Malformed {
    Malformed(format!("`{}` is not the size of a chunk", shown(line)))
}

fn data_end(arrived: &mut BytesMut) -> Result<Option<Place>, Malformed> {
    match arrived.get(..2) {
        Some(b"\r\n") => {
            arrived.advance(2);
            Ok(Some(Place::Size))
        }
        None if b"\r".starts_with(arrived) => Ok(None),
        _ => Err(Malformed("a chunk does not end where its size says".to_owned())),
    }
}

/// Trailer fields are nobody's business here, but where they end is (RFC 9112, section 7.1.2).
fn trailer(read: usize, arrived: &mut BytesMut) -> Result<Option<Place>, Malformed> {
    let end = memchr::memchr(b'\n', arrived);
    if read + end.unwrap_or(arrived.len()) > LONGEST_TRAILER {
        return Err(Malformed(format!("its trailer is longer than {} KiB", LONGEST_TRAILER / 1024)));
    }
    let Some(end) = end else { return Ok(None) };
    let line = arrived[..end].strip_suffix(b"\r");
    let line = line.filter(|line| line.is_empty() || is_field(line));
    let line = line.ok_or_else(|| Malformed(format!("`{}` is no field of a trailer", shown(&arrived[..end]))))?;
    let over = line.is_empty();
    arrived.advance(end + 1);
    Ok(Some(if over { Place::Over } else { Place::Trailer(read + end + 1) }))
}

fn is_field(line: &[u8]) -> bool {
    let colon = memchr::memchr(b':', line);
    colon.is_some_and(|colon| {
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        HeaderName::from_bytes(name).is_ok() && HeaderValue::from_bytes(value).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that can be taken while `pieces` arrive, and what is left over; whether the end was found.
    fn read(mut content: Content, pieces: &[&[u8]]) -> Result<(Vec<u8>, BytesMut, bool), Malformed> {
        let (mut all, mut arrived) = (Vec::new(), BytesMut::new());
        for piece in pieces {
            arrived.extend_from_slice(piece);
            loop {
                match content.take(&mut arrived)? {
                    Taken::Some(bytes) => all.extend_from_slice(&bytes),
                    Taken::Nothing => break,
                    Taken::End => return Ok((all, arrived, true)),
                }
            }
        }
        Ok((all, arrived, false))
    }

    fn chunked(text: &[u8]) -> Result<(Vec<u8>, BytesMut, bool), Malformed> {
        read(Content::Chunked(Chunks::default()), &[text])
    }

    #[test]
    fn a_body_of_known_length_leaves_what_follows_it() {
        let (all, left, over) = read(Content::Exactly(5), &[b"ab", b"cdefg"]).unwrap();
        assert_eq!((&all[..], &left[..], over), (&b"abcde"[..], &b"fg"[..], true));
        assert!(!read(Content::Exactly(5), &[b"abcd"]).unwrap().2);
        assert!(read(Content::Exactly(0), &[b"ab"]).unwrap().2);
        assert!(!read(Content::UntilClosed, &[b"ab"]).unwrap().2);
    }

    #[test]
    fn chunks_in_all_their_forms() {
        for (text, body) in [
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
            ("5;a=b;c=\"d;e\"\r\nhello\r\n0;x\r\n\r\n", "hello"),
            ("5 \t\r\nhello\r\n000\r\n\r\n", "hello"),
            ("0000000000000005\r\nhello\r\n0\r\nx: y\r\nz: \r\n\r\n", "hello"),
            ("0\r\n\r\n", ""),
            ("C\r\nhello\r\n0\r\n\r\n\r\n0\r\n\r\n", "hello\r\n0\r\n\r\n"),
        ] {
            let (all, left, over) = chunked(text.as_bytes()).unwrap();
            assert_eq!((&all[..], left.len(), over), (body.as_bytes(), 0, true), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_chunk_is_no_end() {
        for text in [
            "\r\n",
            "\r\n\r\n",
            ";\r\n",
            " 5\r\nhello",
            "-1\r\n",
            "+5\r\nhello",
            "0x5\r\nhello",
            "5g\r\nhello",
            "5\nhello",
            "g\r\n",
            "5;a\nb\r\nhello",
            "5;a\rb\r\nhello",
            "5\r\nhelloX\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\rX",
            "10000000000000000\r\n",
            "00000000000000005\r\nhello",
            "0\r\n\n",
            "0\r\nx: y\n\r\n",
            "0\r\nHTTP/1.1 200 OK\r\n",
            "0\r\nx y: z\r\n",
            "0\r\nx: \0\r\n",
            "0\r\nx: y\r\r\n\r\n",
            "5\x0c\r\nhello",
            "5 5\r\nhello",
            "{}\r\n",
        ] {
            assert!(chunked(text.as_bytes()).is_err(), "{text:?}");
        }
        let extended = |length: usize| chunked(format!("5;{}", "x".repeat(length)).as_bytes());
        assert!(extended(LONGEST_LINE - 3).is_ok());
        assert!(extended(LONGEST_LINE - 2).is_err());
        let many =
            |count: usize| chunked(format!("1;{}\r\na\r\n", "x".repeat(PLAIN_LINE + 998)).repeat(count).as_bytes());
        assert!(many(MOST_EXTENDED / 1_000).is_ok());
        assert!(many(MOST_EXTENDED / 1_000 + 1).is_err());
        assert!(chunked(format!("0\r\nx: {}\r\n", "y".repeat(LONGEST_TRAILER)).as_bytes()).is_err());
        assert!(chunked(format!("0\r\n{}", "x: y\r\n".repeat(LONGEST_TRAILER / 5)).as_bytes()).is_err());
    }

    #[test]
    fn an_end_is_seen_only_where_it_is() {
        let whole = b"5\r\nhello\r\n0\r\nx: y\r\n\r\n";
        for end in 0..whole.len() {
            assert!(!chunked(&whole[..end]).unwrap().2, "{end}");
        }
        assert!(chunked(whole).unwrap().2);
    }

    proptest! {
        #[test]
        fn however_it_is_cut(
            chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..40), "(;[a-z]{0,5})?"), 0..6),
            trailer in "(x: [a-z]{0,9}\r\n){0,2}",
            cuts in prop::collection::vec(0usize..300, 0..8),
            after in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let (mut text, mut whole) = (Vec::new(), Vec::new());
            for (chunk, extension) in &chunks {
                text.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
                whole.extend_from_slice(chunk);
            }
            text.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
            let end = text.len();
            text.extend_from_slice(&after);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(end)).collect();
            cuts.sort_unstable();
            let bounds: Vec<usize> = std::iter::once(0).chain(cuts).chain([text.len()]).collect();
            let pieces: Vec<&[u8]> = bounds.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let (all, left, over) = read(Content::Chunked(Chunks::default()), &pieces).unwrap();
            // What comes after the end may not have been looked at yet.
            prop_assert!(over && after.starts_with(&left));
            prop_assert_eq!(all, whole);
        }
    }
}

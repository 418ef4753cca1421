//! A line of the log as it is put together: an object in JSON (RFC 8259) on one line. Its names are put in as they stand
//! in the program, and texts are escaped only where they have to be: a serializer looks at each letter of sixty names and
//! values for every request.

use std::cell::Cell;
use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;

/// Most lines are shorter.
const LENGTH: usize = 1024;

/// A member's name with the comma before it and the colon behind it; [`name!`] makes them.
#[derive(Debug, Clone, Copy)]
pub struct Name(pub &'static str);

/// The name of a member of a [`Line`].
macro_rules! name {
    ($name:literal) => {
        $crate::telemetry::line::Name(concat!(",\"", $name, "\":"))
    };
}
pub(crate) use name;

/// What was written so far, without the last brace.
#[derive(Debug)]
pub struct Line(Vec<u8>);

impl Line {
    /// A line that tells of an event of this moment.
    pub fn new(level: &str, event: &str) -> Self {
        let mut line = Self(Vec::with_capacity(LENGTH));
        line.0.extend_from_slice(b"{\"ts\":\"");
        line.moment(Timestamp::now());
        line.0.push(b'"');
        line.text(name!("level"), level);
        line.text(name!("event"), event);
        line
    }

    pub fn text(&mut self, name: Name, text: &str) {
        self.name(name);
        self.string(text);
    }

    /// Nothing where there is none.
    pub fn text_if(&mut self, name: Name, text: Option<&str>) {
        text.into_iter().for_each(|text| self.text(name, text));
    }

    pub fn number(&mut self, name: Name, number: u64) {
        self.name(name);
        self.digits(number);
    }

    pub fn number_if(&mut self, name: Name, number: Option<u64>) {
        number.into_iter().for_each(|number| self.number(name, number));
    }

    pub fn boolean(&mut self, name: Name, is: bool) {
        self.name(name);
        self.0.extend_from_slice(if is { b"true" } else { b"false" });
    }

    /// Told only where it is so.
    pub fn mark(&mut self, name: Name, is: bool) {
        if is {
            self.boolean(name, is);
        }
    }

    /// Milliseconds, to the microsecond.
    pub fn millis(&mut self, name: Name, time: Duration) {
        self.name(name);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.digits(micros / 1_000);
        self.0.push(b'.');
        self.thousandths(micros % 1_000);
    }

    /// A member that is an object with these members.
    pub fn object(&mut self, name: Name, members: impl FnOnce(&mut Self)) {
        self.name(name);
        self.braced(members);
    }

    /// A list of objects.
    pub fn list<T>(&mut self, name: Name, items: impl IntoIterator<Item = T>, mut members: impl FnMut(&mut Self, T)) {
        self.name(name);
        self.0.push(b'[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.0.push(b',');
            }
            self.braced(|line| members(line, item));
        }
        self.0.push(b']');
    }

    /// The whole line, with its end.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"}\n");
        self.0
    }

    fn name(&mut self, name: Name) {
        self.0.extend_from_slice(name.0.as_bytes());
    }

    fn braced(&mut self, members: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        members(self);
        // The comma before the first member is in the place of the brace.
        match self.0.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => self.0.push(b'{'),
        }
        self.0.push(b'}');
    }

    fn string(&mut self, text: &str) {
        // Without a branch for each byte, so that many are looked at together.
        let odd = text.bytes().fold(false, |odd, byte| odd | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
        if odd {
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut self.0, text);
            return;
        }
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    fn digits(&mut self, number: u64) {
        let _ = serde_json::to_writer(&mut self.0, &number);
    }

    /// Three digits of a number below a thousand.
    fn thousandths(&mut self, number: u64) {
        self.0.extend([number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8));
    }

    /// RFC 3339 with milliseconds. The second is put in words once for all lines that a thread writes in it.
    fn moment(&mut self, moment: Timestamp) {
        const SECOND: usize = "2026-11-29T12:00:00".len();
        thread_local! {
            static LAST: Cell<(i64, [u8; SECOND])> = const { Cell::new((i64::MIN, [0; SECOND])) };
        }
        let millis = moment.as_millisecond();
        let (second, thousandths) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
        let (known, mut words) = LAST.get();
        if known != second {
            let _ = write!(&mut words[..], "{}", Timestamp::from_second(second).unwrap_or_default());
            LAST.set((second, words));
        }
        self.0.extend_from_slice(&words);
        self.0.push(b'.');
        self.thousandths(thousandths as u64);
        self.0.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(line: Line) -> Value {
        let bytes = line.finish();
        assert_eq!(bytes.iter().position(|byte| *byte == b'\n'), Some(bytes.len() - 1), "one line");
        let mut value: Value = serde_json::from_slice(&bytes).unwrap();
        value.as_object_mut().unwrap().remove("ts").unwrap();
        value
    }

    #[test]
    fn members_stand_as_they_were_put() {
        let mut line = Line::new("info", "request");
        line.number_if(name!("none"), None);
        line.mark(name!("not"), false);
        line.boolean(name!("stream"), false);
        line.millis(name!("duration_ms"), Duration::from_micros(12_034));
        line.object(name!("empty"), |_| {});
        line.list(name!("nobody"), [0; 0], |_, _| {});
        line.list(name!("tried"), [1, 2], |line, number| {
            line.number(name!("number"), number);
            line.text_if(name!("text"), Some("a"));
        });
        line.object(name!("usage"), |line| line.number(name!("input"), u64::MAX));
        let expected = json!({
            "level": "info", "event": "request", "stream": false, "duration_ms": 12.034, "empty": {}, "nobody": [],
            "tried": [{"number": 1, "text": "a"}, {"number": 2, "text": "a"}], "usage": {"input": u64::MAX},
        });
        assert_eq!(read(line), expected);
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_764_417_600_007, "2025-11-29T12:00:00.007Z"),
            (1_764_417_600_999, "2025-11-29T12:00:00.999Z"),
            (1_764_417_601_000, "2025-11-29T12:00:01.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            let mut line = Line(Vec::new());
            line.moment(Timestamp::from_millisecond(millis).unwrap());
            assert_eq!(String::from_utf8(line.0).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read_again(text in "\\PC*|[\\x00-\\x7f]*", time in 0..u64::from(u32::MAX)) {
            let mut line = Line::new("warn", &text);
            line.millis(name!("time"), Duration::from_millis(time));
            let value = read(line);
            prop_assert_eq!(value["event"].as_str(), Some(text.as_str()));
            prop_assert_eq!(value["time"].as_f64(), Some(time as f64));
        }
    }
}

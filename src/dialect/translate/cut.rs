//! Stop sequences, for upstreams that know none: what the model says is cut in front of the first one. Only what may be the
//! beginning of a sequence is held back, so the rest is told as it comes, and no splitting changes where the cut is.

use super::answer::{Failure, Stop, Tell};
use super::refused::Refused;
use super::request::Proof;
use crate::dialect::usage::Usage;

/// Sequences that are looked for, and the bytes of one: each part of an answer is searched for all of them.
const MOST: usize = 64;
const LONGEST: usize = 1024;

/// Looks for stop sequences in the text of one answer. Thoughts and the arguments of calls have none.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    stops: Vec<String>,
    /// The end of what was said: the longest one that a sequence may begin with.
    held: String,
    /// The sequence at which the answer ends.
    struck: Option<String>,
    /// The end was told.
    over: bool,
}

/// Tells on what comes before the cut.
pub struct Cutting<'a> {
    cut: &'a mut Cut,
    to: &'a mut dyn Tell,
}

/// # Errors
/// When a sequence cannot be looked for.
pub fn check(stops: &[String]) -> Result<(), Refused> {
    if stops.len() > MOST || stops.iter().any(|stop| stop.is_empty() || stop.len() > LONGEST) {
        return Err(Refused::invalid("stop_sequences", "at most 64 texts of 1 to 1,024 bytes each"));
    }
    Ok(())
}

impl Cut {
    pub fn new(stops: &[String]) -> Self {
        Self { stops: stops.to_vec(), ..Self::default() }
    }

    pub fn telling<'a>(&'a mut self, to: &'a mut dyn Tell) -> Cutting<'a> {
        Cutting { cut: self, to }
    }

    /// Tells the end, where a sequence has struck and the end was not told yet. `usage` is what is known of it.
    pub fn end(&mut self, usage: Option<Usage>, to: &mut dyn Tell) -> bool {
        if self.struck.is_none() || std::mem::replace(&mut self.over, true) {
            return false;
        }
        to.close();
        to.finish(Stop::Sequence(self.struck.clone()), usage);
        true
    }

    /// The part of what is held that may be told now, by its length.
    fn look(&mut self) -> usize {
        let ends = self.stops.iter().filter_map(|stop| Some((self.held.find(stop)? + stop.len(), stop)));
        // The one that is complete first, as if letter after letter came; of two the longer, which began first.
        if let Some((end, stop)) = ends.min_by_key(|(end, stop)| (*end, usize::MAX - stop.len())) {
            let begun = end - stop.len();
            self.struck = Some(stop.clone());
            return begun;
        }
        let beginnings = |stop: &String| {
            let lengths = stop.char_indices().map(|(at, _)| at).skip(1).filter(|length| *length <= self.held.len());
            lengths.filter(|length| self.held.ends_with(&stop[..*length])).max()
        };
        self.held.len() - self.stops.iter().filter_map(beginnings).max().unwrap_or(0)
    }
}

impl Cutting<'_> {
    /// Whether the answer goes on. What was held was no sequence, because something else comes.
    fn goes_on(&mut self) -> bool {
        if self.cut.struck.is_none() && !self.cut.held.is_empty() {
            self.to.text(&self.cut.held);
            self.cut.held.clear();
        }
        self.cut.struck.is_none()
    }
}

impl Tell for Cutting<'_> {
    fn start(&mut self, usage: Option<Usage>) {
        self.to.start(usage);
    }

    fn text(&mut self, text: &str) {
        if self.cut.struck.is_some() {
            return;
        }
        if self.cut.stops.is_empty() {
            return self.to.text(text);
        }
        self.cut.held.push_str(text);
        let free = self.cut.look();
        if free > 0 {
            self.to.text(&self.cut.held[..free]);
            self.cut.held.drain(..free);
        }
    }

    fn refusal(&mut self, text: &str) {
        if self.goes_on() {
            self.to.refusal(text);
        }
    }

    fn thinking(&mut self, text: &str) {
        if self.goes_on() {
            self.to.thinking(text);
        }
    }

    fn proof(&mut self, proof: Proof) {
        if self.goes_on() {
            self.to.proof(proof);
        }
    }

    fn call(&mut self, id: &str, name: &str) {
        if self.goes_on() {
            self.to.call(id, name);
        }
    }

    fn arguments(&mut self, part: &str) {
        if self.goes_on() {
            self.to.arguments(part);
        }
    }

    fn close(&mut self) {
        if self.goes_on() {
            self.to.close();
        }
    }

    fn finish(&mut self, stop: Stop, usage: Option<Usage>) {
        if self.goes_on() {
            return self.to.finish(stop, usage);
        }
        self.cut.end(usage, self.to);
    }

    fn fail(&mut self, failure: &Failure) {
        self.goes_on();
        self.to.fail(failure);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::answer::{Collected, Piece};
    use super::*;

    fn told(parts: &[&str], stops: &[&str]) -> (Vec<String>, Stop) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let (mut cut, mut told) = (Cut::new(&stops), Parts::default());
        let mut cutting = cut.telling(&mut told);
        parts.iter().for_each(|part| cutting.text(part));
        cutting.close();
        cutting.finish(Stop::End, None);
        (told.parts, told.stop)
    }

    /// Notes each text as it is told.
    #[derive(Default)]
    struct Parts {
        parts: Vec<String>,
        stop: Stop,
    }

    impl Tell for Parts {
        fn start(&mut self, _: Option<Usage>) {}
        fn text(&mut self, text: &str) {
            self.parts.push(text.to_owned());
        }
        fn refusal(&mut self, _: &str) {}
        fn thinking(&mut self, _: &str) {}
        fn proof(&mut self, _: Proof) {}
        fn call(&mut self, _: &str, _: &str) {}
        fn arguments(&mut self, _: &str) {}
        fn close(&mut self) {}
        fn finish(&mut self, stop: Stop, _: Option<Usage>) {
            self.stop = stop;
        }
        fn fail(&mut self, _: &Failure) {}
    }

    #[test]
    fn only_what_may_begin_a_sequence_waits() {
        let sequence = |text: &str| Stop::Sequence(Some(text.to_owned()));
        assert_eq!(told(&["a\n", "\nb"], &["\n\n"]), (vec!["a".to_owned()], sequence("\n\n")));
        assert_eq!(
            told(&["a\n", "b\n", "c"], &["\n\n"]).0,
            ["a", "\nb", "\nc"],
            "each letter as soon as it is known to be free"
        );
        assert_eq!(told(&["ends with E"], &["END"]).0, ["ends with ", "E"]);
        assert_eq!(told(&["xab", "c"], &["abcd", "bc"]), (vec!["x".to_owned(), "a".to_owned()], sequence("bc")));
        assert_eq!(told(&["xabcd"], &["bc", "abc"]), (vec!["x".to_owned()], sequence("abc")));
        assert_eq!(
            told(&["Gr\u{fc}", "\u{df}e"], &["\u{fc}\u{df}"]),
            (vec!["Gr".to_owned()], sequence("\u{fc}\u{df}"))
        );
        assert_eq!(told(&["stop"], &["stop"]), (vec![], sequence("stop")));
    }

    #[test]
    fn a_sequence_does_not_reach_from_one_piece_into_another_and_nothing_follows_it() {
        let (mut cut, mut told) = (Cut::new(&["ab".to_owned()]), Collected::default());
        let mut cutting = cut.telling(&mut told);
        cutting.text("xa");
        cutting.close();
        cutting.text("b");
        cutting.call("1", "f");
        cutting.arguments("{\"ab\":1}");
        cutting.close();
        cutting.text("yab");
        cutting.close();
        cutting.call("2", "f");
        cutting.finish(Stop::Calls, Some(Usage { output: 9, ..Usage::default() }));
        let texts = ["xa", "b"].map(|text| Piece::Text(text.to_owned()));
        let call = Piece::Call { id: "1".into(), name: "f".into(), arguments: "{\"ab\":1}".into() };
        assert_eq!(told.pieces, [&texts[0], &texts[1], &call, &Piece::Text("y".into())].map(Clone::clone));
        assert_eq!((told.stop, told.usage.output), (Stop::Sequence(Some("ab".into())), 9));
    }

    #[test]
    fn sequences_that_cannot_be_looked_for_are_refused() {
        assert!(check(&["\n".to_owned(), "x".repeat(LONGEST)]).is_ok());
        for stops in [vec![String::new()], vec!["x".repeat(LONGEST + 1)], vec!["x".to_owned(); MOST + 1]] {
            assert!(check(&stops).is_err());
        }
    }

    proptest! {
        #[test]
        fn however_the_text_is_split_the_cut_is_the_same(
            text in "[ab\u{e4}]{0,24}",
            stops in prop::collection::vec("[ab\u{e4}]{1,4}", 1..4),
            cuts in prop::collection::vec(0..24_usize, 0..8),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            // Letter by letter, by the definition: the text ends where first a sequence is complete.
            let ends = text.char_indices().map(|(at, letter)| at + letter.len_utf8());
            let longest = |end: usize| stops.iter().filter(|stop| text[..end].ends_with(**stop)).max_by_key(|stop| stop.len());
            let struck = ends.filter_map(|end| Some((end, longest(end)?))).next();
            let expected = match struck {
                Some((end, stop)) => (text[..end - stop.len()].to_owned(), Stop::Sequence(Some((*stop).to_owned()))),
                None => (text.clone(), Stop::End),
            };
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let parts: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let (parts, stop) = told(&parts, &stops);
            prop_assert_eq!((parts.concat(), stop), expected);
            prop_assert!(parts.iter().all(|part| !part.is_empty()));
        }
    }
}

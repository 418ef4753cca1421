//! Calls that come in parts, told one after the other. Other dialects know only one call at a time, so what belongs to a
//! call that is not told yet waits until the one before is complete.

use super::super::answer::Tell;
use super::super::ids;
use super::super::refused::Unreadable;
use super::answer_read::CallPart;

/// The calls of one answer.
#[derive(Debug, Default)]
pub struct Calls {
    calls: Vec<Call>,
    /// The one that is being told.
    open: Option<usize>,
    last: usize,
}

#[derive(Debug, Default)]
struct Call {
    index: usize,
    id: String,
    name: String,
    waiting: String,
    state: State,
    nest: Nest,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    Open,
    Told,
}

/// Whether a JSON text is complete, told from its brackets.
#[derive(Debug, Default)]
struct Nest {
    depth: u32,
    in_text: bool,
    escaped: bool,
    begun: bool,
}

impl Calls {
    pub fn any(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Adds a part. Some makers repeat id and name with every part, send them late, or leave out the index.
    pub fn add(&mut self, part: CallPart<'_>, to: &mut dyn Tell) -> Result<(), Unreadable> {
        let id = part.id.filter(|id| !id.is_empty());
        let known = |calls: &[Call], id: &str| calls.iter().find(|call| call.id == id).map(|call| call.index);
        let index = part.index.unwrap_or_else(|| match &id {
            Some(id) => known(&self.calls, id).unwrap_or(self.calls.len()),
            None => self.last,
        });
        self.last = index;
        let at = self.calls.iter().position(|call| call.index == index).unwrap_or_else(|| {
            self.calls.push(Call { index, ..Call::default() });
            self.calls.len() - 1
        });
        let call = &mut self.calls[at];
        if let Some(id) = id.filter(|_| call.id.is_empty()) {
            call.id = id;
        }
        if let Some(function) = part.function {
            if let Some(name) = function.name.filter(|_| call.name.is_empty()) {
                call.name = name;
            }
            let arguments = function.arguments.as_deref().unwrap_or_default();
            call.nest.feed(arguments);
            match call.state {
                State::Open => to.arguments(arguments),
                State::Waiting => call.waiting.push_str(arguments),
                State::Told if arguments.is_empty() => {}
                State::Told => return Err(Unreadable("it adds to a call that was complete".to_owned())),
            }
        }
        self.go_on(at, to);
        Ok(())
    }

    /// Something else is said: the call that is being told is complete.
    pub fn close(&mut self, to: &mut dyn Tell) {
        if let Some(open) = self.open.take() {
            self.calls[open].state = State::Told;
            to.close();
        }
    }

    /// The answer is complete: what waits is told.
    pub fn finish(&mut self, to: &mut dyn Tell) -> Result<(), Unreadable> {
        self.close(to);
        for at in 0..self.calls.len() {
            if self.calls[at].state != State::Waiting {
                continue;
            }
            if self.calls[at].name.is_empty() {
                return Err(Unreadable("it calls a tool without saying which".to_owned()));
            }
            if self.calls[at].id.is_empty() {
                let told = format!("{at} {} {}", self.calls[at].name, self.calls[at].waiting);
                self.calls[at].id = format!("call_{}", &ids::hash(&told)[..24]);
            }
            self.tell(at, to);
            self.close(to);
        }
        Ok(())
    }

    /// Tells a call that waits, when the one before it is complete.
    fn go_on(&mut self, at: usize, to: &mut dyn Tell) {
        let call = &self.calls[at];
        let ready = call.state == State::Waiting && !call.id.is_empty() && !call.name.is_empty();
        let free = self.open.is_none_or(|open| self.calls[open].nest.is_complete());
        if ready && free {
            self.close(to);
            self.tell(at, to);
        }
    }

    fn tell(&mut self, at: usize, to: &mut dyn Tell) {
        let call = &mut self.calls[at];
        call.state = State::Open;
        to.call(&call.id, &call.name);
        let waiting = std::mem::take(&mut call.waiting);
        if !waiting.is_empty() {
            to.arguments(&waiting);
        }
        self.open = Some(at);
    }
}

impl Nest {
    fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    self.begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_text
    }
}

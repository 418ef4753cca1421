//! Putting blocks into turns as Claude wants them: neighbours of one role are one turn, and results of calls come first.

use serde_json::{Value, json};

use super::super::request::Role;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The result of a call.
    Result,
    Other,
}

/// Turns under way.
#[derive(Debug, Default)]
pub struct Messages {
    done: Vec<Value>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    role: Role,
    results: Vec<Value>,
    rest: Vec<Value>,
}

impl Messages {
    pub fn add(&mut self, role: Role, kind: Kind, block: Value) {
        if self.open.as_ref().is_none_or(|open| open.role != role) {
            self.close();
            self.open = Some(Open { role, results: Vec::new(), rest: Vec::new() });
        }
        if let Some(open) = &mut self.open {
            if kind == Kind::Result { open.results.push(block) } else { open.rest.push(block) }
        }
    }

    pub fn done(mut self) -> Vec<Value> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        let Some(Open { role, mut results, rest }) = self.open.take() else { return };
        results.extend(rest);
        let role = if role == Role::Assistant { "assistant" } else { "user" };
        self.done.push(json!({"role": role, "content": results}));
    }
}

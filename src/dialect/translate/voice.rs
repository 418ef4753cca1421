//! What an answer in the caller's dialect says besides what the model said.

use super::answer::Failure;
use crate::dialect::Dialect;
use crate::dialect::error::{ErrorView, render, render_event};

/// How an answer presents itself.
#[derive(Clone, Debug, Default)]
pub struct Voice {
    /// The caller's own spelling of the model, as a JSON string.
    pub model: String,
    /// The request's id, from which the ids of the answer are made.
    pub request_id: String,
    /// Seconds since 1970.
    pub created: i64,
    /// The caller of Chat Completions asked for the usage chunk.
    pub wants_usage: bool,
    /// Tools that take free text, whose calls Responses writes in another way.
    pub free_text: Vec<String>,
}

impl Voice {
    /// An id of this answer, in the form that its dialect gives it.
    pub fn id(&self, prefix: &str) -> String {
        let plain: String = self.request_id.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{prefix}{plain}")
    }

    /// A failure as an event of the caller's dialect.
    pub fn failure_event(&self, dialect: Dialect, failure: &Failure) -> Vec<u8> {
        render_event(dialect, &self.view(&failure.told_to(dialect))).to_vec()
    }

    /// The same as a document.
    pub fn failure(&self, dialect: Dialect, failure: &Failure) -> Vec<u8> {
        render(dialect, &self.view(&failure.told_to(dialect))).to_vec()
    }

    fn view<'a>(&'a self, failure: &'a Failure) -> ErrorView<'a> {
        ErrorView {
            status: failure.status,
            code: failure.code.as_deref().unwrap_or("upstream_broken"),
            message: &failure.message,
            param: None,
            request_id: &self.request_id,
        }
    }
}

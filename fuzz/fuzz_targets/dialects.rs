//! The dialects, and a caller who presents nothing out of the ordinary.

use azgate::dialect::translate::{Presented, Protocol};

pub const PROTOCOLS: [Protocol; 3] = [Protocol::Chat, Protocol::Responses, Protocol::Messages];

pub const PRESENTED: Presented<'_> = Presented {
    model: "\"m\"",
    request_id: "req-1",
    now: 1,
    wants_usage: true,
    prompt_tokens: 3,
    session: None,
};

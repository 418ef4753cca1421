//! Directions as a whole: the golden cases, any splitting of streams, and round trips.

mod answers;
mod golden;
mod round_trip;
mod streams;

use super::*;
use crate::dialect::stream::Progress;
use crate::dialect::stream::tests::driven;

const ORIGIN: &str = "0a0b0c";

fn protocol(name: &str) -> Protocol {
    match name {
        "chat" => Protocol::Chat,
        "responses" => Protocol::Responses,
        _ => Protocol::Messages,
    }
}

fn target<'a>(model: &'a str, host: &str) -> Target<'a> {
    let host = match host {
        "old_azure" => Host::OldAzure,
        "azure" => Host::Azure,
        _ => Host::Maker,
    };
    Target { deployment: model, model, origin: ORIGIN, recall: Recall::Own, host }
}

fn presented() -> Presented<'static> {
    Presented {
        model: "\"azure/Mine\"",
        request_id: "req-1",
        now: 1_700_000_000,
        wants_usage: true,
        prompt_tokens: 7,
        session: None,
    }
}

/// The way back of an answer to a caller without tools of its own.
fn reply(caller: Protocol, upstream: Protocol) -> Reply {
    let voice = voice::Voice {
        model: presented().model.to_owned(),
        request_id: presented().request_id.to_owned(),
        created: presented().now,
        wants_usage: true,
        free_text: Vec::new(),
    };
    let origin = ORIGIN.to_owned();
    Reply { caller, upstream, voice, origin, answer_tool: None, stop: Vec::new(), prompt_tokens: 7 }
}

/// A stream in pieces of these sizes, and what came of it.
fn run(reply: &Reply, input: &str, sizes: &[usize]) -> (String, Progress) {
    driven(&mut *reply.stream(), input.as_bytes(), sizes)
}

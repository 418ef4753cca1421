//! Streams of every dialect into every other, with and without stop sequences: none panics, no splitting changes what comes
//! out, and only a stream that is complete has a normal end.
#![no_main]

mod dialects;

use azgate::dialect::stream::Progress;
use azgate::dialect::translate::{self, Host, Protocol, Recall, Reply, Target};
use bytes::Bytes;
use dialects::{PRESENTED, PROTOCOLS};
use libfuzzer_sys::fuzz_target;

const ENDS: [&[u8]; 4] = [b"data: [DONE]\n\n", b"event: message_stop\n", b"event: response.completed\n", b"event: response.incomplete\n"];

fn reply(caller: Protocol, upstream: Protocol, stops: bool) -> Reply {
    let model = if upstream == Protocol::Messages { "claude-sonnet-4-6" } else { "gpt-5.2" };
    let target = Target { deployment: model, model, origin: "AAAAAAAA", recall: Recall::Own, host: Host::Azure };
    let body = match caller {
        Protocol::Chat => r#"{"messages":[]}"#,
        Protocol::Responses => r#"{"input":"x","tools":[{"type":"custom","name":"f"}]}"#,
        Protocol::Messages if stops => r#"{"max_tokens":9,"messages":[],"stop_sequences":["ab","a\nb","b"]}"#,
        Protocol::Messages => r#"{"max_tokens":9,"messages":[]}"#,
    };
    translate::request(caller, upstream, body.as_bytes(), &target, &PRESENTED).expect("a request").reply
}

fn run<'a>(reply: &Reply, chunks: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<u8>, Progress)> {
    let (mut stream, mut out) = (reply.stream(), Vec::new());
    for chunk in chunks {
        stream.push(Bytes::copy_from_slice(chunk), &mut out).ok()?;
    }
    stream.finish(&mut out);
    let (out, progress) = (out.concat(), stream.progress().clone());
    assert_eq!(progress.bytes_out, out.len() as u64);
    Some((out, progress))
}

fuzz_target!(|data: &[u8]| {
    let [choice, size, stream @ ..] = data else { return };
    let choice = usize::from(*choice);
    let (from, to) = (PROTOCOLS[choice % 3], PROTOCOLS[choice / 3 % 3]);
    let reply = reply(to, from, choice & 64 != 0);
    let Some(whole) = run(&reply, std::iter::once(stream)) else { return };
    assert_eq!(Some(&whole), run(&reply, stream.chunks(usize::from(*size).max(1))).as_ref());
    let (out, progress) = whole;
    let told = ENDS.iter().any(|end| out.windows(end.len()).any(|part| part == *end));
    assert_eq!(told, progress.ended, "{}", String::from_utf8_lossy(&out));
    let _ = reply.whole(stream);
    let _ = reply.error(400, stream);
});

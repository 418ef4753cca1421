//! Stage 8, for streams: each event passes at once, and the stream never lies about how it ended.
//!
//! The head is held until the first content event, so that a stream which begins with an error is still an answer that
//! another attempt could replace. Once it is out, whatever goes wrong becomes an error event, never a normal end.

use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::response::Parts;

use super::head;
use super::refuse::{self, Refusal, Stop};
use super::relay::{Answered, Relay, joined};
use super::waits::while_caller_stays;
use crate::azure;
use crate::base::limit::until;
use crate::dialect::Dialect;
use crate::dialect::error::is_throttling;
use crate::dialect::stream::{ChunkTransform, Progress};
use crate::dialect::usage::Usage;
use crate::upstream::{self, Fault};

/// Until then the head is held back, whichever comes first.
const PREAMBLE_EVENTS: u64 = 64;
const PREAMBLE_BYTES: usize = 256 * 1024;
const PREAMBLE_TIME: Duration = Duration::from_secs(10);

/// Silence after which the caller gets a comment, so that nothing between gives the connection up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");
const PING: Bytes = Bytes::from_static(b"event: ping\ndata: {\"type\": \"ping\"}\n\n");

/// Where a stream stands for the caller.
enum Stage {
    /// The head and these bytes are held.
    Held {
        head: Box<Parts>,
        parts: Vec<Bytes>,
        length: usize,
        until: Instant,
    },
    Begun,
}

/// Relays a stream to its end.
pub async fn relay(relay: &mut Relay<'_>, answered: Box<Answered>) -> Result<(), Stop> {
    let Answered { head, mut exchange, .. } = *answered;
    let mut transform = relay.route.reading.stream();
    let told = || azure::wait(&head.headers, SystemTime::now());
    let hint = relay.route.replaceable.then(told).flatten();
    let mut out = head::of(relay, head);
    relay.unframed(&mut out);
    let until = Instant::now() + PREAMBLE_TIME;
    let mut stage = Stage::Held { head: Box::new(out), parts: Vec::new(), length: 0, until };
    let _active = Active::new(&relay.metrics.streams_active);
    let ending = pump(relay, &mut exchange, &mut *transform, &mut stage).await;
    if !relay.tab.is_settled() {
        settle_usage(relay, transform.progress());
    }
    let ended = match ending {
        // What said that it is complete is complete, whatever becomes of its connection afterwards.
        Err(Ending::Failed { .. }) if transform.progress().ended => {
            exchange.end(relay.connections);
            None
        }
        Ok(()) => {
            exchange.end(relay.connections);
            if transform.progress().error.is_some() {
                relay.metrics.stream_failure("error_event");
                relay.reply.stream_failure = Some("error_event");
            }
            None
        }
        Err(Ending::Stop(stop)) => return Err(stop),
        Err(Ending::Failed { reason, refusal }) => {
            relay.metrics.stream_failure(reason);
            relay.reply.stream_failure = Some(reason);
            Some(refusal)
        }
    };
    if matches!(stage, Stage::Held { .. })
        && let Some(refusal) = ended
    {
        // Nothing of the stream was shown: another attempt, or else a plain error, tells more than a broken stream.
        return Err(Stop::Rejected { refusal, throttled: None });
    }
    if let (Stage::Held { .. }, Some(error), true) = (&stage, &transform.progress().error, relay.route.replaceable) {
        let refusal = Refusal::new(502, "upstream_broken", "the upstream began a stream with an error");
        let refusal = Box::new(refusal.because(String::from_utf8_lossy(error).chars().take(300).collect::<String>()));
        return Err(Stop::Rejected { refusal, throttled: is_throttling(error).then_some(hint) });
    }
    relay.settle().await;
    begin(relay, &mut stage).await?;
    if let Some(refusal) = ended {
        let received = relay.route.received;
        relay.send(refuse::event(&*transform, received.dialect, &received.id, &refusal)).await?;
        relay.reply.code = Some(refusal.code);
        relay.reply.cause = refusal.cause;
    }
    relay.end().await
}

/// Relays a stream that came in a coding which cannot be read. Nothing may be written into it, neither a comment nor an
/// error event, so one that breaks off is cut.
pub async fn opaque(relay: &mut Relay<'_>, answered: Box<Answered>) -> Result<(), Stop> {
    let _active = Active::new(&relay.metrics.streams_active);
    let relayed = relay.pass_on(answered, false).await;
    if let Err(Stop::Cut) = relayed {
        relay.metrics.stream_failure("broken");
        relay.reply.stream_failure = Some("broken");
    }
    relayed
}

/// Why a stream is not simply over.
enum Ending {
    Stop(Stop),
    Failed { reason: &'static str, refusal: Box<Refusal> },
}

impl From<Stop> for Ending {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

async fn pump(
    relay: &mut Relay<'_>,
    exchange: &mut upstream::Exchange,
    transform: &mut dyn ChunkTransform,
    stage: &mut Stage,
) -> Result<(), Ending> {
    // Kept from event to event.
    let (mut chunks, mut parts) = (Vec::new(), Vec::new());
    loop {
        let read = wait(relay, exchange, &mut chunks, stage).await?;
        for chunk in chunks.drain(..) {
            transform.push(chunk, &mut parts).map_err(|fault| Ending::Failed {
                reason: "malformed",
                refusal: Box::new(
                    Refusal::new(502, "upstream_broken", "the upstream sent an event that is too large")
                        .because(fault.to_string()),
                ),
            })?;
        }
        let more = match read {
            Ok(more) => more,
            Err(fault) => {
                deliver(relay, stage, &mut parts, transform.progress()).await?;
                let reason = super::judge::fault(&fault);
                return Err(Ending::Failed { reason, refusal: Box::new(fault.into()) });
            }
        };
        if !more {
            transform.finish(&mut parts);
        }
        if transform.progress().ended && relay.route.reading.ends_once() {
            // Callers stop reading at the end mark, and may ask again before the connection says the same.
            settle_usage(relay, transform.progress());
            relay.settle().await;
        }
        deliver(relay, stage, &mut parts, transform.progress()).await?;
        if !more || transform.progress().enough {
            return ending(transform.progress());
        }
    }
}

/// An upstream that closes its stream without saying that it is complete has broken off, however clean the close.
fn ending(progress: &Progress) -> Result<(), Ending> {
    if progress.ended || progress.error.is_some() {
        return Ok(());
    }
    let refusal = Refusal::new(502, "upstream_broken", "the upstream ended the stream before it was complete");
    Err(Ending::Failed { reason: "truncated", refusal: Box::new(refusal) })
}

/// Waits for the upstream, and keeps the caller's connection alive meanwhile.
async fn wait(
    relay: &mut Relay<'_>,
    exchange: &mut upstream::Exchange,
    chunks: &mut Vec<Bytes>,
    stage: &mut Stage,
) -> Result<Result<bool, Fault>, Ending> {
    let mut read = pin!(exchange.read(chunks));
    let mut quiet_since = Instant::now();
    loop {
        let tick = match stage {
            Stage::Held { until, .. } => *until,
            Stage::Begun => quiet_since + KEEP_ALIVE,
        };
        // One timer serves for the tick and for the request's deadline: each costs as much as passing on an event.
        let waited = until(tick.min(relay.route.deadline), read.as_mut());
        if let Ok(read) = while_caller_stays(relay.session, relay.reply, waited).await? {
            return Ok(read);
        }
        if Instant::now() >= relay.route.deadline {
            let refusal = Refusal::timed_out(relay.route.candidate.provider.timeouts.request);
            return Err(Ending::Failed { reason: "request_timeout", refusal: Box::new(refusal) });
        }
        match stage {
            Stage::Held { .. } => begin(relay, stage).await?,
            Stage::Begun => relay.comment(sign_of_life(relay.route.received.dialect)).await?,
        }
        quiet_since = Instant::now();
    }
}

/// Passes on what has come, or adds it to what is held.
async fn deliver(
    relay: &mut Relay<'_>,
    stage: &mut Stage,
    new: &mut Vec<Bytes>,
    progress: &Progress,
) -> Result<(), Stop> {
    match stage {
        Stage::Begun => relay.send(joined(new)).await,
        Stage::Held { parts, length, .. } => {
            *length += new.iter().map(Bytes::len).sum::<usize>();
            parts.append(new);
            // A stream that begins with an error is not shown while another attempt may take its place.
            let failed = progress.error.is_some() && !relay.route.replaceable;
            let decided = progress.content_started || progress.ended || failed;
            if decided || progress.events >= PREAMBLE_EVENTS || *length >= PREAMBLE_BYTES {
                return begin(relay, stage).await;
            }
            Ok(())
        }
    }
}

/// Lets go of the head and of what was held with it.
async fn begin(relay: &mut Relay<'_>, stage: &mut Stage) -> Result<(), Stop> {
    if let Stage::Held { head, mut parts, .. } = std::mem::replace(stage, Stage::Begun) {
        relay.begin(*head).await?;
        relay.send(joined(&mut parts)).await?;
    }
    Ok(())
}

/// What fills a silence: a comment, or the event that Anthropic has for it.
fn sign_of_life(dialect: Dialect) -> Bytes {
    match dialect {
        Dialect::OpenAi => COMMENT,
        Dialect::Anthropic => PING,
    }
}

/// What the stream reported, or else what was seen of it: one token an event is how these streams are cut.
fn settle_usage(relay: &mut Relay<'_>, progress: &Progress) {
    if !relay.is_own(progress.usage, progress.background.clone()) {
        return;
    }
    relay.reply.usage = progress.usage;
    if progress.usage.is_none() && progress.content_events > 0 {
        let input = relay.reply.prompt_tokens;
        relay.reply.usage = Some(Usage { input, output: progress.content_events, ..Usage::default() });
        relay.reply.usage_estimated = true;
    }
}

/// Counts a stream in progress for as long as it lives.
struct Active<'a>(&'a prometheus::IntGauge);

impl<'a> Active<'a> {
    fn new(gauge: &'a prometheus::IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

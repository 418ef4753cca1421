//! Log lines: one JSON object per line on standard output, written by a thread of its own, so that a slow reader of
//! the log never holds up a request. What does not fit the queue is dropped and counted.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use log::{Level, LevelFilter, Metadata, Record};
use prometheus::IntCounter;

use super::line::{Line, name};

/// Lines that may wait; at a kilobyte each, 16 MiB.
const QUEUE: usize = 16_384;

/// How long lines are gathered before they are written together. Waking the writer for every line would cost a busy
/// gateway more than writing the lines.
const GATHER: Duration = Duration::from_millis(10);

/// Bytes of lines that are written together. Were all that wait gathered, one moment of a busy machine would cost as much
/// memory as the queue has, for as long as the process lives.
const BATCH: usize = 256 * 1024;

static SINK: OnceLock<Sink> = OnceLock::new();

struct Sink {
    queue: SyncSender<Message>,
    dropped: IntCounter,
}

enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Starts the writer and takes over the `log` facade. Call once, early. `dropped` counts lost lines.
pub fn start(level: LevelFilter, dropped: IntCounter) {
    let (queue, lines) = sync_channel(QUEUE);
    if SINK.set(Sink { queue, dropped }).is_err() {
        return;
    }
    std::thread::Builder::new().name("log".into()).spawn(move || write_lines(&lines)).expect("a thread can be started");
    if log::set_logger(&Facade).is_ok() {
        log::set_max_level(level);
    }
}

/// Writes a line, or counts it as lost.
pub fn write(line: Line) {
    let Some(sink) = SINK.get() else { return };
    if let Err(TrySendError::Full(_)) = sink.queue.try_send(Message::Line(line.finish())) {
        sink.dropped.inc();
    }
}

/// Waits until every line so far is written, at most a second.
pub fn flush() {
    let Some(sink) = SINK.get() else { return };
    let (done, wait) = sync_channel(1);
    if sink.queue.send(Message::Flush(done)).is_ok() {
        // A reader that takes no line for a second gets no more of them.
        let _ = wait.recv_timeout(Duration::from_secs(1));
    }
}

fn write_lines(lines: &Receiver<Message>) {
    let mut out = std::io::stdout().lock();
    let mut batch = Vec::with_capacity(BATCH);
    // A closed standard output must not end the gateway.
    let mut write = |batch: &mut Vec<u8>| {
        let _ = out.write_all(batch).and_then(|()| out.flush());
        batch.clear();
    };
    while let Ok(first) = lines.recv() {
        if matches!(first, Message::Line(_)) {
            std::thread::sleep(GATHER);
        }
        let mut flushed = Vec::new();
        for message in std::iter::once(first).chain(lines.try_iter().take(QUEUE)) {
            match message {
                Message::Line(line) => {
                    if batch.len() + line.len() > BATCH {
                        write(&mut batch);
                    }
                    batch.extend_from_slice(&line);
                }
                Message::Flush(done) => flushed.push(done),
            }
        }
        write(&mut batch);
        for done in flushed {
            let _ = done.try_send(());
        }
    }
}

struct Facade;

impl log::Log for Facade {
    /// Of the libraries only what went wrong: their finer levels print whole requests, credentials included. And nothing
    /// of what Pingora says of callers who leave or make mistakes: each could fill the log at will.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target.starts_with("azgate") || metadata.level() <= Level::Warn && !target.starts_with("pingora_proxy")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        let mut line = Line::new(level, "log");
        line.text(name!("target"), record.target());
        line.text(name!("message"), &record.args().to_string());
        write(line);
    }

    fn flush(&self) {
        flush();
    }
}

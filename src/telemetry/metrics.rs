//! Every metric of the gateway, and the way to its series without formatting or hashing a label text per request.
//!
//! Series with several labels are looked up by the numbers of their labels in a map of the worker thread's own; only
//! the first use of a combination on a thread goes through the `prometheus` crate. Labels are configured names, and
//! past [`MOST_SERIES`] combinations a caller's name gives way to `other`, on every thread alike, so that a scrape and
//! the threads' maps stay bounded whatever comes in.

mod limits;

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, OnceLock};
use std::time::Duration;

use foldhash::HashMap;
use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use super::keys::{KeyReading, Keys};
use crate::base::Label;
use crate::base::locks::lock;
pub use limits::LimitMetrics;

/// Combinations of labels per metric that are kept apart by caller.
const MOST_SERIES: usize = 2_000;

static OTHER: LazyLock<Label> = LazyLock::new(|| Label::new("other"));

thread_local! {
    static SERIES: RefCell<HashMap<Combination, IntCounter>> = RefCell::default();
    static ATTEMPTS: RefCell<HashMap<(u32, *const str), IntCounter>> = RefCell::default();
    static TIMES: RefCell<HashMap<u32, Times>> = RefCell::default();
}

/// How long requests of one operation take.
struct Times {
    duration: Histogram,
    first_event: Histogram,
}

/// The numbers of the labels of one series, and of its metric.
type Combination = [u32; 7];

/// Which combinations have a series with the caller's own name. Takes a lock only until there is no more room.
#[derive(Debug, Default)]
struct Apart {
    growing: Mutex<HashSet<Combination>>,
    full: OnceLock<HashSet<Combination>>,
}

/// Where a finished request is counted.
#[derive(Debug, Clone, Copy)]
pub struct RequestSeries<'a> {
    pub operation: &'a Label,
    pub provider: &'a Label,
    pub key: &'a Label,
    pub model: &'a Label,
    pub status: u16,
    pub caller: &'a Label,
}

/// Where tokens are counted.
#[derive(Debug, Clone, Copy)]
pub struct TokenSeries<'a> {
    pub model: &'a Label,
    pub caller: &'a Label,
    /// `input`, `cached_input`, `cache_write`, `output`, `reasoning`.
    pub kind: &'a Label,
}

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    attempts: IntCounterVec,
    tokens: IntCounterVec,
    stream_failures: IntCounterVec,
    duration: HistogramVec,
    first_event: HistogramVec,
    requests_apart: Apart,
    tokens_apart: Apart,
    pub overhead: Histogram,
    pub requests_active: IntGauge,
    pub streams_active: IntGauge,
    pub connections_active: IntGauge,
    pub connections_refused: IntCounterVec,
    pub client_cancelled: IntCounter,
    pub config_generation: IntGauge,
    pub config_reload_success: IntGauge,
    pub limits: LimitMetrics,
    pub log_lines_dropped: IntCounter,
}

impl Metrics {
    #[expect(clippy::new_without_default, reason = "a second instance would count into nowhere; ask for it by name")]
    pub fn new() -> Self {
        let registry = Registry::new();
        let register = Register(&registry.clone());
        let seconds = |start, factor, count| {
            prometheus::exponential_buckets(start, factor, count).expect("start and factor are positive")
        };
        Self::tell_version(&register);
        Self {
            requests: register.counters(
                "azgate_requests_total",
                "Finished requests.",
                &["operation", "provider", "key", "model", "status", "caller"],
            ),
            attempts: register.counters(
                "azgate_upstream_attempts_total",
                "Requests sent to an upstream key, by outcome.",
                &["key", "outcome"],
            ),
            tokens: register.counters("azgate_tokens_total", "Tokens used.", &["model", "caller", "kind"]),
            stream_failures: register.counters(
                "azgate_stream_failures_total",
                "Streams that ended otherwise than their upstream promised.",
                &["reason"],
            ),
            duration: register.histograms(
                "azgate_request_duration_seconds",
                "From the request's head to the answer's last byte.",
                seconds(0.005, 2.0, 18),
            ),
            first_event: register.histograms(
                "azgate_time_to_first_event_seconds",
                "From the request's head to the first byte of an answer's body.",
                seconds(0.005, 2.0, 16),
            ),
            overhead: register.histogram(
                "azgate_gateway_overhead_seconds",
                "Time of a request that was not spent waiting for the caller or an upstream.",
                seconds(0.000_02, 2.0, 14),
            ),
            limits: LimitMetrics::new(&register),
            requests_active: register.gauge("azgate_requests_active", "Requests in progress."),
            streams_active: register.gauge("azgate_streams_active", "Streams in progress."),
            connections_active: register.gauge("azgate_connections_active", "Connections of callers."),
            connections_refused: register.counters(
                "azgate_connections_refused_total",
                "Connections that were turned away at a limit: on all connections, or on those of one address.",
                &["limit"],
            ),
            client_cancelled: register
                .counter("azgate_client_cancelled_total", "Callers who left before their answer was complete."),
            config_generation: register.gauge("azgate_config_generation", "Number of the configuration in force."),
            config_reload_success: register
                .gauge("azgate_config_reload_success", "1 when the last reload was applied, 0 when it was refused."),
            log_lines_dropped: register
                .counter("azgate_log_lines_dropped_total", "Log lines lost because standard output was too slow."),
            requests_apart: Apart::default(),
            tokens_apart: Apart::default(),
            registry,
        }
    }

    fn tell_version(register: &Register<'_>) {
        register
            .gauge_with_label("azgate_build_info", "The version that is running.", "version", env!("CARGO_PKG_VERSION"))
            .set(1);
    }

    pub fn request(&self, at: RequestSeries<'_>) {
        let id = |caller: &Label| {
            [at.operation.id(), at.provider.id(), at.key.id(), at.model.id(), u32::from(at.status), caller.id(), 0]
        };
        self.requests_apart.count(id, at.caller, 1, |caller| {
            let status = at.status.to_string();
            let labels = [at.operation, at.provider, at.key, at.model].map(Label::text);
            let [operation, provider, key, model] = labels;
            self.requests.with_label_values(&[operation, provider, key, model, &status, caller.text()])
        });
    }

    pub fn tokens(&self, at: TokenSeries<'_>, count: u64) {
        if count == 0 {
            return;
        }
        let id = |caller: &Label| [at.model.id(), caller.id(), at.kind.id(), 0, 0, 0, 1];
        self.tokens_apart.count(id, at.caller, count, |caller| {
            self.tokens.with_label_values(&[at.model.text(), caller.text(), at.kind.text()])
        });
    }

    /// `outcome` is a text of the program's own: where it stands is enough to know it by.
    pub fn attempt(&self, key: &Label, outcome: &'static str) {
        ATTEMPTS.with_borrow_mut(|known| {
            let fresh = || self.attempts.with_label_values(&[key.text(), outcome]);
            known.entry((key.id(), std::ptr::from_ref(outcome))).or_insert_with(fresh).inc();
        });
    }

    pub fn stream_failure(&self, reason: &'static str) {
        self.stream_failures.with_label_values(&[reason]).inc();
    }

    /// How long a finished request took, and how long until the first byte of its answer's body.
    pub fn took(&self, operation: &Label, duration: Duration, first_event: Option<Duration>) {
        TIMES.with_borrow_mut(|known| {
            let times = known.entry(operation.id()).or_insert_with(|| Times {
                duration: self.duration.with_label_values(&[operation.text()]),
                first_event: self.first_event.with_label_values(&[operation.text()]),
            });
            times.duration.observe(duration.as_secs_f64());
            first_event.into_iter().for_each(|first| times.first_event.observe(first.as_secs_f64()));
        });
    }

    /// From now on a scrape tells what state keys are in, as `read` says at that moment. To be called once.
    pub fn watch_keys(&self, read: impl Fn() -> Vec<KeyReading> + Send + Sync + 'static) {
        self.registry.register(Box::new(Keys::new(read))).expect(ONCE);
    }

    /// The text format that Prometheus scrapes, with what is only known now: how long each key's token still lives.
    pub fn encode<'a>(&self, tokens: impl IntoIterator<Item = (&'a str, Duration)>) -> Vec<u8> {
        let mut families = self.registry.gather();
        let expiry = Opts::new("azgate_token_expiry_seconds", "Time until the key's token ends; 0 without one.");
        let expiry = GaugeVec::new(expiry, &["key"]).expect(ONCE);
        for (key, left) in tokens {
            expiry.with_label_values(&[key]).set(left.as_secs_f64());
        }
        families.extend(expiry.collect().into_iter().filter(|family| !family.get_metric().is_empty()));
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            log::error!("metrics could not be encoded: {error}");
        }
        text
    }
}

impl Apart {
    fn count(
        &self,
        id: impl Fn(&Label) -> Combination,
        caller: &Label,
        count: u64,
        series: impl Fn(&Label) -> IntCounter,
    ) {
        SERIES.with_borrow_mut(|known| {
            if let Some(counter) = known.get(&id(caller)) {
                return counter.inc_by(count);
            }
            let caller = if self.admits(id(caller)) { caller } else { &OTHER };
            known.entry(id(caller)).or_insert_with(|| series(caller)).inc_by(count);
        });
    }

    fn admits(&self, combination: Combination) -> bool {
        if let Some(full) = self.full.get() {
            return full.contains(&combination);
        }
        let mut growing = lock(&self.growing);
        if growing.len() < MOST_SERIES {
            growing.insert(combination);
            return true;
        }
        self.full.get_or_init(|| growing.clone()).contains(&combination)
    }
}

struct Register<'a>(&'a Registry);

/// The names are this file's own, so that creating or registering one fails only if two are alike.
const ONCE: &str = "metric names are valid and registered once";

impl Register<'_> {
    fn add<C: Collector + Clone + 'static>(&self, metric: C) -> C {
        self.0.register(Box::new(metric.clone())).expect(ONCE);
        metric
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help).expect(ONCE))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help).expect(ONCE))
    }

    fn gauge_with_label(&self, name: &str, help: &str, label: &str, value: &str) -> IntGauge {
        self.add(IntGauge::with_opts(Opts::new(name, help).const_label(label, value)).expect(ONCE))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels).expect(ONCE))
    }

    fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)).expect(ONCE))
    }

    fn histograms(&self, name: &str, help: &str, buckets: Vec<f64>) -> HistogramVec {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["operation"]).expect(ONCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_stay_bounded_whoever_calls() {
        let metrics = Metrics::new();
        let (model, kind) = (Label::new("gpt-4o"), Label::new("input"));
        for caller in 0..MOST_SERIES * 2 {
            let caller = Label::new(&format!("caller-{caller}"));
            metrics.tokens(TokenSeries { model: &model, caller: &caller, kind: &kind }, 1);
        }
        let text = String::from_utf8(metrics.encode([])).unwrap();
        let series = text.lines().filter(|line| line.starts_with("azgate_tokens_total")).count();
        assert_eq!(series, MOST_SERIES + 1);
        assert!(
            text.contains(&format!("caller=\"other\",kind=\"input\",model=\"gpt-4o\"}} {MOST_SERIES}")),
            "nothing is lost"
        );
    }

    #[test]
    fn every_thread_counts_a_caller_under_the_same_name() {
        let metrics = Metrics::new();
        let (model, kind) = (Label::new("gpt-4o"), Label::new("input"));
        let callers: Vec<Label> = (0..MOST_SERIES).map(|caller| Label::new(&format!("caller-{caller}"))).collect();
        let count = |callers: &[Label]| {
            for caller in callers {
                metrics.tokens(TokenSeries { model: &model, caller, kind: &kind }, 1);
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(|| count(&callers))));
        });
        count(&[Label::new("one-too-many")]);
        let text = String::from_utf8(metrics.encode([])).unwrap();
        let of = |caller: &str| format!("azgate_tokens_total{{caller=\"{caller}\",kind=\"input\",model=\"gpt-4o\"}}");
        assert!(callers.iter().all(|caller| text.contains(&format!("{} 4\n", of(caller.text())))));
        assert!(text.contains(&format!("{} 1\n", of("other"))), "past the limit");
    }

    #[test]
    fn a_thread_remembers_no_more_than_there_is_to_see() {
        let metrics = Metrics::new();
        let (model, kind) = (Label::new("gpt-4o"), Label::new("input"));
        for caller in 0..MOST_SERIES * 3 {
            let caller = Label::new(&format!("caller-{caller}"));
            metrics.tokens(TokenSeries { model: &model, caller: &caller, kind: &kind }, 1);
        }
        assert_eq!(SERIES.with_borrow(HashMap::len), MOST_SERIES + 1);
    }
}

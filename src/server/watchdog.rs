//! Keeps systemd's watchdog quiet for as long as every worker thread gets on. A worker that is stuck in one task (an
//! endless loop, a lock that is never given back) ends the pings, and systemd restarts the service.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::interval;

use super::notify::{Note, ServiceManager};

/// Pings per interval that systemd allows.
const PINGS: u32 = 4;

pub struct Watchdog {
    pub manager: Arc<ServiceManager>,
    /// The runtime of the workers, once they run.
    pub workers: Arc<OnceLock<Handle>>,
}

#[async_trait]
impl BackgroundService for Watchdog {
    /// Goes on while the process drains: systemd watches until the process has ended.
    async fn start(&self, _: ShutdownWatch) {
        let Some(allowed) = self.manager.watchdog() else { return };
        let mut looks = interval(allowed / PINGS);
        let mut pulse = None;
        loop {
            looks.tick().await;
            let pulse = match &mut pulse {
                Some(pulse) => pulse,
                // Whether it starts at all is for systemd's start-up limit to judge.
                None => match self.workers.get() {
                    Some(workers) => pulse.insert(Pulse::of(workers)),
                    None => continue,
                },
            };
            match pulse.stuck() {
                None => self.manager.tell(&[Note::Watchdog]),
                Some(worker) => log::error!("worker {worker} has been stuck in one task since the last look"),
            }
        }
    }
}

/// What each worker of a runtime had done when it was looked at last.
struct Pulse {
    metrics: RuntimeMetrics,
    seen: Vec<Seen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Times that the worker went to sleep and woke; odd while it sleeps.
    sleeps: u64,
    /// Grows with each batch of tasks.
    busy: Duration,
}

impl Pulse {
    fn of(workers: &Handle) -> Self {
        let metrics = workers.metrics();
        // Nobody has been seen to stand still yet.
        let seen = vec![Seen { sleeps: u64::MAX, busy: Duration::MAX }; metrics.num_workers()];
        Self { metrics, seen }
    }

    /// The first worker that is awake and has done nothing since the last look.
    fn stuck(&mut self) -> Option<usize> {
        let mut stuck = None;
        for (worker, seen) in self.seen.iter_mut().enumerate() {
            let now = Seen {
                sleeps: self.metrics.worker_park_unpark_count(worker),
                busy: self.metrics.worker_total_busy_duration(worker),
            };
            let asleep = !now.sleeps.is_multiple_of(2);
            if !asleep && now == *seen {
                stuck = stuck.or(Some(worker));
            }
            *seen = now;
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_worker_that_is_stuck_is_found_and_busy_and_idle_ones_are_not() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut pulse = Pulse::of(runtime.handle());
        // Long enough for a thread that waits for its processor on a busy machine.
        let look = |pulse: &mut Pulse| {
            std::thread::sleep(Duration::from_millis(500));
            pulse.stuck()
        };
        assert_eq!([look(&mut pulse), look(&mut pulse)], [None; 2], "idle");

        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let over = Arc::clone(&over);
            runtime.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    tokio::task::yield_now().await;
                }
            });
        }
        assert_eq!([look(&mut pulse), look(&mut pulse)], [None; 2], "busy");
        over.store(true, Ordering::Relaxed);

        let release = Arc::new(AtomicBool::new(false));
        let held = Arc::clone(&release);
        runtime.spawn(async move {
            while !held.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let begun = Instant::now();
        while look(&mut pulse).is_none() {
            assert!(begun.elapsed() < Duration::from_secs(20), "not found");
        }
        release.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        while look(&mut pulse).is_some() {
            assert!(begun.elapsed() < Duration::from_secs(20), "never forgiven");
        }
    }
}

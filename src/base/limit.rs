//! Limits on waiting that cost next to nothing while they are not reached.
//!
//! A task has one timer for all its waits. A wait that is not over looks whether the timer goes off early enough for it, and
//! sets it only if not; when it goes off, whoever still waits looks at the clock and sets it anew. So a connection sets its
//! timer about once a minute, not for each request or each event of a stream, and takes no lock of the runtime's in
//! between. Pingora's timers, which are for the same purpose, are kept until they would have gone off.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

tokio::task_local! {
    static TIMER: RefCell<Timer>;
}

/// The timer that a task's waits share.
#[derive(Debug, Default)]
struct Timer {
    /// The task's own. What is polled with another one has a timer of its own: this one would not wake it.
    waker: Option<Waker>,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// The end of one wait.
#[derive(Debug)]
pub struct Limit {
    when: When,
    /// Where no timer is shared.
    own: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Clone, Copy)]
enum When {
    At(Instant),
    /// So long after it is first waited for in vain: most waits are over before there is need to look at the clock.
    After(Duration),
}

/// The limit was reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late;

/// A future with a limit.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Limited<F> {
    future: F,
    limit: Limit,
}

/// Waits until a moment at the latest.
pub fn until<F: Future + Unpin>(moment: std::time::Instant, future: F) -> Limited<F> {
    Limited { future, limit: Limit::new(When::At(moment.into())) }
}

/// Waits for so long at the longest.
pub fn within<F: Future + Unpin>(time: Duration, future: F) -> Limited<F> {
    Limited { future, limit: Limit::after(time) }
}

/// Runs a task whose waits share one timer. Within such a task, it shares that one.
pub async fn sharing<F: Future + Unpin>(mut task: F) -> F::Output {
    if TIMER.try_with(|_| ()).is_ok() {
        return task.await;
    }
    let task = poll_fn(|context| {
        TIMER.with(|timer| timer.borrow_mut().belongs_to(context.waker()));
        Pin::new(&mut task).poll(context)
    });
    TIMER.scope(RefCell::default(), pin!(task)).await
}

impl Limit {
    pub fn after(time: Duration) -> Self {
        Self::new(When::After(time))
    }

    fn new(when: When) -> Self {
        Self { when, own: None }
    }

    /// Whether it is reached. If not, the task is woken when it is, at the latest.
    pub fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let moment = match self.when {
            When::At(moment) => moment,
            When::After(time) => Instant::now() + time,
        };
        self.when = When::At(moment);
        let shared = TIMER.try_with(|timer| timer.borrow_mut().is_over(moment, context));
        shared.ok().flatten().unwrap_or_else(|| {
            let own = self.own.get_or_insert_with(|| Box::pin(sleep_until(moment)));
            own.as_mut().poll(context).is_ready()
        })
    }
}

impl Timer {
    fn belongs_to(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
            // Whatever it would wake is woken now.
            self.sleep = None;
        }
    }

    /// `None` where it would not wake whoever asks.
    fn is_over(&mut self, moment: Instant, context: &mut Context<'_>) -> Option<bool> {
        if !self.waker.as_ref()?.will_wake(context.waker()) {
            return None;
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(moment)));
        if sleep.deadline() <= moment && sleep.as_mut().poll(context).is_pending() {
            return Some(false);
        }
        if Instant::now() >= moment {
            return Some(true);
        }
        sleep.as_mut().reset(moment);
        Some(sleep.as_mut().poll(context).is_ready())
    }
}

impl<F: Future + Unpin> Future for Limited<F> {
    type Output = Result<F::Output, Late>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.future).poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.limit.is_over(context) => Poll::Ready(Err(Late)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(100);

    async fn reached(limit: Duration) -> Duration {
        let begun = Instant::now();
        assert_eq!(within(limit, pending::<()>()).await, Err(Late));
        begun.elapsed()
    }

    /// With a timer that is shared and without one.
    async fn each_way<F: Future>(run: impl Fn() -> F) {
        run().await;
        sharing(pin!(run())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_in_time_passes() {
        each_way(async || {
            assert_eq!(within(MOMENT, pin!(async { 7 })).await, Ok(7));
            let half = pin!(sleep(MOMENT / 2));
            assert_eq!(within(MOMENT, half).await, Ok(()));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn limits_are_reached_in_any_order() {
        each_way(async || {
            for factor in [1, 3, 2, 10, 1] {
                let took = reached(MOMENT * factor).await;
                assert!(took >= MOMENT * factor && took < MOMENT * factor + MOMENT / 2, "{factor}: {took:?}");
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_shorter_one_of_two_counts_whichever_is_around_the_other() {
        each_way(async || {
            for (outer, inner) in [(1, 5), (5, 1)] {
                let begun = Instant::now();
                let waited = within(MOMENT * outer, within(MOMENT * inner, pending::<()>())).await;
                assert_eq!(waited, if outer < inner { Err(Late) } else { Ok(Err(Late)) });
                assert!(begun.elapsed() >= MOMENT && begun.elapsed() < MOMENT * 2);
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_polled_in_a_way_of_its_own_is_woken_too() {
        each_way(async || {
            let waits = [3, 1, 2].map(|factor| Box::pin(reached(MOMENT * factor)));
            for (factor, took) in [3, 1, 2].into_iter().zip(join_all(waits).await) {
                assert!(took >= MOMENT * factor && took < MOMENT * factor + MOMENT / 2, "{factor}: {took:?}");
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_set_once_for_many_waits() {
        let task = pin!(async {
            let mut set = Vec::new();
            for _ in 0..1_000 {
                let moment = pin!(sleep(Duration::from_millis(1)));
                within(Duration::from_secs(60), moment).await.unwrap();
                set.push(TIMER.with(|timer| timer.borrow().sleep.as_ref().unwrap().deadline()));
            }
            set.dedup();
            assert_eq!(set.len(), 1);
        });
        sharing(task).await;
    }
}

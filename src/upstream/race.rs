//! Several ways to the same thing, each with a head start over the next (RFC 8305, section 5): one that is dead costs
//! that head start, not the whole time there is.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

/// The first success among `ways`, which begin one after the other: the next one when all before it have failed, or
/// when nothing came of them for `head_start`. When all have failed, the failure of the first; `None` without a way.
pub async fn race<W, T, E, F>(
    ways: impl IntoIterator<Item = W>,
    head_start: Duration,
    go: impl Fn(W) -> F,
) -> Option<Result<T, E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut ways = ways.into_iter().peekable();
    let (mut running, mut failed) = (FuturesUnordered::new(), Vec::new());
    running.push(numbered(0, go(ways.next()?)));
    let mut begun = 1;
    loop {
        let next = async {
            match ways.peek() {
                Some(_) => sleep(head_start).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((number, ended)) = running.next() => match ended {
                Ok(success) => return Some(Ok(success)),
                Err(failure) => failed.push((number, failure)),
            },
            () = next => {}
        }
        if let Some(way) = ways.next() {
            running.push(numbered(begun, go(way)));
            begun += 1;
        }
        if running.is_empty() {
            return failed.into_iter().min_by_key(|(number, _)| *number).map(|(_, failure)| Err(failure));
        }
    }
}

async fn numbered<F: Future>(number: usize, future: F) -> (usize, F::Output) {
    (number, future.await)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const HEAD_START: Duration = Duration::from_millis(250);

    /// A way that ends after some milliseconds.
    async fn after(millis: u64, end: Result<&'static str, &'static str>) -> Result<&'static str, &'static str> {
        sleep(Duration::from_millis(millis)).await;
        end
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_way_costs_its_head_start() {
        let begun = Instant::now();
        let won = race([(60_000, Ok("dead")), (20, Ok("alive"))], HEAD_START, |(millis, end)| after(millis, end)).await;
        assert_eq!(won, Some(Ok("alive")));
        assert_eq!(begun.elapsed().as_millis(), 270);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once_and_a_slow_way_may_still_win() {
        let begun = Instant::now();
        let ways = [(10, Err("refused")), (400, Ok("slow")), (900, Ok("slower"))];
        assert_eq!(race(ways, HEAD_START, |(millis, end)| after(millis, end)).await, Some(Ok("slow")));
        assert_eq!(begun.elapsed().as_millis(), 410);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_first_tells_why() {
        let ways = [(500, Err("first")), (10, Err("second"))];
        assert_eq!(race(ways, HEAD_START, |(millis, end)| after(millis, end)).await, Some(Err("first")));
        let none: [(u64, Result<&str, &str>); 0] = [];
        assert_eq!(race(none, HEAD_START, |(millis, end)| after(millis, end)).await, None);
    }
}

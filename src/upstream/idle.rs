//! Connections over HTTP/1.1 that wait for their next exchange.
//!
//! Pingora's pool has a task and a timer for each of them, made and ended with every request; its timers are kept until
//! they would have fired. Here nobody watches a connection that waits: whoever takes one looks whether it is still open,
//! and a sweep every few seconds closes those that the server has closed or that have waited for too long.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use pingora::protocols::Stream;
use tokio::io::AsyncReadExt;
use tokio::task::unconstrained;

use super::host::IDLE;
use crate::base::locks::lock;

/// How often those that have waited are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// Parts of a shelf, so that threads hardly ever meet at one.
const PARTS: usize = 8;

/// Connections on one part. Those that find no room are closed.
const ROOM: usize = 1_024;

/// All connections of a process that a sweep leaves; of more, it closes the oldest of each part.
const MOST: usize = 1_024;

thread_local! {
    /// The part where a thread puts its connections and looks first.
    static PART: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % PARTS
    };
}

/// All that wait in one process.
#[derive(Default)]
pub(super) struct Idle {
    /// By the address and the peer's own hash, which tells apart all that must not be mixed.
    shelves: Mutex<HashMap<(SocketAddr, u64), Arc<Shelf>>>,
    swept: AtomicBool,
}

/// Those that lead to one address in one way.
#[derive(Default)]
pub(super) struct Shelf {
    parts: [Mutex<Vec<Waiting>>; PARTS],
}

struct Waiting {
    stream: Stream,
    since: Instant,
}

impl Idle {
    pub fn shelf(&self, address: SocketAddr, peer: u64) -> Arc<Shelf> {
        Arc::clone(lock(&self.shelves).entry((address, peer)).or_default())
    }

    /// Puts a connection on a shelf, unless the server has closed it or has said something unasked.
    pub fn put(self: &Arc<Self>, shelf: &Shelf, mut stream: Stream) {
        if !is_open(&mut stream) {
            return;
        }
        shelf.put(Waiting { stream, since: Instant::now() });
        if !self.swept.load(Ordering::Relaxed) && !self.swept.swap(true, Ordering::Relaxed) {
            tokio::spawn(sweeping(Arc::downgrade(self)));
        }
    }

    fn sweep(&self, now: Instant) {
        let mut shelves = lock(&self.shelves);
        shelves.values().for_each(|shelf| shelf.sweep(now));
        let all = shelves.values().map(|shelf| shelf.len()).sum::<usize>();
        if all > MOST {
            shelves.values().for_each(|shelf| shelf.cut(MOST, all));
        }
        // Callers may name endpoints of their own, and no host has a shelf for ever.
        shelves.retain(|_, shelf| Arc::strong_count(shelf) > 1 || !shelf.is_empty());
    }
}

async fn sweeping(idle: Weak<Idle>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(idle) = idle.upgrade() else { return };
        idle.sweep(Instant::now());
    }
}

impl Shelf {
    /// The connection that was put here last, as far as it is still open.
    pub fn take(&self) -> Option<Stream> {
        let first = PART.with(|part| *part);
        (first..first + PARTS).find_map(|part| self.take_from(&self.parts[part % PARTS]))
    }

    fn take_from(&self, part: &Mutex<Vec<Waiting>>) -> Option<Stream> {
        loop {
            let Waiting { mut stream, since } = lock(part).pop()?;
            if since.elapsed() < IDLE && is_open(&mut stream) {
                return Some(stream);
            }
        }
    }

    fn put(&self, waiting: Waiting) {
        let mut part = lock(&self.parts[PART.with(|part| *part)]);
        if part.len() < ROOM {
            part.push(waiting);
        }
    }

    fn sweep(&self, now: Instant) {
        let stays = |waiting: &mut Waiting| now - waiting.since < IDLE && is_open(&mut waiting.stream);
        self.parts.iter().for_each(|part| lock(part).retain_mut(stays));
    }

    /// Keeps its share when so many of all may stay: those that were put here last.
    fn cut(&self, most: usize, all: usize) {
        for part in &self.parts {
            let mut part = lock(part);
            let surplus = part.len() - part.len() * most / all;
            part.drain(..surplus);
        }
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Nothing is to be read on a connection that waits: neither an end nor an answer that nobody has asked for.
fn is_open(stream: &mut Stream) -> bool {
    // The runtime would answer "not now" to a task that has done much in its turn.
    let read = unconstrained(stream.read(&mut [0; 1])).now_or_never();
    if matches!(read, Some(Ok(1..))) {
        log::warn!("an upstream said something on a connection on which nothing was asked; it was closed");
    }
    read.is_none()
}

#[cfg(test)]
mod tests {
    use pingora::protocols::l4::stream::Stream as Connection;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn to(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Box::new(Connection::from(client)), listener.accept().await.unwrap().0)
    }

    /// Until the runtime has noticed what came.
    async fn noticed(shelf: &Shelf) {
        let still_open = || shelf.parts.iter().any(|part| lock(part).iter_mut().any(|w| is_open(&mut w.stream)));
        while still_open() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn the_last_one_put_is_the_first_one_taken() {
        let (idle, shelf) = (Arc::new(Idle::default()), Shelf::default());
        let ((one, _one), (other, _other)) = (pair().await, pair().await);
        let ids = (one.id(), other.id());
        idle.put(&shelf, one);
        idle.put(&shelf, other);
        assert_eq!((shelf.take().unwrap().id(), shelf.take().unwrap().id()), (ids.1, ids.0));
        assert!(shelf.take().is_none());
    }

    #[tokio::test]
    async fn one_that_was_closed_or_that_speaks_unasked_is_not_used() {
        for speaks in [true, false] {
            let (idle, shelf) = (Arc::new(Idle::default()), Shelf::default());
            let (stream, mut server) = pair().await;
            idle.put(&shelf, stream);
            if speaks {
                server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
            } else {
                drop(server);
            }
            noticed(&shelf).await;
            assert!(shelf.take().is_none(), "{speaks}");
        }
    }

    #[tokio::test]
    async fn a_sweep_closes_those_that_were_closed_or_have_waited_for_long() {
        let idle = Arc::new(Idle::default());
        let shelf = idle.shelf(to(1), 1);
        let ((one, _one), (other, there)) = (pair().await, pair().await);
        idle.put(&shelf, one);
        idle.sweep(Instant::now());
        assert!(!shelf.is_empty());
        idle.sweep(Instant::now() + IDLE);
        assert!(shelf.is_empty());
        idle.put(&shelf, other);
        drop(there);
        noticed(&shelf).await;
        idle.sweep(Instant::now());
        assert!(shelf.is_empty());
    }

    #[tokio::test]
    async fn a_shelf_goes_with_its_host() {
        let idle = Arc::new(Idle::default());
        let (stream, _server) = pair().await;
        let shelf = idle.shelf(to(1), 1);
        idle.put(&shelf, stream);
        drop(shelf);
        idle.sweep(Instant::now());
        assert!(!idle.shelf(to(1), 1).is_empty(), "a successor of the host finds the connections");
        idle.sweep(Instant::now() + IDLE);
        assert!(lock(&idle.shelves).is_empty());
    }

    #[tokio::test]
    async fn of_too_many_the_oldest_are_closed() {
        let (idle, mut servers, mut last) = (Arc::new(Idle::default()), Vec::new(), Vec::new());
        for port in [1, 2] {
            let shelf = idle.shelf(to(port), 1);
            for _ in 0..10 {
                let (stream, server) = pair().await;
                servers.push(server);
                last.push(stream.id());
                idle.put(&shelf, stream);
            }
            shelf.cut(10, 20);
            assert_eq!(shelf.len(), 5);
            assert_eq!(shelf.take().unwrap().id(), *last.last().unwrap());
        }
    }
}

//! The listener and its connections: HTTP/1.1 and HTTP/2, with or without TLS, each connection cut when asked to.
//! What is answered is left to `exchange`.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::exchange;
use super::line::{Cut, Line, Pipe};
use super::simulation::Simulation;

/// Uploads are not to wait for window updates.
const WINDOW: u32 = 4 << 20;

/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 1000;

/// How long to rest when the system has no more sockets.
const BREATH: Duration = Duration::from_millis(20);

/// Accepts until the task is aborted; its connections end with it.
pub async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, simulation: Arc<Simulation>) {
    let mut connections = JoinSet::new();
    let mut next_id = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        next_id += 1;
        let line = Arc::new(Line::new(next_id));
        let open = Open::new(Arc::clone(&simulation));
        connections.spawn(connection(stream, tls.clone(), Arc::clone(&simulation), line, open));
    }
}

/// Counts a connection while it lives.
struct Open(Arc<Simulation>);

impl Open {
    fn new(simulation: Arc<Simulation>) -> Self {
        let counters = &simulation.log.counters;
        counters.connections.fetch_add(1, Ordering::Relaxed);
        counters.open_connections.fetch_add(1, Ordering::Relaxed);
        Self(simulation)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.log.counters.open_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    simulation: Arc<Simulation>,
    line: Arc<Line>,
    _open: Open,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let pipe = match tls {
        None => Pipe::plain(stream, Arc::clone(&line)),
        Some(tls) => Pipe::tls(tls.accept(stream).await?, Arc::clone(&line)),
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(STREAMS).initial_stream_window_size(WINDOW);
    builder.http2().initial_connection_window_size(WINDOW).max_header_list_size(1 << 20);
    let service = {
        let line = Arc::clone(&line);
        service_fn(move |request| exchange::serve(Arc::clone(&simulation), Arc::clone(&line), request))
    };
    let mut serving = pin!(builder.serve_connection(TokioIo::new(pipe), service));
    loop {
        tokio::select! {
            // An error here is the caller's going away, which the record shows.
            _ = serving.as_mut() => return Ok(()),
            how = line.to_be_cut() => match how {
                Cut::GoAway => serving.as_mut().graceful_shutdown(),
                Cut::Close | Cut::Reset => return Ok(()),
            },
        }
    }
}

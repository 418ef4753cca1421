//! The upstream: answers a chat request with 1.4 KB of JSON, or with a stream, as fast as a single thread can.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Events of a paced stream, and the time between them.
pub const EVENTS: u64 = 100;
const PACE: Duration = Duration::from_millis(5);

/// `PORT [CERTIFICATE KEY]`, the files in PEM.
pub fn run(arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tls = (arguments.len() > 1).then(|| acceptor(&arguments[1], &arguments[2]));
    runtime.block_on(async {
        let listener = TcpListener::bind(format!("127.0.0.1:{}", arguments[0])).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve(stream, tls.clone()));
        }
    });
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let certified = azgate::base::certificate::certified_key(&read(certificate), &read(key)).unwrap();
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>) {
    match tls {
        None => answer(stream).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                answer(stream).await;
            }
        }
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let plain = plain();
    let mut buffer = Vec::new();
    while let Some(body) = request(&mut stream, &mut buffer).await {
        let sent = match body {
            Wanted::Plain => stream.write_all(&plain).await,
            Wanted::Paced => paced(&mut stream, EVENTS).await,
            Wanted::Idle => {
                let _ = paced(&mut stream, 1).await;
                std::future::pending().await
            }
        };
        if sent.and(stream.flush().await).is_err() {
            return;
        }
    }
}

enum Wanted {
    Plain,
    Paced,
    Idle,
}

/// Reads one request; its body says in `user` what is wanted.
async fn request<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<Wanted> {
    loop {
        if let Some(head) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let end = head + 4 + length.map_or(0, |length| length.trim().parse().unwrap());
            if buffer.len() >= end {
                let body = &buffer[head + 4..end];
                let has = |what: &[u8]| memchr::memmem::find(body, what).is_some();
                let wanted = match () {
                    () if has(br#""user":"idle""#) => Wanted::Idle,
                    () if has(br#""user":"paced""#) => Wanted::Paced,
                    () => Wanted::Plain,
                };
                buffer.drain(..end);
                return Some(wanted);
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn plain() -> Vec<u8> {
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-2024-11-20","choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"{}"}}}}],"usage":{{"prompt_tokens":200,"completion_tokens":180,"total_tokens":380}}}}"#,
        "word ".repeat(220)
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-ms-region: Test\r\napim-request-id: 1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn paced<S: AsyncWrite + Unpin>(stream: &mut S, events: u64) -> std::io::Result<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let event = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o-2024-11-20\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n";
    let mut ticks = tokio::time::interval(PACE);
    for _ in 0..events {
        ticks.tick().await;
        stream.write_all(chunk(event).as_bytes()).await?;
        stream.flush().await?;
    }
    if events == 1 {
        return Ok(());
    }
    stream.write_all((chunk("data: [DONE]\n\n") + "0\r\n\r\n").as_bytes()).await
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

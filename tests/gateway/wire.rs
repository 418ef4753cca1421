//! HTTP/1.1 as it goes over the wire: `wire/cases.txt` has requests, right and wrong ones, with the exact answers
//! (RFC 9110, RFC 9112). However a request is cut into pieces, the answers are the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::*;

/// Connections at the same time.
const AT_ONCE: usize = 24;
/// How long a connection stays quiet that is said to stay open.
const QUIET: Duration = Duration::from_millis(150);

#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    /// Statuses in order, then `open` or `closed`.
    pub answers: String,
    pub upstream: usize,
    pub request: Vec<u8>,
}

impl Case {
    /// The final statuses, and whether the connection is then open; of two ways that are right, the first.
    fn outcome(&self) -> (Vec<&str>, bool) {
        let answers = self.answers.split(" or ").next().unwrap_or_default();
        let (statuses, end) = answers.rsplit_once(' ').unwrap_or_default();
        let is_final = |status: &&str| !status.starts_with('1') && *status != "none";
        (statuses.split(' ').filter(is_final).collect(), end == "open")
    }

    /// How many requests the gateway answers with what they ask for.
    pub fn served(&self) -> usize {
        self.outcome().0.iter().filter(|status| status.starts_with('2')).count()
    }

    /// How many requests the gateway sees: what is refused at the end together with the connection is none.
    pub fn understood(&self) -> usize {
        let (statuses, open) = self.outcome();
        let refused = |status: &&&str| !open && matches!(**status, "400" | "413" | "431" | "505");
        statuses.len() - usize::from(statuses.last().filter(refused).is_some())
    }
}

pub fn cases() -> Vec<Case> {
    let lines = include_str!("wire/cases.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &str| {
        let [name, answers, upstream, request] = line.splitn(4, " | ").collect::<Vec<_>>().try_into().expect(line);
        let (name, answers) = (String::from(name), String::from(answers));
        Case { name, answers, upstream: upstream.parse().expect(line), request: bytes(&filled(request)) }
    };
    lines.map(case).collect()
}

fn filled(request: &str) -> String {
    let body = chat_body("Hi").to_string();
    let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
    let many: String = (0..300).map(|number| format!("x-{number}: y\r\n")).collect();
    let (first, second) = body.split_at(body.len() / 2);
    [
        ("{auth}", format!("api-key: {KEY}\r\n")),
        ("{len}", body.len().to_string()),
        ("{hex}", format!("{:x}", body.len())),
        ("{HEX}", format!("{:X}", body.len())),
        ("{hexmore}", format!("{:x}", body.len() + 1)),
        ("{half1}", chunk(first)),
        ("{half2}", chunk(second)),
        ("{manyheaders}", many),
        ("{body}", body.clone()),
    ]
    .into_iter()
    .fold(request.to_owned(), |text, (name, value)| text.replace(name, &value.replace('"', "\\\"")))
}

/// The bytes that an escaped text stands for.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match rest.next().expect("an escape") {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            'x' => u8::from_str_radix(&rest.by_ref().take(2).collect::<String>(), 16).expect("two digits"),
            other => other as u8,
        });
    }
    bytes
}

/// How a request is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Whole,
    EveryByte,
    Three,
}

async fn send_cut(stream: &mut TcpStream, request: &[u8], cut: Cut) {
    let third = request.len() / 3;
    let pieces: Vec<&[u8]> = match cut {
        Cut::Whole => vec![request],
        Cut::EveryByte => request.chunks(1).collect(),
        Cut::Three => vec![&request[..third], &request[third..2 * third], &request[2 * third..]],
    };
    for piece in pieces {
        // A connection that was refused takes no more.
        if stream.write_all(piece).await.is_err() {
            return;
        }
        match cut {
            Cut::Whole => {}
            Cut::EveryByte => tokio::task::yield_now().await,
            Cut::Three => tokio::time::sleep(Duration::from_millis(4)).await,
        }
    }
}

/// What came back, in the words of the table.
async fn answers(address: SocketAddr, case: &Case, cut: Cut) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    send_cut(&mut stream, &case.request, cut).await;
    let right = || case.answers.split(" or ");
    let wanted = right().next().unwrap_or("").split(' ').filter(|word| word.len() == 3).count();
    let (mut received, mut closed) = (Vec::new(), false);
    let heads_only = case.request.starts_with(b"HEAD ");
    loop {
        let seen = in_words(&received, heads_only);
        let stays = right().any(|right| right == format!("{seen} open"));
        // Nothing more is expected of a connection that stays open; for an end one waits as long as it takes.
        let complete = statuses(&received, heads_only).len() >= wanted;
        let patience = if complete && stays { QUIET } else { Duration::from_secs(20) };
        let mut chunk = [0; 4096];
        match tokio::time::timeout(patience, stream.read(&mut chunk)).await {
            Err(_) => break,
            Ok(Ok(length)) if length > 0 => received.extend_from_slice(&chunk[..length]),
            Ok(_) => {
                closed = true;
                break;
            }
        }
    }
    let end = if closed { "closed" } else { "open" };
    format!("{} {end}", in_words(&received, heads_only))
}

fn in_words(received: &[u8], heads_only: bool) -> String {
    let statuses = statuses(received, heads_only);
    if statuses.is_empty() { "none".to_owned() } else { statuses.join(" ") }
}

/// The statuses of the complete answers.
pub fn statuses(mut received: &[u8], heads_only: bool) -> Vec<String> {
    let mut statuses = Vec::new();
    while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let length = if heads_only { 0 } else { length.unwrap_or(0) };
        if received.len() < end + 4 + length {
            break;
        }
        statuses.push(head.split(' ').nth(1).unwrap_or("?").to_owned());
        received = &received[end + 4 + length..];
    }
    statuses
}

async fn run(cut: Cut) {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let cases = cases();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = Vec::new();
    for case in cases.clone() {
        let (room, address) = (Arc::clone(&room), gateway.address);
        running.push(tokio::spawn(async move {
            let _permit = room.acquire().await.unwrap();
            let seen = answers(address, &case, cut).await;
            (!case.answers.split(" or ").any(|right| right == seen))
                .then(|| format!("{}: expected {}, got {seen}", case.name, case.answers))
        }));
    }
    let mut wrong = Vec::new();
    for case in running {
        wrong.extend(case.await.unwrap());
    }
    assert!(wrong.is_empty(), "{cut:?}:\n{}", wrong.join("\n"));
    let seen = azure.recorded();
    assert_eq!(seen.len(), cases.iter().map(|case| case.upstream).sum::<usize>(), "requests at the upstream");
    for request in seen {
        assert_eq!(request.path, "/openai/deployments/chat-east/chat/completions");
        assert_eq!(request.body_sha256, seen_once(), "the body is the caller's, whatever framed it");
    }
}

/// The hash of the one body that every right request has, as the upstream gets it.
fn seen_once() -> String {
    use sha2::{Digest, Sha256};
    let sent = chat_body("Hi").to_string().replace("gpt-4o", "chat-east");
    data_encoding::HEXLOWER.encode(&Sha256::digest(sent.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_answered_as_the_table_says() {
    run(Cut::Whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_answered_alike_when_it_comes_byte_by_byte() {
    run(Cut::EveryByte).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_answered_alike_when_it_comes_in_three_pieces() {
    run(Cut::Three).await;
}

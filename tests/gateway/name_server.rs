//! A name server over UDP and TCP that answers every question in the way a test wants at the moment (RFC 1035).

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// What becomes of a question.
#[derive(Debug, Clone)]
pub enum Manner {
    /// These addresses, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// The same after a while.
    Late(Duration, Vec<IpAddr>, u32),
    /// The same over TCP alone; over UDP the answer is cut short.
    TooLong(Vec<IpAddr>, u32),
    NoSuchName,
    ServerFailure,
    Silence,
}

pub struct NameServer {
    pub address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
}

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

impl NameServer {
    pub async fn start(manner: Manner) -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (Arc::new(udp), tcp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let (manner, asked) = (Arc::new(Mutex::new(manner)), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(serve_udp(udp, Arc::clone(&manner), Arc::clone(&asked)));
        tokio::spawn(serve_tcp(tcp, Arc::clone(&manner)));
        Self { address, manner, asked }
    }

    /// From now on.
    pub fn answers(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Questions for IPv4 addresses that came over UDP.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, manner: Arc<Mutex<Manner>>, asked: Arc<AtomicUsize>) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let question = buffer[..length].to_vec();
        if kind(&question) == TYPE_A {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        let (socket, manner) = (Arc::clone(&socket), manner.lock().unwrap().clone());
        tokio::spawn(async move {
            if let Some(answer) = answer(&question, manner, true).await {
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, manner: Arc<Mutex<Manner>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_stream(stream, Arc::clone(&manner)));
    }
}

async fn serve_stream(mut stream: TcpStream, manner: Arc<Mutex<Manner>>) {
    while let Ok(length) = stream.read_u16().await {
        let mut question = vec![0; length.into()];
        if stream.read_exact(&mut question).await.is_err() {
            return;
        }
        let manner = manner.lock().unwrap().clone();
        if let Some(answer) = answer(&question, manner, false).await {
            let _ = stream.write_u16(answer.len() as u16).await;
            let _ = stream.write_all(&answer).await;
        }
    }
}

async fn answer(question: &[u8], manner: Manner, over_udp: bool) -> Option<Vec<u8>> {
    const TRUNCATED: u16 = 0x0200;
    match manner {
        Manner::Silence => None,
        Manner::NoSuchName => Some(message(question, 3, &[], 0)),
        Manner::ServerFailure => Some(message(question, 2, &[], 0)),
        Manner::TooLong(..) if over_udp => Some(message(question, TRUNCATED, &[], 0)),
        Manner::TooLong(ips, ttl) | Manner::Addresses(ips, ttl) => Some(message(question, 0, &ips, ttl)),
        Manner::Late(after, ips, ttl) => {
            tokio::time::sleep(after).await;
            Some(message(question, 0, &ips, ttl))
        }
    }
}

/// Where the one question ends: its name, type and class.
fn question_end(question: &[u8]) -> usize {
    let mut at = HEADER;
    while question[at] != 0 {
        at += 1 + usize::from(question[at]);
    }
    at + 5
}

fn kind(question: &[u8]) -> u16 {
    let end = question_end(question);
    u16::from_be_bytes([question[end - 4], question[end - 3]])
}

fn message(question: &[u8], flags: u16, ips: &[IpAddr], ttl: u32) -> Vec<u8> {
    let wanted = kind(question);
    let data = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) if wanted == TYPE_A => Some(ip.octets().to_vec()),
        IpAddr::V6(ip) if wanted == TYPE_AAAA => Some(ip.octets().to_vec()),
        _ => None,
    };
    let records: Vec<Vec<u8>> = ips.iter().filter_map(data).collect();
    let mut message = question[..2].to_vec();
    message.extend((0x8180 | flags).to_be_bytes());
    for count in [1, records.len() as u16, 0, 0] {
        message.extend(count.to_be_bytes());
    }
    message.extend(&question[HEADER..question_end(question)]);
    for data in records {
        // The name is the question's.
        message.extend([0xc0, HEADER as u8]);
        message.extend(wanted.to_be_bytes());
        message.extend(1u16.to_be_bytes());
        message.extend(ttl.to_be_bytes());
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    }
    message
}

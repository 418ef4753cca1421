//! What one large file costs in memory, on its way up and down: `cargo bench --bench uploads -- [--mebibytes N]`.
//! Prints a table; fails when the gateway's peak has grown by more than a body may hold.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails may panic, and prints its results")]

mod gateway;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use azgate::simulator::{self, Running, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use gateway::{Gateway, number};

const KEY: &str = "upload-key";
const MEBIBYTE: usize = 1024 * 1024;
/// The peak may grow by this much.
const GROWTH_KIB: u64 = 40 * 1024;
const HEAD: &str = "--f1le\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--f1le\r\nContent-Disposition: \
                    form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n";
const TAIL: &str = "\r\n--f1le--\r\n";

fn main() {
    let mebibytes = usize::try_from(number("--mebibytes", 64)).unwrap();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(carry(mebibytes));
}

async fn carry(mebibytes: usize) {
    let settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), ..Settings::default() };
    let azure = simulator::start(settings).await.unwrap();
    let gateway = start(&azure, mebibytes).await;
    let before = gateway.kib("VmHWM");
    let begun = Instant::now();
    let id = upload(gateway.address, mebibytes).await;
    let (up, after_up) = (begun.elapsed(), gateway.kib("VmHWM"));
    let begun = Instant::now();
    let came = download(gateway.address, &id).await;
    let (down, after_down) = (begun.elapsed(), gateway.kib("VmHWM"));
    println!("| | time, s | peak resident memory, MiB | grown by, MiB |\n|---|---|---|---|");
    let row = |what: &str, took: Duration, peak: u64| {
        let (mib, grown) = (peak as f64 / 1024.0, (peak - before) as f64 / 1024.0);
        println!("| {what} | {:.1} | {mib:.1} | {grown:.1} |", took.as_secs_f64());
    };
    row("before", Duration::ZERO, before);
    row(&format!("{mebibytes} MiB up"), up, after_up);
    row("the same down", down, after_down);
    assert_eq!(came, mebibytes * MEBIBYTE, "the file came back whole");
    assert!(after_down - before <= GROWTH_KIB, "memory has grown with the file");
}

/// Sends the file; its id.
async fn upload(address: SocketAddr, mebibytes: usize) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = HEAD.len() + mebibytes * MEBIBYTE + TAIL.len();
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: gateway\r\napi-key: {KEY}\r\ncontent-type: multipart/form-data; \
         boundary=f1le\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{HEAD}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let part: Vec<u8> = (0..MEBIBYTE).map(|at| (at % 251) as u8).collect();
    for _ in 0..mebibytes {
        stream.write_all(&part).await.unwrap();
    }
    stream.write_all(TAIL.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let file: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    file["id"].as_str().expect("a file").to_owned()
}

/// Reads the content of the file; how many bytes came.
async fn download(address: SocketAddr, id: &str) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /v1/files/{id}/content HTTP/1.1\r\nhost: gateway\r\napi-key: {KEY}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut buffer, mut front, mut came) = (vec![0; MEBIBYTE], Vec::new(), 0);
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            let head = memchr::memmem::find(&front, b"\r\n\r\n").expect("a head");
            return came - head - 4;
        }
        came += read;
        if front.len() < 64 * 1024 {
            front.extend_from_slice(&buffer[..read]);
        }
    }
}

async fn start(azure: &Running, mebibytes: usize) -> Gateway {
    let config = json!({
        "server": {"max_request_body_mb": mebibytes + 1},
        "providers": {"azure": {"keys": [{
            "name": "east", "value": "sim-key", "models": ["*"], "azure_key_config": {"endpoint": azure.base_url()},
        }]}},
        "governance": {"virtual_keys": [{"name": "upload", "value": KEY}]},
    });
    Gateway::start(config).await
}

//! Answers that are not final (1xx) may come at any moment of a request (RFC 9110, section 15.2), asked for or not.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::*;

#[tokio::test]
async fn an_interim_answer_does_not_stop_an_upload() {
    for interim in [
        &["HTTP/1.1 100 Continue\r\n\r\n"][..],
        &["HTTP/1.1 1", "03 Early Hints\r\nlink: <a>\r\n", "\r\n"],
        &["HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"],
    ] {
        let address = upstream(move |mut stream| async move {
            while let Some(head) = read_head(&mut stream).await {
                for part in interim {
                    stream.write_all(part.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                let length = read_body(&mut stream, &head).await.len();
                let answer = plain_answer(&format!(r#"{{"model":"m","received":{length}}}"#));
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await;
        let gateway = Gateway::start(&config(&format!("http://{address}"))).await;
        let body = chat_body(&"x".repeat(6 << 20)).to_string();
        for _ in 0..2 {
            let asking = gateway.post("/v1/chat/completions", &[], body.clone());
            let answer = tokio::time::timeout(Duration::from_secs(10), asking).await.expect("the upload goes on");
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.json()["received"].as_u64().unwrap() > 6 << 20);
        }
    }
}

#[tokio::test]
async fn a_final_answer_behind_interim_ones_still_ends_an_upload() {
    let address = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let refusal = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        stream.write_all(format!("HTTP/1.1 100 Continue\r\n\r\n{refusal}").as_bytes()).await.unwrap();
        // Reads no further: the answer has to be noticed while the request is still being written.
        tokio::time::sleep(Duration::from_secs(20)).await;
    })
    .await;
    let gateway = Gateway::start(&config(&format!("http://{address}"))).await;
    let asking = gateway.post("/v1/chat/completions", &[], chat_body(&"x".repeat(30 << 20)).to_string());
    let answer = tokio::time::timeout(Duration::from_secs(10), asking).await.expect("the answer is noticed");
    assert_eq!(answer.status, 413, "{}", answer.text());
}

#[tokio::test]
async fn interim_answers_without_end_are_a_broken_upstream() {
    let address = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").await.is_ok() {}
    })
    .await;
    let gateway = Gateway::start(&config(&format!("http://{address}"))).await;
    let asking = gateway.post("/v1/chat/completions", &[], chat_body(&"x".repeat(30 << 20)).to_string());
    let answer = tokio::time::timeout(Duration::from_secs(10), asking).await.expect("it is given up");
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_broken"), "{}", answer.text());
}

//! A client that sees the bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of tests fails as a test does")]
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part"
)]

use std::net::SocketAddr;
use std::time::Duration;

use anole_sandbox::{Arrived, Options, Sandbox, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No test waits longer than this for something that must happen.
pub const LONG: Duration = Duration::from_secs(20);

pub const EVENTS: &str = "/visit/events?siteCode=f17c21u1ag&json=true";

/// The two examples of the design, byte for byte.
pub const CONVERSION: &str = r#"{"nonce":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","eventType":"CONVERSION","visitorCode":"245fc8a1b9","goalId":36151,"revenue":23.50}"#;
pub const PAGE: &str = r#"{"nonce":"1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d","eventType":"PAGE","visitorCode":"245fc8a1b9","href":"https://example.com/checkout","title":"Checkout"}"#;

#[derive(Debug)]
pub struct Answer {
    /// 0 when the connection was closed without an answer.
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

pub async fn start(options: Options) -> Sandbox {
    Sandbox::start(options).await.unwrap()
}

/// One request on a connection of its own, with a User-Agent that is allowed unless another is given.
pub async fn call(address: SocketAddr, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut head = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "user-agent") {
        head.push_str("user-agent: anole/0.1.0\r\n");
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut bytes = Vec::new();
        // What goes wrong here is seen by what is missing in the answer.
        let _sent = stream.write_all(head.as_bytes()).await.is_ok() && stream.write_all(body).await.is_ok();
        let _read = stream.read_to_end(&mut bytes).await.is_ok();
        bytes
    };
    let bytes = timeout(LONG, exchange).await.expect("an answer or an end comes");
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let status = head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
    Answer { status, head, body: bytes.get(at + 4..).unwrap_or_default().to_vec() }
}

pub async fn post(sandbox: &Sandbox, target: &str, body: &str) -> Answer {
    call(sandbox.address(), &format!("POST {target}"), &[], body.as_bytes()).await
}

/// Sends one event in JSON and gives what became of it.
pub async fn judge(sandbox: &Sandbox, event: &str) -> Arrived {
    let answer = post(sandbox, EVENTS, &format!("[{event}]")).await;
    assert_eq!(answer.status, 204, "{event}: {}", answer.text());
    sandbox.events(&anole_sandbox::Filter::default()).pop().unwrap()
}

pub fn codes(event: &Arrived) -> Vec<&'static str> {
    event.reasons.iter().map(|reason| reason.code).collect()
}

pub fn count(sandbox: &Sandbox, verdict: Verdict) -> u64 {
    sandbox.stats().verdicts.get(&verdict).copied().unwrap_or(0)
}

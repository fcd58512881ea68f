//! A listener on a free port, and a client that sees the bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of tests fails as a test does")]
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anole_http::{ListenOptions, Listener, ManualClock, Peer, Shutdown, body::Body};
use anole_telemetry::Telemetry;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No test waits longer than this for something that must happen.
pub const LONG: Duration = Duration::from_secs(20);

pub struct Running {
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    pub telemetry: Arc<Telemetry>,
    pub served: JoinHandle<()>,
}

pub fn options() -> ListenOptions {
    ListenOptions::new("collect", ([127, 0, 0, 1], 0).into())
}

pub async fn start<S, F>(options: ListenOptions, service: S) -> Running
where
    S: Fn(Request<Incoming>, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let telemetry = Telemetry::new(Arc::new(ManualClock::default()));
    let listener = Listener::bind(options, Arc::clone(&telemetry)).await.unwrap();
    let address = listener.local_addr();
    let shutdown = Shutdown::new();
    let served = tokio::spawn(listener.serve(service, shutdown.clone()));
    Running { address, shutdown, telemetry, served }
}

/// A listener whose answers never end; what it gives beside it is told when a client is gone.
pub async fn start_endless(options: ListenOptions) -> (Running, Arc<Notify>) {
    let gone = Arc::new(Notify::new());
    let told = Arc::clone(&gone);
    let running = start(options, move |_: Request<Incoming>, _| {
        let told = Arc::clone(&told);
        async move {
            let (pieces, body) = Body::channel(1);
            tokio::spawn(async move {
                while pieces.send(vec![b'x'; 1 << 20]).await.is_ok() {}
                told.notify_one();
            });
            Response::new(body)
        }
    })
    .await;
    (running, gone)
}

pub async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

pub async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads up to and with the end of an answer that has a Content-Length.
pub async fn answer(stream: &mut TcpStream) -> String {
    let read = async {
        let mut text = Vec::new();
        loop {
            let seen = String::from_utf8_lossy(&text).to_string();
            if let Some((head, body)) = seen.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    return seen;
                }
            }
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "closed in the middle: {seen}");
        }
    };
    timeout(LONG, read).await.expect("an answer comes")
}

/// Reads until the server closes, which it must.
pub async fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is a way to be closed too.
    let _reset = timeout(LONG, stream.read_to_end(&mut text)).await.expect("the server closes").is_err();
    String::from_utf8_lossy(&text).to_string()
}

/// Waits until so many connections were cut for this reason.
pub async fn counted(running: &Running, reason: &str, count: u64) {
    let line = format!("anole_connections_cut_total{{listener=\"collect\",reason=\"{reason}\"}} {count}\n");
    let counted = async {
        while !running.telemetry.render().contains(&line) {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, counted).await.unwrap_or_else(|_| panic!("never {line}{}", running.telemetry.render()));
}

//! A vendor that takes everything, and answers when it is told to.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A site that asks for ten minutes of silence.
pub(crate) const BUSY: &str = "busybusy00";

/// An event in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The number of the request, in order of arrival.
    pub(crate) request: usize,
    /// The site of the request.
    pub(crate) site: String,
    pub(crate) nonce: String,
    pub(crate) goal: u64,
}

pub(crate) struct Vendor {
    pub(crate) origin: String,
    shared: Arc<Shared>,
}

struct Shared {
    arrived: watch::Sender<Vec<Event>>,
    requests: std::sync::atomic::AtomicUsize,
    /// Sites whose requests are not answered.
    held: watch::Sender<Vec<String>>,
}

impl Vendor {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (arrived, held) = (watch::Sender::default(), watch::Sender::default());
        let shared = Arc::new(Shared { arrived, requests: 0.into(), held });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        Self { origin, shared }
    }

    /// Answers no request of this site until [`Self::let_go`].
    pub(crate) fn hold(&self, site: &str) {
        self.shared.held.send_modify(|held| held.push(site.to_owned()));
    }

    pub(crate) fn let_go(&self, site: &str) {
        self.shared.held.send_modify(|held| held.retain(|known| known != site));
    }

    /// What arrived at a site, once it is so many events.
    pub(crate) async fn arrived(&self, site: &str, events: usize) -> Vec<Event> {
        let of = |all: &Vec<Event>| all.iter().filter(|event| event.site == site).cloned().collect::<Vec<_>>();
        let mut arrived = self.shared.arrived.subscribe();
        let waited = tokio::time::timeout(PATIENCE, arrived.wait_for(|all| of(all).len() >= events)).await;
        let found = waited.map(|found| of(&found.unwrap()));
        found.unwrap_or_else(|_| panic!("{events} did not arrive at {site}: {:?}", self.shared.arrived.borrow()))
    }

    /// What arrived at a site so far.
    pub(crate) fn so_far(&self, site: &str) -> Vec<Event> {
        self.shared.arrived.borrow().iter().filter(|event| event.site == site).cloned().collect()
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        loop {
            let Some((head, body)) = request(&mut stream, &mut buffer).await else { return };
            let site = head.split("siteCode=").nth(1).unwrap().split('&').next().unwrap().to_owned();
            let request = self.requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let items: Vec<Value> = serde_json::from_slice(&body).unwrap();
            let event = |item: &Value| Event {
                request,
                site: site.clone(),
                nonce: item["nonce"].as_str().unwrap().to_owned(),
                goal: item["goalId"].as_u64().unwrap(),
            };
            self.arrived.send_modify(|all| all.extend(items.iter().map(event)));
            let mut held = self.held.subscribe();
            held.wait_for(|held| !held.contains(&site)).await.unwrap();
            let answer: &[u8] = match &*site {
                BUSY => b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 600\r\ncontent-length: 0\r\n\r\n",
                _ => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            };
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

/// The next request on a connection: its head and its body.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let lower = head.to_ascii_lowercase();
            let length: usize = lower.split("content-length: ").nth(1)?.lines().next()?.trim().parse().ok()?;
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

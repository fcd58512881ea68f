//! Events that are posted over bare connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::KEY;
use crate::wire;

/// Connections of a load.
const CONNECTIONS: u64 = 64;
/// Events of one post when the time of each does not matter.
const POST: u64 = 500;
/// After a refusal: the queue is full for a moment.
const AFTER_REFUSAL: Duration = Duration::from_millis(20);
/// So many visitors take turns.
const VISITORS: u64 = 20_000;

/// The message id of an event, which is its nonce.
pub(super) fn id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// Posts single events as fast as they are answered, for some time; how many.
pub(super) async fn saturate(address: SocketAddr, time: Duration) -> Result<u64, String> {
    let (next, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    each_connection(|_| {
        let next = Arc::clone(&next);
        async move {
            let mut poster = Poster::connect(address).await?;
            while started.elapsed() < time {
                poster.post_one(next.fetch_add(1, Ordering::Relaxed)).await?;
            }
            Ok(())
        }
    })
    .await?;
    Ok(next.load(Ordering::Relaxed))
}

/// Posts the events of these numbers evenly, so many a second.
pub(super) async fn pace(address: SocketAddr, numbers: std::ops::Range<u64>, rate: f64) -> Result<(), String> {
    let began = Instant::now();
    let first = numbers.start;
    each_connection(|connection| {
        let numbers = numbers.clone();
        async move {
            let mut poster = Poster::connect(address).await?;
            for number in numbers.skip(connection as usize).step_by(CONNECTIONS as usize) {
                tokio::time::sleep_until(began + Duration::from_secs_f64((number - first) as f64 / rate)).await;
                poster.post_one(number).await?;
            }
            Ok(())
        }
    })
    .await
}

/// Posts the events of these numbers in batches, one after the other.
pub(super) async fn fill(address: SocketAddr, numbers: std::ops::Range<u64>) -> Result<(), String> {
    let mut poster = Poster::connect(address).await?;
    for from in numbers.clone().step_by(POST as usize) {
        let events: Vec<_> = (from..numbers.end.min(from + POST)).map(event).collect();
        poster.post("/v1/batch", &format!(r#"{{"batch":[{}]}}"#, events.join(","))).await?;
    }
    Ok(())
}

async fn each_connection<F>(work: impl Fn(u64) -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut tasks: JoinSet<_> = (0..CONNECTIONS).map(work).collect();
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| error.to_string())??;
    }
    Ok(())
}

fn event(number: u64) -> String {
    wire::event(&id(number), &format!("visitor-{}", number % VISITORS), number)
}

struct Poster {
    stream: TcpStream,
    buffer: Vec<u8>,
}

// === impl Poster ===

impl Poster {
    async fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    async fn post_one(&mut self, number: u64) -> Result<(), String> {
        self.post("/v1/t", &event(number)).await
    }

    /// Posts until it is acknowledged.
    async fn post(&mut self, path: &str, body: &str) -> Result<(), String> {
        let request = wire::request(path, KEY, body);
        loop {
            match wire::exchange(&mut self.stream, &request, &mut self.buffer).await {
                Ok(200) => return Ok(()),
                Ok(429 | 503) => tokio::time::sleep(AFTER_REFUSAL).await,
                Ok(status) => return Err(format!("a post was answered {status}")),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

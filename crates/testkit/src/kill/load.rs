//! A client: posts its events one request after the other until the connection is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;

use super::event::Author;

/// The most events of one request.
const MOST: u64 = 60;
/// How long a client waits after a refusal.
const AFTER_REFUSAL: Duration = Duration::from_millis(5);

/// A client. It lives as long as its block, and posts to one process after the other.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) author: Author,
    pub(super) key: &'static str,
    pub(super) http: reqwest::Client,
    pub(super) rng: Rng,
    /// The number of its next event.
    next: u64,
    /// A request that was not acknowledged and is sent again.
    again: Option<Vec<u64>>,
}

/// What came of the requests to one process.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The numbers of events that were acknowledged, in order.
    pub(super) acknowledged: Vec<u64>,
    /// Requests without an answer.
    pub(super) unanswered: u64,
    /// Of these, how many will be sent again.
    pub(super) repeated: u64,
    /// Answers that may not be.
    pub(super) wrong: Vec<String>,
}

enum Answer {
    Acknowledged,
    Refused,
    Wrong(String),
}

// === impl Client ===

impl Client {
    pub(super) fn new(author: Author, key: &'static str, http: reqwest::Client, rng: Rng) -> Self {
        Self { author, key, http, rng, next: 0, again: None }
    }

    /// Posts until the connection is lost, or it is told to stop.
    pub(super) async fn work(mut self, origin: String, stop: Arc<AtomicBool>) -> (Self, Sent) {
        let mut sent = Sent::default();
        while !stop.load(Ordering::Relaxed) {
            let numbers = self.again.take().unwrap_or_else(|| self.take());
            match self.post(&origin, &numbers).await {
                Ok(Answer::Acknowledged) => sent.acknowledged.extend(numbers),
                Ok(Answer::Refused) => {
                    self.again = Some(numbers);
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
                Ok(Answer::Wrong(what)) => {
                    sent.wrong.push(what);
                    break;
                }
                Err(_) => {
                    sent.unanswered += 1;
                    if self.rng.bool() {
                        sent.repeated += 1;
                        self.again = Some(numbers);
                    }
                    break;
                }
            }
        }
        (self, sent)
    }

    /// The events of the next request: mostly one.
    fn take(&mut self) -> Vec<u64> {
        let many = if self.rng.u8(0..10) < 7 { 1 } else { self.rng.u64(2..=MOST) };
        let numbers = (self.next..self.next + many).collect();
        self.next += many;
        numbers
    }

    async fn post(&self, origin: &str, numbers: &[u64]) -> reqwest::Result<Answer> {
        let events: Vec<_> = numbers.iter().map(|number| self.author.event(*number)).collect();
        let (route, body) = match events.as_slice() {
            [event] => (event.kind, event.body.clone()),
            events => {
                let items: Vec<_> = events.iter().map(|event| event.body.as_str()).collect();
                ("batch", format!(r#"{{"batch":[{}]}}"#, items.join(",")))
            }
        };
        let request = self.http.post(format!("{origin}/v1/{route}")).header("x-write-key", self.key).body(body);
        let mut response = request.send().await?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            text.extend_from_slice(&chunk);
        }
        // Every event of the load is good, so an answer that refuses some of a batch is wrong too.
        Ok(match response.status().as_u16() {
            200 if text == br#"{"success":true}"# => Answer::Acknowledged,
            503 | 429 => Answer::Refused,
            status => Answer::Wrong(format!(
                "client {} got {status} for {} events: {}",
                self.author.client,
                numbers.len(),
                String::from_utf8_lossy(&text)
            )),
        })
    }
}

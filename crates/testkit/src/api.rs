//! What a daemon says over its API.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use tokio::time::Instant;

use crate::{Daemon, client};

/// The write key of pipelines that are read by [`Api`].
pub(crate) const KEY: &str = "dk_vendor";
/// Their lane.
pub(crate) const LANE: &str = "shop/vendor";
/// What takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(40);

/// The API of a daemon, and its collection endpoint.
#[derive(Debug)]
pub(crate) struct Api {
    http: reqwest::Client,
    admin: String,
    collect: String,
}

/// A page of attempts.
#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Attempt>,
    next: Option<String>,
}

/// An attempt in the delivery log.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) status: Option<u16>,
    pub(crate) decision: String,
    pub(crate) error: Option<String>,
}

/// A lane.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Lane {
    pub(crate) lane: String,
    pub(crate) open_events: Option<usize>,
    pub(crate) paused: Option<String>,
    pub(crate) parked: u64,
    pub(crate) deferred: u64,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// An endpoint of a lane.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) breaker_open: bool,
    pub(crate) requests_per_second: Option<f64>,
    pub(crate) silent_seconds: u64,
}

/// How long delivered sends were under way, in milliseconds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Delay {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

#[derive(Debug, Deserialize)]
struct Parked {
    message_id: String,
}

#[derive(Debug, Deserialize)]
struct Replay {
    finished_at: Option<String>,
}

// === impl Api ===

impl Api {
    pub(crate) fn of(daemon: &Daemon) -> Self {
        Self { http: client(), admin: daemon.admin_url(""), collect: daemon.collect_url("") }
    }

    /// Posts events; an error when they are not acknowledged.
    pub(crate) async fn post(&self, batch: String) -> Result<(), String> {
        let request = self.http.post(format!("{}/v1/batch", self.collect)).header("x-write-key", KEY).body(batch);
        read(request).await.map(drop)
    }

    /// The attempts of the lane in the delivery log, newest first; at most 500.
    pub(crate) async fn attempts(&self) -> Result<Vec<Attempt>, String> {
        let first = format!("/api/deliveries?lane={}&limit=500", LANE.replace('/', "%2F"));
        let mut page: Page = self.get(&first).await?;
        let mut attempts = page.items;
        // A page may be short and yet not the last.
        while let Some(after) = page.next.filter(|_| attempts.len() < 500) {
            page = self.get(&format!("{first}&after={after}")).await?;
            attempts.extend(page.items);
        }
        Ok(attempts)
    }

    pub(crate) async fn lanes(&self) -> Result<Vec<Lane>, String> {
        self.get("/api/lanes").await
    }

    pub(crate) async fn lane(&self) -> Result<Lane, String> {
        let found = self.lanes().await?.into_iter().find(|lane| lane.lane == LANE);
        found.ok_or_else(|| format!("there is no lane {LANE}"))
    }

    /// The message ids of what is parked; at most 500.
    pub(crate) async fn parked(&self) -> Result<Vec<String>, String> {
        let rows: Vec<Parked> = self.get("/api/parked?limit=500").await?;
        Ok(rows.into_iter().map(|row| row.message_id).collect())
    }

    /// State and reason of an event's only send.
    pub(crate) async fn told(&self, message_id: &str) -> Result<(String, String), String> {
        let stories: Value = self.get(&format!("/api/events/{message_id}")).await?;
        let send = &stories[0]["lanes"][0]["sends"][0];
        let word = |name: &str| send[name].as_str().unwrap_or_default().to_owned();
        Ok((word("state"), word("reason")))
    }

    /// How long the lane's sends were under way, all so many of them. The log tells it a moment after the vendor has them.
    pub(crate) async fn delay(&self, sends: u64) -> Result<Delay, String> {
        let mut delay = None;
        until("the statistics are complete", async || {
            let all: Value = self.get(&format!("/api/statistics?lane={}&step=86400", LANE.replace('/', "%2F"))).await?;
            delay = serde_json::from_value::<Delay>(all["rows"][0]["delay_ms"].clone()).ok();
            Ok(delay.as_ref().is_some_and(|delay| delay.count >= sends))
        })
        .await?;
        delay.ok_or_else(|| "there are no statistics".to_owned())
    }

    /// Has everything that is parked replayed.
    pub(crate) async fn replay(&self) -> Result<(), String> {
        self.tell("/api/parked/replay", &json!({ "filter": {} })).await
    }

    /// Whether replays were asked for and all are over.
    pub(crate) async fn replayed(&self) -> Result<bool, String> {
        let replays: Vec<Replay> = self.get("/api/replays").await?;
        Ok(!replays.is_empty() && replays.iter().all(|replay| replay.finished_at.is_some()))
    }

    pub(crate) async fn reload(&self) -> Result<(), String> {
        self.tell("/api/reload", &Value::Null).await
    }

    pub(crate) async fn resume(&self, lane: &str) -> Result<(), String> {
        self.tell(&format!("/api/lanes/{lane}/resume"), &Value::Null).await
    }

    async fn tell(&self, path: &str, what: &Value) -> Result<(), String> {
        let mut request = self.http.post(format!("{}{path}", self.admin));
        if !what.is_null() {
            request = request.header("content-type", "application/json").body(what.to_string());
        }
        read(request).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let text = read(self.http.get(format!("{}{path}", self.admin))).await?;
        let value: Value = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}: {text}"))?;
        serde_json::from_value(value).map_err(|error| format!("{path}: {error}: {text}"))
    }
}

/// The body of an answer with 2xx.
async fn read(request: RequestBuilder) -> Result<String, String> {
    let mut response = request.send().await.map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    if response.status().is_success() { Ok(text) } else { Err(format!("{}: {text}", response.status())) }
}

/// Looks until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool, String>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await? {
        if Instant::now() > deadline {
            return Err(format!("waited in vain until {what}"));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

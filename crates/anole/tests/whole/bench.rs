//! A test's bench: a sandbox, a folder, a daemon, and a client.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anole_sandbox::{Filter, Options, Sandbox, Stats};
use anole_testkit::{Daemon, Folder, client};
use serde_json::Value;

pub(crate) const KEY: &str = "dk_test_shop";
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_anole");
/// What takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: Folder,
    pub(crate) daemon: Daemon,
    pub(crate) http: reqwest::Client,
}

/// A pipeline with one destination, whose rules are laid over the preset.
pub(crate) fn pipeline(origin: &str, settings: &str, events: &str) -> String {
    let events = if events.is_empty() { String::new() } else { format!("    events:\n{events}") };
    format!(
        "pipeline: shop\nkeys: [{{ key: {KEY} }}]\nga4: {{ measurement_ids: [G-TEST], api_secret: s3cret }}\n\
         destinations:\n  - blueprint: kameleoon\n    settings:\n      site_code: f17c21u1ag\n      region: eu\n      \
         base_url: \"{origin}\"\n{settings}{events}"
    )
}

/// The rule that fixes the goal of orders.
pub(crate) const GOAL: &str = "      Order Completed: { set: { goalId: 36151 } }\n";

pub(crate) fn track(message_id: &str, event: &str, properties: &str) -> String {
    format!(r#"{{"event":"{event}","anonymousId":"visitor-1","messageId":"{message_id}","properties":{properties}}}"#)
}

impl Bench {
    /// The preset as it is.
    pub(crate) async fn new() -> Self {
        Self::with("", "      Newsletter Joined: { send: conversion, set: { goalId: 40112 } }\n").await
    }

    pub(crate) async fn with(settings: &str, events: &str) -> Self {
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let pipeline = pipeline(&sandbox.url(), settings, events);
        Self::start(sandbox, &pipeline, "delivery: { allow_private_addresses: true, probe_every: 1s }").await
    }

    pub(crate) async fn start(sandbox: Sandbox, pipeline: &str, settings: &str) -> Self {
        let folder = Folder::with_settings(pipeline, settings);
        let daemon = Daemon::start(Path::new(BINARY), &folder.config()).await.unwrap();
        Self { sandbox, folder, daemon, http: client() }
    }

    /// SIGTERM, and its end. No daemon runs until [`Self::begin`].
    pub(crate) async fn stop(&mut self) {
        assert_eq!(self.daemon.end().await, Ok(0), "{}", self.daemon.log());
    }

    /// A daemon on what is there.
    pub(crate) async fn begin(&mut self) {
        self.daemon = Daemon::start(Path::new(BINARY), &self.folder.config()).await.unwrap();
    }

    /// Posts an event; asserts that it was accepted.
    pub(crate) async fn accept(&self, path: &str, body: &str, cookie: Option<&str>) {
        let (status, text) = self.post(path, body, cookie).await;
        assert_eq!((status, text.as_str()), (200, "{\"success\":true}"), "{body}\n{}", self.daemon.log());
    }

    pub(crate) async fn post(&self, path: &str, body: &str, cookie: Option<&str>) -> (u16, String) {
        let request = self.http.post(self.daemon.collect_url(path)).header("x-write-key", KEY).body(body.to_owned());
        let request = match cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        read(request).await
    }

    /// Waits until the sandbox has so many events.
    pub(crate) async fn arrived(&self, events: u64) -> Stats {
        let waited = tokio::time::timeout(PATIENCE, self.sandbox.wait_for(|stats| stats.events >= events)).await;
        waited.unwrap_or_else(|_| panic!("{} of {events} arrived\n{}", self.sandbox.stats().events, self.daemon.log()))
    }

    /// What arrived, each event as its exact bytes.
    pub(crate) fn raw(&self) -> Vec<String> {
        let all = self.sandbox.events(&Filter::all());
        all.iter().map(|event| String::from_utf8_lossy(&event.raw).into_owned()).collect()
    }

    /// The bodies that arrived, exactly.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.sandbox.requests().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
    }

    /// The stories of a message id, once each of its sends is in this state.
    pub(crate) async fn story(&self, message_id: &str, state: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let request = self.http.get(self.daemon.admin_url(&format!("/api/events/{message_id}")));
            let (status, text) = read(request).await;
            let stories: Value = serde_json::from_str(&text).unwrap_or_default();
            let sends = stories[0]["lanes"][0]["sends"].as_array();
            if status == 200 && sends.is_some_and(|s| !s.is_empty() && s.iter().all(|send| send["state"] == state)) {
                return stories[0].clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "not {state}: {text}\n{}", self.daemon.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The only send of a message id, once it is in this state.
    pub(crate) async fn send(&self, message_id: &str, state: &str) -> Value {
        self.story(message_id, state).await["lanes"][0]["sends"][0].clone()
    }

    /// Waits until the log of the daemon has a line with this text.
    pub(crate) async fn said(&self, text: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.daemon.log().contains(text) {
            assert!(tokio::time::Instant::now() < deadline, "never said {text:?}:\n{}", self.daemon.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a verb against the folder.
    pub(crate) async fn anole(&self, arguments: &[&str]) -> Output {
        anole(self.folder.dir(), arguments).await
    }
}

/// Runs the binary in a folder.
pub(crate) async fn anole(dir: &Path, arguments: &[&str]) -> Output {
    tokio::process::Command::new(BINARY).args(arguments).current_dir(dir).output().await.unwrap()
}

/// What a run printed to standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a run printed to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> (u16, String) {
    let mut response = request.send().await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    (response.status().as_u16(), String::from_utf8_lossy(&text).into_owned())
}

//! `anole tail`: each stage of an event's way as it happens, also over a restart of the daemon.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::bench::{BINARY, Bench, GOAL, KEY, PATIENCE, read, stderr, track};

/// A tail that listens.
struct Tail {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    talk: Lines<BufReader<ChildStderr>>,
}

impl Tail {
    async fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .arg("tail")
            .args(arguments)
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let talk = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut tail = Self { child, said, talk };
        tail.talks("listening").await;
        tail
    }

    async fn line(&mut self) -> String {
        timeout(PATIENCE, self.said.next_line()).await.expect("a line in time").unwrap().expect("one more line")
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    /// Waits until it says this on stderr.
    async fn talks(&mut self, text: &str) {
        loop {
            let line = timeout(PATIENCE, self.talk.next_line()).await.expect("talk in time").unwrap();
            if line.expect("it says one more thing").contains(text) {
                return;
            }
        }
    }

    async fn ends(mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap().code()
    }
}

#[tokio::test]
async fn every_stage_is_told_also_what_was_refused_before_the_journal() {
    let bench = Bench::with("", "").await;
    let mut tail = Tail::start(bench.folder.dir(), &["--json", "--limit", "7"]).await;
    let order = r#"{"revenue":23.50,"kameleoon_goal_id":36151}"#;
    bench.accept("/v1/t", &track("m-1", "Order Completed", order), None).await;
    let mut stages = Vec::new();
    for _ in 0..3 {
        let told = tail.json().await;
        stages.push(told["stage"].as_str().unwrap().to_owned());
        if told["stage"] != "attempt" {
            assert_eq!((&told["message_id"], &told["event"]), (&"m-1".into(), &"Order Completed".into()), "{told}");
        }
    }
    stages.sort();
    assert_eq!(stages, ["accepted", "attempt", "outcome"]);

    bench.accept("/v1/t", &track("m-1", "Order Completed", order), None).await;
    let told = tail.json().await;
    assert_eq!((&told["stage"], &told["message_id"]), (&"duplicate".into(), &"m-1".into()), "{told}");

    // A client whose answer says that all is well.
    let request = bench.http.post(bench.daemon.collect_url("/mp/collect?measurement_id=G-NOBODY&api_secret=x"));
    assert_eq!(read(request.body(r#"{"client_id":"1.2","events":[{"name":"purchase"}]}"#)).await.0, 204);
    let told = tail.json().await;
    assert_eq!((&told["stage"], &told["code"]), (&"rejected".into(), &"unknown_measurement".into()), "{told}");

    let (status, _) = bench.post("/v1/t", r#"{"messageId":"m-2","event":"Order Completed"}"#, None).await;
    assert_eq!(status, 400);
    let told = tail.json().await;
    assert_eq!(
        (&told["stage"], &told["message_id"], &told["pipeline"]),
        (&"rejected".into(), &"m-2".into(), &"shop".into())
    );
    assert_eq!((&told["code"], &told["reason"]), (&"invalid_event".into(), &"no_identity".into()), "{told}");
    assert!(told["message"].as_str().unwrap().contains("anonymousId"), "{told}");

    let request = bench.http.post(bench.daemon.collect_url("/v1/t")).header("x-write-key", format!("{KEY}x"));
    assert_eq!(read(request.body(track("m-3", "Order Completed", "{}"))).await.0, 401);
    let told = tail.json().await;
    assert_eq!((&told["stage"], &told["code"]), (&"rejected".into(), &"invalid_write_key".into()), "{told}");
    assert_eq!(tail.ends().await, Some(0), "it was to show seven");
}

#[tokio::test]
async fn a_tail_shows_what_its_filter_chooses_and_outlives_the_daemon() {
    let mut bench = Bench::with("", GOAL).await;
    let mut tail = Tail::start(bench.folder.dir(), &["--stage", "outcome", "--event", "Order Completed"]).await;
    bench.accept("/v1/t", &track("m-other", "Product Viewed", "{}"), None).await;
    bench.accept("/v1/t", &track("m-1", "Order Completed", "{}"), None).await;
    let line = tail.line().await;
    assert!(line.contains("delivered  Order Completed  m-1  shop/kameleoon 204 accepted"), "{line}");

    bench.stop().await;
    tail.talks("trying again").await;
    bench.begin().await;
    // Who listens anew has missed what came meanwhile: so events are sent until one is seen.
    let mut sent = 1;
    let line = loop {
        sent += 1;
        let id = format!("m-{sent}");
        bench.accept("/v1/t", &track(&id, "Order Completed", "{}"), None).await;
        if let Ok(line) = timeout(Duration::from_millis(500), tail.said.next_line()).await {
            break line.unwrap().unwrap();
        }
    };
    assert!(line.contains("delivered  Order Completed"), "{line}");

    bench.stop().await;
    let run = bench.anole(&["tail"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("no daemon runs here"), "{}", stderr(&run));
    let run = bench.anole(&["tail", "--stage", "everything"]).await;
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).contains("accepted, duplicate, rejected, attempt, outcome"), "{}", stderr(&run));
}

//! `anole forget`: a person goes from every byte of the data folder, everybody else stays, and the numbers still add up.

use std::path::Path;
use std::time::Duration;

use anole_event::{Clock, LaneId, Reason, SystemClock, Timestamp};
use anole_sandbox::{Fault, Filter, Options, Sandbox};
use anole_state::{Deferred, LaneCommit, ParkedFilter, State, StateOptions};
use anole_telemetry::Telemetry;
use serde_json::{Value, json};

use crate::bench::{Bench, GOAL, PATIENCE, pipeline, read, stderr, stdout};

const SETTINGS: &str = "delivery: { allow_private_addresses: true, probe_every: 1s }";

/// A person of the tests, all of whose ids hold the name.
#[derive(Clone)]
struct Person(String);

// === impl Person ===

impl Person {
    fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    fn anonymous(&self) -> String {
        format!("anonymous-{}", self.0)
    }

    /// As the vendor's tag writes them: letters and digits.
    fn code(&self) -> String {
        format!("c0de{}c0de", self.0)
    }

    fn message(&self, what: &str) -> String {
        format!("message-{}-{what}", self.0)
    }

    /// An order; one whose revenue is no number is parked.
    async fn orders(&self, bench: &Bench, what: &str, revenue: &str) {
        let (name, message) = (&self.0, self.message(what));
        let body = format!(
            r#"{{"event":"Order Completed","anonymousId":"{}","userId":"user-{name}","messageId":"{message}","properties":{{"order_id":"ORD-{name}-{what}","revenue":{revenue}}}}}"#,
            self.anonymous()
        );
        bench.accept("/v1/t", &body, Some(&format!("kameleoonVisitorCode={}", self.code()))).await;
    }
}

async fn bench() -> Bench {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let pipeline = pipeline(&sandbox.url(), "", GOAL);
    Bench::start(sandbox, &pipeline, SETTINGS).await
}

/// The files of the data folder that hold this text somewhere.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn data(bench: &Bench) -> std::path::PathBuf {
    bench.folder.path("data")
}

/// No byte of the folder leads to them.
fn assert_gone(bench: &Bench, person: &Person) {
    assert_eq!(holding(&data(bench), &person.0), [""; 0], "{}", bench.daemon.log());
}

async fn json(bench: &Bench, arguments: &[&str]) -> Value {
    let run = bench.anole(&[arguments, &["--json"]].concat()).await;
    assert!(run.status.success(), "{arguments:?}: {}\n{}", stderr(&run), bench.daemon.log());
    serde_json::from_str(stdout(&run).lines().last().unwrap()).unwrap()
}

async fn get(bench: &Bench, path: &str) -> Value {
    let (status, text) = read(bench.http.get(bench.daemon.admin_url(path))).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// How many sends the delivery log has in each state, from its rows.
async fn ended(bench: &Bench) -> std::collections::BTreeMap<String, usize> {
    let rows = get(bench, "/api/events?limit=1000").await;
    let mut ended = std::collections::BTreeMap::new();
    for row in rows["items"].as_array().unwrap() {
        *ended.entry(row["state"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    ended
}

/// Puts a deferred send beside each parked one, as a lane does with sends that fail alone. No daemon may run.
async fn defer_what_is_parked(bench: &Bench) {
    let clock = std::sync::Arc::new(SystemClock::new());
    let telemetry = Telemetry::new(std::sync::Arc::clone(&clock) as _);
    let later = Timestamp::from_micros(clock.wall().micros() + 3_600_000_000);
    let state = anole_state::Sqlite::open(&StateOptions::in_folder(&data(bench)), telemetry, clock).unwrap();
    let mut commit = LaneCommit::new(LaneId::new("shop", "kameleoon"));
    for row in state.parked(ParkedFilter { limit: 100, ..ParkedFilter::default() }).await.unwrap() {
        let parked = row.parked;
        commit.deferred.push(Deferred {
            position: parked.position,
            ordinal: 9,
            rule: parked.rule,
            event: parked.event,
            message_id: parked.message_id,
            received_at: parked.received_at,
            deferred_at: parked.parked_at,
            due_at: later,
            tries: 1,
            reason: Reason::FailsAlone,
            detail: None,
            plan: parked.plan,
            attempt: None,
            record: parked.record,
        });
    }
    state.commit(vec![commit]).await.unwrap();
    state.close().await.unwrap();
}

/// The lane goes on: what waited of the others arrives and is found, and nothing of the first of these people.
async fn others_are_delivered(bench: &Bench, people: &[Person; 3], delivered: u64) {
    let [ada, grace, linus] = people;
    let run = bench.anole(&["lanes", "resume", "shop/kameleoon"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    for person in [grace, linus] {
        bench.story(&person.message("delivered"), "delivered").await;
        for number in 0..3 {
            bench.story(&person.message(&format!("waiting-{number}")), "delivered").await;
        }
        let found = get(bench, &format!("/api/events?any=ORD-{}-parked", person.0)).await;
        assert_eq!(found["items"][0]["state"], "parked", "{found}");
    }
    let parked = get(bench, "/api/parked").await;
    assert_eq!(parked.as_array().unwrap().len(), 2, "{parked}");
    assert!(bench.sandbox.stats().events > delivered);
    let late = bench.sandbox.events(&Filter::all()).into_iter().skip(usize::try_from(delivered).unwrap());
    assert!(
        late.into_iter().all(|event| !String::from_utf8_lossy(&event.raw).contains(&ada.0)),
        "nothing came of theirs"
    );
}

#[tokio::test]
async fn j8_a_visitor_goes_from_every_byte_and_all_others_are_delivered_and_found() {
    let mut bench = bench().await;
    let people = ["adalovelace", "gracehopper", "linustorvald"].map(Person::new);
    for person in &people {
        person.orders(&bench, "delivered", "1").await;
        bench.story(&person.message("delivered"), "delivered").await;
        person.orders(&bench, "parked", "\"x\"").await;
        bench.story(&person.message("parked"), "parked").await;
    }
    bench.stop().await;
    defer_what_is_parked(&bench).await;
    bench.begin().await;
    let run = bench.anole(&["lanes", "pause", "shop/kameleoon"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    for person in &people {
        for number in 0..3 {
            person.orders(&bench, &format!("waiting-{number}"), "2").await;
        }
    }
    let delivered = bench.sandbox.stats().events;
    let before = ended(&bench).await;
    let [ada, _, linus] = &people;
    assert!(holding(&data(&bench), &ada.0).len() > 3, "there was something to be erased");

    let found = json(&bench, &["forget", "--visitor", &ada.anonymous(), "--linked", "--dry-run"]).await;
    assert_eq!((&found["dry_run"], &found["stage"]), (&true.into(), &"done".into()), "{found}");
    assert_eq!((&found["events"], &found["parked"], &found["deferred"]), (&5.into(), &1.into(), &1.into()), "{found}");
    assert_eq!(found["linked"]["users"], json!(["user-adalovelace"]));
    assert!(found["linked"]["visitors"].as_array().unwrap().contains(&ada.code().into()), "{found}");
    let run = bench.anole(&["forget", "--visitor", &ada.anonymous()]).await;
    assert_eq!(run.status.code(), Some(2), "nobody can be asked: {}", stderr(&run));
    assert!(holding(&data(&bench), &ada.0).len() > 3, "nothing was changed");

    let done = json(&bench, &["forget", "--visitor", &ada.anonymous(), "--linked", "--yes"]).await;
    assert_eq!((&done["stage"], &done["error"]), (&"done".into(), &Value::Null), "{done}");
    for what in ["events", "parked", "deferred", "identities", "sends", "rows", "bodies"] {
        assert_eq!(done[what], found[what], "{what}: {done}");
    }
    assert_eq!(done["lanes"], json!(["shop/kameleoon"]), "it held what waited: {done}");
    assert_gone(&bench, ada);
    assert!(!bench.daemon.log().contains(&ada.0), "the log names nobody: {}", bench.daemon.log());

    others_are_delivered(&bench, &people, delivered).await;
    // Three that waited, one that was parked and one that was deferred have ended; what had ended before stays counted.
    let after = ended(&bench).await;
    let count = |ended: &std::collections::BTreeMap<String, usize>, state: &str| ended.get(state).copied().unwrap_or(0);
    assert_eq!(count(&after, "erased"), 5, "{after:?}");
    assert_eq!(count(&after, "parked"), count(&before, "parked"), "{after:?}");
    let erased = "anole_outcomes_total{lane=\"shop/kameleoon\",reason=\"requested\",state=\"erased\"} 5\n";
    let (_, metrics) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
    assert!(metrics.contains(erased), "{metrics}");
    assert_gone(&bench, ada);

    let run = bench.anole(&["forget", "--visitor", &ada.anonymous(), "--yes"]).await;
    assert_eq!((run.status.code(), stderr(&run).as_str()), (Some(0), "nothing found\n"));
    bench.stop().await;
    assert_gone(&bench, ada);
    bench.begin().await;
    bench.story(&linus.message("delivered"), "delivered").await;
}

#[tokio::test]
async fn j8_a_user_goes_with_whoever_stands_beside_when_that_is_asked_for_and_nobody_is_no_error() {
    let mut bench = bench().await;
    let [ada, grace] = ["adalovelace", "gracehopper"].map(Person::new);
    for person in [&ada, &grace] {
        person.orders(&bench, "delivered", "1").await;
        bench.story(&person.message("delivered"), "delivered").await;
    }
    // The same browser before it was known whose it is.
    let page = format!(
        r#"{{"name":"Home","anonymousId":"{}","messageId":"{}","properties":{{"url":"https://shop.test/"}}}}"#,
        ada.anonymous(),
        ada.message("page")
    );
    bench.accept("/v1/page", &page, None).await;
    bench.story(&ada.message("page"), "delivered").await;
    for arguments in [&["forget"][..], &["forget", "--user", "a", "--visitor", "b"], &["forget", "--user", ""]] {
        let run = bench.anole(arguments).await;
        assert_ne!(run.status.code(), Some(0), "{arguments:?}: {}", stderr(&run));
    }
    let nobody = json(&bench, &["forget", "--user", "nobody", "--yes"]).await;
    assert_eq!((&nobody["events"], &nobody["sends"], &nobody["identities"]), (&0.into(), &0.into(), &0.into()));

    let run = bench.anole(&["forget", "--user", "user-adalovelace", "--dry-run"]).await;
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert!(stdout(&run).contains("journal       1 event\n"), "{}", stdout(&run));
    assert!(stdout(&run).contains(&format!("beside it     --visitor {}\n", ada.anonymous())), "{}", stdout(&run));
    assert!(stderr(&run).contains("--linked"), "{}", stderr(&run));
    let done = json(&bench, &["forget", "--user", "user-adalovelace", "--yes"]).await;
    assert_eq!(done["events"], 1, "{done}");
    assert_eq!(holding(&data(&bench), "user-adalovelace"), [""; 0]);
    bench.story(&ada.message("page"), "delivered").await;

    // The rest, with the links that are left, on the files.
    bench.stop().await;
    let done = json(&bench, &["forget", "--visitor", &ada.anonymous(), "--linked", "--yes"]).await;
    assert_eq!((&done["events"], &done["stage"]), (&1.into(), &"done".into()), "{done}");
    assert_gone(&bench, &ada);
    bench.begin().await;
    bench.story(&grace.message("delivered"), "delivered").await;
}

#[tokio::test]
async fn j8_what_a_lane_retries_or_has_under_way_ends_as_erased_and_others_of_its_batch_are_delivered() {
    let bench = bench().await;
    let other = Person::new("gracehopper");
    let faults = [Fault { status: Some(500), ..Fault::default() }, Fault { hang: true, ..Fault::default() }];
    for (round, fault) in faults.into_iter().enumerate() {
        let ada = Person::new(format!("adalovelace{round}x"));
        let requests = bench.sandbox.stats().requests;
        bench.sandbox.set_fault(fault).unwrap();
        ada.orders(&bench, "waiting", "1").await;
        other.orders(&bench, &format!("waiting-{round}"), "1").await;
        let tried = bench.sandbox.wait_for(|stats| stats.requests > requests);
        tokio::time::timeout(PATIENCE, tried).await.expect("a request");
        let done = json(&bench, &["forget", "--visitor", &ada.anonymous(), "--linked", "--yes"]).await;
        assert_eq!((&done["stage"], &done["events"]), (&"done".into(), &1.into()), "{done}");
        assert_eq!(done["lanes"], json!(["shop/kameleoon"]), "{done}");
        assert_gone(&bench, &ada);
        bench.sandbox.heal_all();
        bench.story(&other.message(&format!("waiting-{round}")), "delivered").await;
        assert_gone(&bench, &ada);
        assert!(bench.raw().iter().all(|event| !event.contains(&ada.code())), "nothing of theirs was sent");
        assert_eq!(ended(&bench).await.get("erased"), Some(&(round + 1)));
    }
}

/// The report of what is under way or was done, once it is over.
async fn over(bench: &Bench) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let report = get(bench, "/api/forget").await;
        if !report["finished_at"].is_null() {
            return report;
        }
        assert!(tokio::time::Instant::now() < deadline, "{report}\n{}", bench.daemon.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn j8_an_erasure_that_is_killed_anywhere_is_completed_by_the_next_start() {
    let mut bench = bench().await;
    let other = Person::new("gracehopper");
    other.orders(&bench, "delivered", "1").await;
    other.orders(&bench, "parked", "\"x\"").await;
    bench.story(&other.message("parked"), "parked").await;
    let mut resumed = 0;
    for after in [0, 10, 25, 50, 100, 200, 400, 800, 1600, 3200] {
        let ada = Person::new(format!("adalovelace{after}x"));
        ada.orders(&bench, "delivered", "1").await;
        ada.orders(&bench, "parked", "\"x\"").await;
        bench.story(&ada.message("delivered"), "delivered").await;
        bench.story(&ada.message("parked"), "parked").await;
        let order = json!({ "visitor": ada.anonymous(), "linked": true });
        let request = bench.http.post(bench.daemon.admin_url("/api/forget")).json(&order);
        let asked = tokio::spawn(async move { request.send().await.map(drop).is_ok() });
        // A kill at any moment, not a wait for something.
        tokio::time::sleep(Duration::from_millis(after)).await;
        bench.daemon.kill().await;
        let was_answered = asked.await.unwrap();
        let is_open = data(&bench).join("forget.json").exists();
        bench.begin().await;
        if is_open {
            let report = over(&bench).await;
            assert_eq!((&report["resumed"], &report["stage"]), (&true.into(), &"done".into()), "{report}");
            resumed += 1;
        } else if !was_answered {
            // It had not begun, or was just done.
            json(&bench, &["forget", "--visitor", &ada.anonymous(), "--linked", "--yes"]).await;
        }
        assert!(!data(&bench).join("forget.json").exists());
        assert_eq!(holding(&data(&bench), &ada.0), [""; 0], "killed after {after} ms\n{}", bench.daemon.log());
    }
    assert!(resumed > 0, "every kill came too early or too late");
    bench.story(&other.message("delivered"), "delivered").await;
    bench.story(&other.message("parked"), "parked").await;
    assert_eq!(get(&bench, "/api/parked").await.as_array().unwrap().len(), 1);
}

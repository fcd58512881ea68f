//! Lanes that no pipeline has any more: seen, given up, or gone on with under another name.

use std::time::Duration;

use anole_sandbox::{Fault, Filter, Options, Sandbox};
use serde_json::Value;

use crate::bench::{Bench, GOAL, PATIENCE, anole, pipeline, read, stderr, stdout, track};

const SETTINGS: &str = "delivery: { allow_private_addresses: true }";

/// The pipeline of the tests, its destination under another name.
fn renamed(sandbox: &Sandbox) -> String {
    pipeline(&sandbox.url(), "", GOAL)
        .replace("  - blueprint: kameleoon\n", "  - blueprint: kameleoon\n    name: kameleoon-eu\n")
}

/// A batch of orders with the numbers of this range.
fn orders(numbers: std::ops::Range<usize>) -> String {
    let items: Vec<_> = numbers.map(|number| format!(
        r#"{{"type":"track","event":"Order Completed","anonymousId":"visitor-{}","messageId":"00000000-0000-4000-8000-{number:012}","properties":{{"revenue":1}}}}"#,
        number % 3
    )).collect();
    format!(r#"{{"batch":[{}]}}"#, items.join(","))
}

/// A daemon whose vendor was down while it accepted five orders, and which was stopped then.
async fn with_five_undelivered() -> Bench {
    with_five(SETTINGS).await
}

async fn with_five(settings: &str) -> Bench {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let pipeline = pipeline(&sandbox.url(), "", GOAL);
    let bench = Bench::start(sandbox, &pipeline, settings).await;
    bench.sandbox.set_fault(Fault { status: Some(500), ..Fault::default() }).unwrap();
    bench.accept("/v1/batch", &orders(0..5), None).await;
    bench
}

async fn list(bench: &Bench) -> Vec<Value> {
    let run = bench.anole(&["lanes", "list", "--json"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    stdout(&run).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn row<'r>(rows: &'r [Value], lane: &str) -> &'r Value {
    rows.iter().find(|row| row["lane"] == lane).unwrap_or_else(|| panic!("{lane} is not in {rows:?}"))
}

/// Everything arrived once, under its own nonce.
fn assert_each_once(bench: &Bench, events: usize) {
    let mut nonces: Vec<_> = bench.sandbox.events(&Filter::all()).into_iter().filter_map(|event| event.nonce).collect();
    nonces.sort();
    let expected: Vec<_> = (0..events).map(|number| format!("00000000-0000-4000-8000-{number:012}")).collect();
    assert_eq!(nonces, expected);
}

#[tokio::test]
async fn s5_a_destination_with_a_new_name_goes_on_where_the_old_one_was_when_renamed_before_the_start() {
    let mut bench = with_five_undelivered().await;
    bench.stop().await;
    bench.folder.write("pipelines/shop.yaml", &renamed(&bench.sandbox));
    let run = bench.anole(&["lanes", "rename", "shop/kameleoon", "shop/kameleoon-eu"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(stderr(&run), "shop/kameleoon: is shop/kameleoon-eu now, with 5 events to deliver\n");
    bench.sandbox.heal_all();
    bench.begin().await;
    bench.arrived(5).await;
    assert_each_once(&bench, 5);
    let rows = list(&bench).await;
    assert_eq!((rows.len(), &rows[0]["state"]), (1, &"runs".into()), "{rows:?}");
}

#[tokio::test]
async fn s5_a_lane_at_work_takes_over_what_the_orphan_left_and_sends_nothing_twice() {
    let mut bench = with_five_undelivered().await;
    bench.stop().await;
    bench.folder.write("pipelines/shop.yaml", &renamed(&bench.sandbox));
    bench.sandbox.heal_all();
    bench.begin().await;
    bench.said("no pipeline has the lane any more").await;
    bench.accept("/v1/batch", &orders(5..8), None).await;
    bench.arrived(3).await;
    let rows = list(&bench).await;
    let orphan = row(&rows, "shop/kameleoon");
    assert_eq!((&orphan["state"], &orphan["undelivered"]["events"]), (&"orphaned".into(), &5.into()), "{orphan}");
    assert_eq!((&orphan["orphan"]["holds"], &orphan["undelivered"]["complete"]), (&true.into(), &true.into()));
    assert!(orphan["orphan"]["held_bytes"].as_u64().unwrap() > 1000, "{orphan}");
    let table = stdout(&bench.anole(&["lanes", "list"]).await);
    assert!(table.contains("orphaned") && table.contains("no pipeline has it since"), "{table}");

    let (_, page) = read(bench.http.get(bench.daemon.admin_url("/"))).await;
    assert!(page.contains("No pipeline has the lane shop/kameleoon any more"), "{page}");

    let run = bench.anole(&["lanes", "rename", "shop/kameleoon", "shop/kameleoon-eu"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(stderr(&run), "shop/kameleoon: taken over by shop/kameleoon-eu, with 5 events to deliver\n");
    bench.arrived(8).await;
    assert_each_once(&bench, 8);
    bench.accept("/v1/batch", &orders(8..10), None).await;
    bench.arrived(10).await;
    assert_eq!(list(&bench).await.len(), 1);
    // Neither a restart nor a second one sends again what the new lane had sent before it took over.
    for _ in 0..2 {
        bench.stop().await;
        bench.begin().await;
    }
    bench.accept("/v1/batch", &orders(10..11), None).await;
    bench.arrived(11).await;
    assert_each_once(&bench, 11);
}

#[tokio::test]
async fn s5_a_lane_that_comes_back_goes_on_where_it_was() {
    let mut bench = with_five_undelivered().await;
    bench.stop().await;
    bench.folder.write("pipelines/shop.yaml", &renamed(&bench.sandbox));
    bench.begin().await;
    bench.stop().await;
    let first = pipeline(&bench.sandbox.url(), "", GOAL);
    bench.folder.write("pipelines/shop.yaml", &first);
    bench.sandbox.heal_all();
    bench.begin().await;
    bench.said("a pipeline has the lane again").await;
    bench.arrived(5).await;
    let rows = list(&bench).await;
    assert_eq!(row(&rows, "shop/kameleoon")["state"], "runs");
    assert_eq!(row(&rows, "shop/kameleoon-eu")["state"], "orphaned");
}

#[tokio::test]
async fn s5_releasing_an_orphan_says_what_is_given_up_and_asks_first() {
    let mut bench = with_five_undelivered().await;
    bench.stop().await;
    bench.folder.write("pipelines/shop.yaml", &renamed(&bench.sandbox));
    bench.begin().await;
    for (lane, code, words) in [
        ("shop/kameleoon", 2, "shop/kameleoon has not delivered 5 events, and will not: say --yes"),
        ("shop/kameleoon-eu", 1, "the pipeline shop has the lane `shop/kameleoon-eu`: take its destination out there"),
        ("shop/kamelion", 1, "did you mean `shop/kameleoon`?"),
        ("kameleoon", 2, "write it as pipeline/destination"),
    ] {
        let run = bench.anole(&["lanes", "release", lane]).await;
        assert_eq!(run.status.code(), Some(code), "{lane}: {}", stderr(&run));
        assert!(stderr(&run).contains(words), "{lane}: {}", stderr(&run));
    }
    let run = bench.anole(&["lanes", "release", "shop/kameleoon", "--yes", "--json"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(stderr(&run), "shop/kameleoon: released; 5 events given up\n");
    let told: Value = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!(told["given_up"]["events"], 5);
    assert_eq!(list(&bench).await.len(), 1);
    let (_, metrics) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
    let line = r#"anole_outcomes_total{lane="shop/kameleoon",reason="requested",state="discarded"} 5"#;
    assert!(metrics.contains(line), "{metrics}");
    let run = bench.anole(&["lanes", "rename", "shop/kameleoon", "shop/kameleoon-eu"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("there is no lane `shop/kameleoon`"), "{}", stderr(&run));
}

#[tokio::test]
async fn without_a_daemon_lanes_are_listed_and_settled_on_the_files() {
    let mut bench = with_five_undelivered().await;
    let run = bench.anole(&["lanes", "pause", "shop/kameleoon"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    bench.stop().await;
    let rows = list(&bench).await;
    assert_eq!((&rows[0]["state"], &rows[0]["undelivered"]["events"]), (&"stopped".into(), &5.into()), "{rows:?}");
    assert!(rows[0]["paused"].as_str().unwrap().contains("a person paused"), "{rows:?}");
    let run = bench.anole(&["lanes", "release", "shop/kameleoon", "--yes"]).await;
    assert!(stderr(&run).contains("the pipeline shop has the lane"), "{}", stderr(&run));
    bench.folder.write("pipelines/shop.yaml", &renamed(&bench.sandbox));
    let run = bench.anole(&["lanes", "rename", "shop/kameleoon", "store/eu"]).await;
    assert!(stderr(&run).contains("must be one of the same pipeline"), "{}", stderr(&run));
    let run = bench.anole(&["lanes", "release", "shop/kameleoon"]).await;
    assert_eq!(run.status.code(), Some(2), "nobody can be asked: {}", stderr(&run));
    let run = bench.anole(&["lanes", "release", "shop/kameleoon", "--yes"]).await;
    assert!(stderr(&run).ends_with("shop/kameleoon: released; 5 events given up\n"), "{}", stderr(&run));
    assert!(list(&bench).await.is_empty());
}

#[tokio::test]
async fn where_nothing_ever_ran_the_verbs_say_so() {
    let folder = anole_testkit::Folder::new(
        &pipeline("http://127.0.0.1:9", "", GOAL).replace("http://127.0.0.1:9", "https://example.com"),
    );
    let run = anole(folder.dir(), &["lanes", "list"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("holds no data"), "{}", stderr(&run));
    assert!(!folder.path("data").exists(), "a look makes nothing");
}

#[tokio::test]
async fn s5_an_orphan_holds_the_journal_for_as_long_as_is_kept_and_what_goes_then_is_seen() {
    let settings = format!("{SETTINGS}\njournal: {{ keep: 2s }}\nstate: {{ backup_every: 1s }}");
    let mut bench = with_five(&settings).await;
    bench.stop().await;
    bench.folder.write("pipelines/shop.yaml", &renamed(&bench.sandbox));
    bench.sandbox.heal_all();
    bench.begin().await;
    bench.said("the orphaned lane holds the journal no longer").await;
    assert!(bench.daemon.log().contains(r#""undelivered":"5 events""#), "{}", bench.daemon.log());
    let rows = list(&bench).await;
    assert_eq!(row(&rows, "shop/kameleoon")["orphan"]["holds"], false, "{rows:?}");
    let (_, metrics) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
    for line in [
        r#"anole_lane_orphaned{lane="shop/kameleoon"} 0"#,
        r#"anole_orphan_undelivered_events{lane="shop/kameleoon"} 5"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    // The segment in which they stand goes when another one has begun.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for number in 5.. {
        bench.accept("/v1/batch", &orders(number..number + 1), None).await;
        let (_, metrics) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
        if metrics.contains("anole_journal_segments_removed_total") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{metrics}\n{}", bench.daemon.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rows = list(&bench).await;
    assert_eq!(row(&rows, "shop/kameleoon")["undelivered"]["events"], 0, "they are gone: {rows:?}");
}

#[tokio::test]
async fn the_page_of_lanes_tells_which_endpoint_fails_and_that_its_events_wait() {
    let bench = Bench::with("", GOAL).await;
    bench.sandbox.set_fault(Fault { status: Some(503), ..Fault::default() }).unwrap();
    for number in 0..5 {
        bench.accept("/v1/t", &track(&format!("m-{number}"), "Order Completed", "{}"), None).await;
    }
    let page = || read(bench.http.get(bench.daemon.admin_url("/lanes")).header("accept", "text/html"));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, page) = page().await;
        assert_eq!(status, 200);
        if page.contains("fails</span> It is tried again by itself") {
            assert!(page.contains(&format!("{} (f17c21u1ag)", bench.sandbox.url())), "{page}");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{page}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

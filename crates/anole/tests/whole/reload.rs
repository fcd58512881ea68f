//! Pipelines that change while the daemon runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anole_sandbox::{Fault, Filter, Options, Sandbox};
use serde_json::Value;

use crate::bench::{Bench, GOAL, KEY, PATIENCE, pipeline, read, stderr, stdout, track};

const SETTINGS: &str = "delivery: { allow_private_addresses: true }";
const SHOP: &str = "pipelines/shop.yaml";

/// Reloads by the API; the status and the answer.
async fn reload(bench: &Bench) -> (u16, Value) {
    let (status, text) = read(bench.http.post(bench.daemon.admin_url("/api/reload"))).await;
    (status, serde_json::from_str(&text).unwrap_or_default())
}

async fn metric(bench: &Bench, name: &str) -> Option<u64> {
    let (_, text) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.map(|value| value.parse().unwrap())
}

/// A version of the pipeline. Its two fixed parts, the goal and the place of the revenue, belong together. Beside it stands a
/// destination that is the same in both, whose paths come to stand at other places.
fn version(origin: &str, name: &str) -> String {
    let (goal, revenue) = match name {
        "a" => (1, "{ from: properties.a, type: number }"),
        _ => (2, "{ first_of: [properties.nothing, properties.none, properties.b], type: number }"),
    };
    let destination = |name: &str, site: &str, goal: u64, revenue: &str| {
        format!(
            "  - blueprint: kameleoon\n    name: {name}\n    settings: {{ site_code: {site}, region: eu, base_url: \"{origin}\" }}\n\
            \x20   events:\n      Order Completed: {{ set: {{ goalId: {goal}, revenue: {revenue} }} }}\n"
        )
    };
    format!(
        "pipeline: shop\nkeys: [{{ key: {KEY} }}]\ndestinations:\n{}{}",
        destination("changing", "changing01", goal, revenue),
        destination("still", "stillness1", 3, "{ from: properties.still, type: number }"),
    )
}

fn id(client: usize, number: usize) -> String {
    format!("00000000-0000-4000-8000-{client:04}{number:08}")
}

/// Posts batches of five until it is told to stop; how many events were acknowledged.
async fn client(url: String, client: usize, stop: Arc<AtomicBool>) -> usize {
    let http = anole_testkit::client();
    let mut sent = 0;
    while !stop.load(Ordering::SeqCst) {
        let items: Vec<_> = (sent..sent + 5)
            .map(|number| {
                format!(
                    r#"{{"type":"track","event":"Order Completed","anonymousId":"visitor-{client}-{}","messageId":"{}","properties":{{"b":2.75,"still":9.5,"a":1.25}}}}"#,
                    number % 3,
                    id(client, number)
                )
            })
            .collect();
        let body = format!(r#"{{"batch":[{}]}}"#, items.join(","));
        let (status, text) = read(http.post(&url).header("x-write-key", KEY).body(body)).await;
        assert_eq!((status, text.as_str()), (200, "{\"success\":true}"));
        sent += 5;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_under_load_loses_nothing_and_maps_each_event_wholly_by_one_version() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let origin = sandbox.url();
    let bench = Bench::start(sandbox, &version(&origin, "a"), SETTINGS).await;
    // Answers take a moment, so that requests are under way and batches wait whenever a version goes.
    bench.sandbox.set_fault(Fault { delay_ms: Some(30), ..Fault::default() }).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let url = bench.daemon.collect_url("/v1/batch");
    let clients: Vec<_> = (0..4).map(|number| tokio::spawn(client(url.clone(), number, Arc::clone(&stop)))).collect();
    for round in 0..30 {
        let name = if round % 2 == 0 { "b" } else { "a" };
        bench.folder.write(SHOP, &version(&origin, name));
        let (status, answer) = reload(&bench).await;
        assert_eq!(status, 200, "{answer}");
        let lanes: Vec<_> = answer["lanes"].as_array().unwrap().iter().map(|lane| lane["change"].as_str()).collect();
        // The watcher may have been faster.
        assert!(lanes == [Some("changed"), Some("unchanged")] || answer["changed"] == false, "{answer}");
        // Both versions must get something to do: wait until more has arrived.
        let before = bench.sandbox.stats().events;
        bench.arrived(before + 20).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut acknowledged = Vec::new();
    for (number, client) in clients.into_iter().enumerate() {
        acknowledged.extend((0..client.await.unwrap()).map(|event| id(number, event)));
    }
    bench.sandbox.heal_all();
    bench.arrived(acknowledged.len() as u64 * 2).await;
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut arrived: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in bench.sandbox.events(&Filter::all()) {
        let body: Value = serde_json::from_slice(&event.raw).unwrap();
        let name = match (event.goal, body["revenue"].to_string().as_str()) {
            (Some(1), "1.25") => "a",
            (Some(2), "2.75") => "b",
            (Some(3), "9.5") => "still",
            mixed => panic!("mapped half by one version and half by another: {mixed:?} in {body}"),
        };
        *versions.entry(name).or_default() += 1;
        arrived.entry(event.nonce.unwrap()).or_default().push(event.goal.unwrap());
    }
    assert!(versions["a"] > 20 && versions["b"] > 20, "both versions were at work: {versions:?}");
    for id in &acknowledged {
        let mut goals = arrived.remove(id).unwrap_or_else(|| panic!("{id} was lost"));
        goals.sort_unstable();
        assert!(goals == [1, 3] || goals == [2, 3], "{id} arrived as {goals:?}");
    }
    assert!(arrived.is_empty(), "nobody sent these: {arrived:?}");
}

#[tokio::test]
async fn a_broken_file_leaves_the_running_version_and_is_told_everywhere() {
    let bench = Bench::with("", GOAL).await;
    let good = std::fs::read_to_string(bench.folder.path(SHOP)).unwrap();
    assert_eq!(metric(&bench, "anole_config_valid").await, Some(1));
    bench.folder.write(SHOP, &good.replace("site_code", "site_cod").replace("region: eu", "region: moon"));
    let (status, answer) = reload(&bench).await;
    assert_eq!((status, &answer["code"]), (422, &"bad_config".into()), "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("nothing has changed"), "{answer}");
    let problems = answer["problems"].as_array().unwrap();
    assert!(problems.len() >= 2, "all of them: {answer}");
    let unknown = problems.iter().find(|problem| problem["suggestion"] == "site_code");
    assert!(unknown.is_some_and(|problem| problem["line"] == 7), "{answer}");
    bench.said("the new configuration is not in force; the running one stays").await;
    assert_eq!(metric(&bench, "anole_config_valid").await, Some(0));
    assert!(metric(&bench, "anole_reload_total{result=\"refused\"}").await >= Some(1));
    let (_, page) = read(bench.http.get(bench.daemon.admin_url("/"))).await;
    assert!(page.contains("The files were refused when they were last read") && page.contains("site_code"), "{page}");
    let run = bench.anole(&["reload"]).await;
    assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
    assert!(stderr(&run).contains("shop.yaml:7:") && stderr(&run).contains("did you mean"), "{}", stderr(&run));
    let run = bench.anole(&["reload", "--json"]).await;
    let told: Value = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!((run.status.code(), told["problems"].as_array().map(Vec::len)), (Some(2), Some(problems.len())));
    let event = track("00000000-0000-4000-8000-000000000001", "Order Completed", r#"{"revenue":1}"#);
    bench.accept("/v1/t", &event, None).await;
    bench.arrived(1).await;
    assert_eq!(bench.sandbox.events(&Filter::all())[0].goal, Some(36151), "by the running version");
    // And the files are taken as soon as they are right again, by themselves.
    bench.folder.write(SHOP, &good.replace("36151", "40112"));
    bench.said(r#""changes":"pipeline changed: shop; lane changed: shop/kameleoon""#).await;
    assert_eq!(metric(&bench, "anole_config_valid").await, Some(1));
    let (_, page) = read(bench.http.get(bench.daemon.admin_url("/"))).await;
    assert!(page.contains("All is well"), "{page}");
}

#[tokio::test]
async fn a_file_that_is_renamed_into_its_place_and_a_hang_up_bring_the_new_version() {
    let bench = Bench::with("", GOAL).await;
    let good = std::fs::read_to_string(bench.folder.path(SHOP)).unwrap();
    bench.folder.write("pipelines/.shop.yaml.new", &good.replace("36151", "40112"));
    std::fs::rename(bench.folder.path("pipelines/.shop.yaml.new"), bench.folder.path(SHOP)).unwrap();
    bench.said(r#""by":"files","changes":"pipeline changed: shop; lane changed: shop/kameleoon""#).await;
    let order =
        |number: u64| track(&format!("00000000-0000-4000-8000-{number:012}"), "Order Completed", r#"{"revenue":1}"#);
    bench.accept("/v1/t", &order(1), None).await;
    bench.arrived(1).await;
    assert_eq!(bench.sandbox.events(&Filter::all())[0].goal, Some(40112));
    // Files that are written within a moment are one change: what is wrong in between is never looked at.
    bench.folder.write(SHOP, &good.replace("blueprint: kameleoon", "blueprint: own"));
    let own = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../blueprints/kameleoon.yaml")).unwrap();
    bench.folder.write("blueprints/own.yaml", &own.replacen("blueprint: kameleoon", "blueprint: own", 1));
    bench.said("lane added: shop/own; lane removed: shop/kameleoon").await;
    assert!(!bench.daemon.log().contains("not in force"), "{}", bench.daemon.log());
    // Nothing but the signal tells of this: the files are the same.
    bench.daemon.hang_up().unwrap();
    bench.said(r#""by":"signal""#).await;
    bench.accept("/v1/t", &order(2), None).await;
    bench.arrived(2).await;
}

#[tokio::test]
async fn a_lane_that_stands_still_because_its_plan_is_wrong_goes_on_by_the_new_one() {
    let wrong = Sandbox::start(Options::default()).await.unwrap();
    wrong.set_fault(Fault { status: Some(404), ..Fault::default() }).unwrap();
    let right = Sandbox::start(Options::default()).await.unwrap();
    let bench = Bench::start(right, &pipeline(&wrong.url(), "", GOAL), SETTINGS).await;
    let event = track("00000000-0000-4000-8000-000000000001", "Order Completed", r#"{"revenue":1}"#);
    bench.accept("/v1/t", &event, None).await;
    bench.said("the lane is paused").await;
    assert_eq!(metric(&bench, "anole_lane_paused{lane=\"shop/kameleoon\"}").await, Some(1));
    bench.folder.write(SHOP, &pipeline(&bench.sandbox.url(), "", GOAL));
    let run = bench.anole(&["reload"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    bench.arrived(1).await;
    assert_eq!(metric(&bench, "anole_lane_paused{lane=\"shop/kameleoon\"}").await, None);
    assert_eq!(wrong.stats().events, 0);
}

#[tokio::test]
async fn keys_and_pipelines_come_and_go_at_once() {
    let bench = Bench::with("", GOAL).await;
    let good = std::fs::read_to_string(bench.folder.path(SHOP)).unwrap();
    let post = async |key: &str| {
        let event = r#"{"event":"Cart Viewed","anonymousId":"v"}"#;
        read(bench.http.post(bench.daemon.collect_url("/v1/t")).header("x-write-key", key).body(event)).await.0
    };
    assert_eq!((post(KEY).await, post("dk_next").await), (200, 401));
    bench.folder.write(SHOP, &good.replace(KEY, "dk_next"));
    let (status, answer) = reload(&bench).await;
    assert_eq!((status, &answer["lanes"][0]["change"]), (200, &"unchanged".into()), "{answer}");
    assert_eq!((post(KEY).await, post("dk_next").await), (401, 200));
    let blog = good.replace("pipeline: shop", "pipeline: blog").replace("G-TEST", "G-BLOG");
    bench.folder.write("pipelines/blog.yaml", &blog);
    let run = bench.anole(&["reload"]).await;
    let told = stdout(&run);
    assert!(told.contains("pipeline blog: added") && told.contains("lane blog/kameleoon: added, plan "), "{told}");
    assert_eq!((post(KEY).await, post("dk_next").await), (200, 200));
    std::fs::remove_file(bench.folder.path("pipelines/blog.yaml")).unwrap();
    let run = bench.anole(&["reload"]).await;
    assert!(stdout(&run).contains("pipeline blog: removed"), "{}{}", stdout(&run), stderr(&run));
    assert_eq!((post(KEY).await, post("dk_next").await), (401, 200), "an event of blog is in the journal all the same");
    // The last one is not taken away, and a setting takes a restart.
    std::fs::remove_file(bench.folder.path(SHOP)).unwrap();
    let (status, answer) = reload(&bench).await;
    assert_eq!((status, &answer["problems"][0]["code"]), (422, &"no_pipelines".into()), "{answer}");
    assert_eq!(post("dk_next").await, 200);
    bench.folder.write(SHOP, &good);
    let settings = std::fs::read_to_string(bench.folder.config()).unwrap();
    bench.folder.write("anole.yaml", &format!("{settings}history: {{ max_bytes: 1GiB }}\n"));
    let run = bench.anole(&["reload"]).await;
    assert!(stderr(&run).contains("come into force with a restart"), "{}{}", stdout(&run), stderr(&run));
}

#[tokio::test]
async fn s5_a_new_destination_starts_at_the_reload_a_removed_one_stops_and_one_that_comes_back_resumes() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let origin = sandbox.url();
    let both = version(&origin, "a");
    let one = &both[..both.find("  - blueprint: kameleoon\n    name: still").unwrap()];
    let bench = Bench::start(sandbox, one, SETTINGS).await;
    let send = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let event = track(&id(0, number), "Order Completed", r#"{"a":1.25,"still":9.5}"#);
            bench.accept("/v1/t", &event, None).await;
        }
    };
    let still = || {
        let events = bench.sandbox.events(&Filter { site: Some("stillness1".to_owned()), ..Filter::all() });
        let mut nonces: Vec<_> = events.into_iter().filter_map(|event| event.nonce).collect();
        nonces.sort();
        nonces
    };
    let ids = |numbers: &[usize]| numbers.iter().map(|number| id(0, *number)).collect::<Vec<_>>();
    send(0..2).await;
    bench.arrived(2).await;
    bench.folder.write(SHOP, &both);
    assert_eq!(reload(&bench).await.0, 200);
    send(2..4).await;
    bench.arrived(6).await;
    assert_eq!(still(), ids(&[2, 3]), "not those before the reload");
    // The vendor fails it; what it could not deliver is kept while no pipeline has it.
    let site = Some("stillness1".to_owned());
    bench.sandbox.set_fault(Fault { status: Some(500), site, ..Fault::default() }).unwrap();
    send(4..5).await;
    bench.arrived(7).await;
    bench.folder.write(SHOP, one);
    assert_eq!(reload(&bench).await.0, 200);
    bench.said("no pipeline has the lane any more").await;
    bench.sandbox.heal_all();
    let rows = stdout(&bench.anole(&["lanes", "list"]).await);
    assert!(rows.contains("orphaned"), "{rows}");
    assert_eq!(metric(&bench, "anole_lane_lag_events{lane=\"shop/still\"}").await, None, "nobody works on it");
    send(5..6).await;
    bench.arrived(8).await;
    assert_eq!(still(), ids(&[2, 3]), "it stopped");
    bench.folder.write(SHOP, &both);
    let (_, answer) = reload(&bench).await;
    // The watcher may have been faster.
    assert!(answer["changed"] == false || answer["lanes"][1]["change"] == "returned", "{answer}");
    bench.said("a pipeline has the lane again").await;
    bench.arrived(10).await;
    assert_eq!(still(), ids(&[2, 3, 4, 5]), "it goes on where it was");
    tokio::time::timeout(PATIENCE, async {
        while !stdout(&bench.anole(&["lanes", "list"]).await).contains("runs") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
}

//! The command line as programs and shells see it: every verb with `--json`, exit codes, pages of codes, completion.
//!
//! Which verbs there are is read from the manual's page, which a test of the crate holds to the definition: a verb that nobody
//! has thought of here makes this fail.

use std::path::Path;
use std::process::Stdio;

use anole_testkit::Folder;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::bench::{BINARY, Bench, GOAL, PATIENCE, anole, read, stderr, stdout, track};

const PAGE: &str = include_str!("../../../../docs/cli.md");
/// Verbs that run until they are stopped. Each says where it is in its first line, but for the daemon, which has no data.
const LASTING: [&str; 3] = ["demo", "sandbox", "run"];
/// Verbs that another module asks for JSON, as they need more than a daemon and a few events.
const ELSEWHERE: [&str; 2] = ["tail", "forget"];

fn verbs() -> Vec<&'static str> {
    PAGE.lines().filter_map(|line| line.strip_prefix("## anole ")).collect()
}

/// How a verb is asked, and how it ends.
struct Case {
    verb: &'static str,
    more: String,
    code: i32,
}

/// Sends an order that arrives and one that is parked, as it lacks its goal.
async fn world() -> (Bench, [String; 3]) {
    let bench = Bench::with("", GOAL).await;
    bench.accept("/v1/t", &track("m-1", "Order Completed", "{}"), None).await;
    bench.accept("/v1/t", &track("m-2", "Order Refunded", "{}"), None).await;
    let delivered = bench.send("m-1", "delivered").await;
    bench.send("m-2", "parked").await;
    let attempt = delivered["attempts"][0]["id"].as_str().unwrap().to_owned();
    let (_, parked) = read(bench.http.get(bench.daemon.admin_url("/api/parked"))).await;
    let parked: Value = serde_json::from_str(&parked).unwrap();
    (bench, ["m-1".to_owned(), attempt, parked[0]["id"].as_str().unwrap().to_owned()])
}

/// In this order: what is given up last is still there before.
fn cases([message, attempt, parked]: &[String; 3]) -> Vec<Case> {
    let case = |verb, more: &str, code| Case { verb, more: more.to_owned(), code };
    vec![
        case("init", "other", 0),
        case("reload", "", 0),
        case("check", "", 0),
        case("blueprint list", "", 0),
        case("blueprint show", "kameleoon", 0),
        case("blueprint new", "acme", 0),
        case("blueprint schema", "pipeline", 0),
        case("test", "event.json", 0),
        case("send", "page --message-id m-3", 0),
        case("events show", message, 0),
        case("events list", "--limit 1", 0),
        case("deliveries list", "--limit 1", 0),
        case("deliveries show", attempt, 0),
        case("deliveries stat", "", 0),
        case("parked list", "", 0),
        case("parked show", parked, 0),
        case("parked replay", "--all --yes", 0),
        case("parked discard", "--all --yes", 0),
        case("replay", &format!("--message-id {message} --yes"), 0),
        case("journal stat", "", 0),
        case("journal verify", "", 0),
        case("journal repair", "", 1),
        case("lanes list", "", 0),
        case("lanes pause", "shop/kameleoon", 0),
        case("lanes resume", "shop/kameleoon", 0),
        case("lanes release", "shop/kameleoon --yes", 1),
        case("lanes rename", "shop/kameleoon shop/other", 1),
        case("explain", "missing_field", 0),
        case("completion", "bash", 0),
    ]
}

#[tokio::test]
async fn every_verb_gives_json_on_standard_output_and_nothing_else_there() {
    let (bench, ids) = world().await;
    bench.folder.write("event.json", r#"{"type":"track","event":"Order Completed","userId":"u-1"}"#);
    let cases = cases(&ids);
    for verb in verbs() {
        let known = cases.iter().any(|case| case.verb == verb) || LASTING.contains(&verb) || ELSEWHERE.contains(&verb);
        assert!(known, "`anole {verb}` is in no case: how is it asked for JSON?");
    }
    for Case { verb, more, code } in cases {
        let mut arguments: Vec<&str> = verb.split(' ').chain(more.split_whitespace()).collect();
        arguments.push("--json");
        let run = bench.anole(&arguments).await;
        let (out, talk) = (stdout(&run), stderr(&run));
        assert_eq!(run.status.code(), Some(code), "anole {verb}: {talk}");
        // A schema is one value on many lines.
        let is_one = serde_json::from_str::<Value>(&out).is_ok();
        for line in out.lines().filter(|_| !is_one) {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "anole {verb}: no JSON: {line}");
        }
        assert_eq!(out.is_empty(), code != 0, "anole {verb}: {out}");
        assert!(code == 0 || talk.contains("` says more"), "anole {verb} names no page: {talk}");
    }
}

#[tokio::test]
async fn what_runs_until_it_is_stopped_says_where_it_is_in_json() {
    for (arguments, keys) in [
        (&["demo", "--json"][..], &["shop", "console", "sandbox"][..]),
        (&["sandbox", "--listen", "127.0.0.1:0", "--json"], &["url"]),
    ] {
        let mut command = tokio::process::Command::new(BINARY);
        let command = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let said: Value = serde_json::from_str(&first).unwrap();
        for key in keys {
            assert!(said[key].as_str().unwrap().starts_with("http://127.0.0.1:"), "{key} is missing in {said}");
        }
        child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn wrong_usage_is_2_and_says_nothing_on_standard_output() {
    let folder = Folder::new("pipeline: shop\nkeys: [{ key: dk_x }]\ndestinations: []\n");
    for arguments in [
        &["no-such-verb"][..],
        &["lanes", "list", "--no-such-flag"],
        &["events", "show"],
        &["explain", "missingfield"],
        &["completion", "no-such-shell"],
        &["check", "--config", "no-such-file.yaml"],
    ] {
        let run = anole(folder.dir(), arguments).await;
        assert_eq!((run.status.code(), stdout(&run).as_str()), (Some(2), ""), "{arguments:?}: {}", stderr(&run));
        assert!(!stderr(&run).is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_code_is_explained_in_text_and_json_and_a_slip_is_recognised() {
    let folder = Folder::new("");
    let run = anole(folder.dir(), &["explain", "missing_field"]).await;
    let page = stdout(&run);
    assert!(run.status.success(), "{}", stderr(&run));
    for words in ["missing_field\nReason of a state\n", "Why it happens", "What anole did", "What to do", "parked"] {
        assert!(page.contains(words), "{words} is missing in\n{page}");
    }
    assert!(!page.contains("](") && page.lines().all(|line| line.chars().count() < 140), "{page}");
    let json: Value = serde_json::from_str(&stdout(&anole(folder.dir(), &["explain", "bot", "--json"]).await)).unwrap();
    assert_eq!((&json["code"], &json["places"][0]), (&"bot".into(), &"State of a send".into()));
    for key in ["meaning", "why", "did", "to_do", "example"] {
        assert!(json[key].as_str().is_some_and(|text| text.len() > 5), "{key}: {json}");
    }
    let slip = anole(folder.dir(), &["explain", "mising-field"]).await;
    assert!(stderr(&slip).contains("did you mean missing_field"), "{}", stderr(&slip));
    let all = stdout(&anole(folder.dir(), &["explain"]).await);
    assert!(all.contains("Reason of a state\n") && all.contains("\n  missing_field "), "{all}");
}

#[tokio::test]
async fn who_meets_a_code_is_led_to_its_page() {
    let (bench, _) = world().await;
    let wrong = Folder::new("pipelin: shop\n");
    let run = anole(wrong.dir(), &["check"]).await;
    assert!(stderr(&run).contains("`anole explain CODE` says more of missing_key, unknown_key"), "{}", stderr(&run));
    let second = bench.anole(&["run"]).await;
    assert!(stderr(&second).contains("`anole explain data_dir_taken` says more"), "{}", stderr(&second));
    let lane = bench.anole(&["lanes", "pause", "shop/kameleon"]).await;
    assert!(stderr(&lane).contains("`anole explain unknown_lane` says more"), "{}", stderr(&lane));
    let send = bench.anole(&["send", "page", "--user", &"u".repeat(1001)]).await;
    assert!(stderr(&send).contains("`anole explain text_too_long` says more"), "{}", stderr(&send));
    for (verb, code) in [("events", "unknown_event"), ("deliveries", "unknown_attempt"), ("parked", "unknown_parked")] {
        let run = bench.anole(&[verb, "show", "00000000-0000-0000-0000-000000000000"]).await;
        assert!(stderr(&run).contains(&format!("`anole explain {code}` says more")), "{verb}: {}", stderr(&run));
        assert_eq!((run.status.code(), stdout(&run).as_str()), (Some(1), ""), "{verb}");
    }
    let html = |path: &str| bench.http.get(bench.daemon.admin_url(path)).header("accept", "text/html");
    let (status, event) = read(html("/events/m-2")).await;
    assert_eq!(status, 200);
    assert!(event.contains("href=\"/explain/missing_field\""), "{event}");
    let (status, page) = read(html("/explain/missing_field")).await;
    assert_eq!(status, 200);
    for words in ["<h2>What to do</h2>", "<code>anole reload</code>", "<a href=\"/explain/parked\">"] {
        assert!(page.contains(words), "{words} is missing in\n{page}");
    }
    let (status, page) = read(html("/explain/%3Cscript%3Ealert(1)%3C%2Fscript%3E")).await;
    assert_eq!(status, 404);
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
    bench.anole(&["lanes", "pause", "shop/kameleoon"]).await;
    let lanes: Value = serde_json::from_str(&stdout(&bench.anole(&["lanes", "list", "--json"]).await)).unwrap();
    assert_eq!(lanes["pause_code"], "paused_by_person");
}

#[tokio::test]
async fn a_real_bash_completes_verbs_and_flags() {
    if !Path::new("/bin/bash").exists() {
        return;
    }
    let folder = Folder::new("");
    let script = stdout(&anole(folder.dir(), &["completion", "bash"]).await);
    folder.write("anole.bash", &script);
    for (typed, expected) in [
        (&["anole", "expl"][..], "explain"),
        (&["anole", "parked", "re"], "replay"),
        (&["anole", "parked", "replay", "--dry"], "--dry-run"),
        (&["anole", "completion", "fi"], "fish"),
    ] {
        let words = typed.join(" ");
        // As bash calls it: the command, the word at the cursor, the word before.
        let asks = format!(
            "source ./anole.bash; COMP_WORDS=({words}); COMP_CWORD={}; _anole anole \"${{COMP_WORDS[COMP_CWORD]}}\" \
             \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            typed.len() - 1
        );
        let mut bash = tokio::process::Command::new("/bin/bash");
        let run = bash.args(["--norc", "-c", &asks]).current_dir(folder.dir()).output().await.unwrap();
        assert!(stdout(&run).lines().any(|line| line == expected), "{words}: {} {}", stdout(&run), stderr(&run));
    }
}

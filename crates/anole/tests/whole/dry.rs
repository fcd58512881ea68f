//! `anole test`: what would be sent, why, from where, and whether it is still what it was.

use anole_testkit::Folder;

use crate::bench::{anole, stderr, stdout};

const SHOP: &str = "pipeline: shop
keys: [{ key: dk_x }]
destinations:
  - blueprint: kameleoon
    settings: { site_code: f17c21u1ag, region: eu }
    events:
      Order Completed: { set: { goalId: 36151 } }
  - blueprint: acme
    settings: { key: \"${ACME_KEY}\" }
";

/// A vendor with a bearer key, a secret in a header and one in the payload.
const ACME: &str = r#"blueprint: acme
title: Acme
settings: { key: { type: secret } }
requests:
  items:
    url: "https://acme.example/u/{{ user_id }}?k={{ settings.key }}"
    headers: { X-Acme: "{{ settings.key }}", Content-Type: application/json }
    frame: { list: items, with: { account: "{{ settings.key }}" } }
    auth: { bearer: "{{ settings.key }}" }
sends:
  item:
    request: items
    body:
      name: { from: event }
      note: { from: properties.note, default: it's none }
      key: { from: settings.key }
presets:
  default:
    Order Completed: { send: item }
"#;

const ORDER: &str = r#"{"type":"track","event":"Order Completed","userId":"u 1","messageId":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","properties":{"revenue":23.50,"kameleoon_visitor_code":"245fc8a1b9"}}"#;
const WITHOUT_IDS: &str = r#"{"type":"track","event":"Order Completed","userId":"u2","properties":{"total":"7"}}"#;
const CART: &str = r#"{"type":"track","event":"Cart Viewed","userId":"u2","messageId":"m-3"}"#;

fn folder(events: &str) -> Folder {
    let folder = Folder::new(SHOP);
    folder.write("blueprints/acme.yaml", ACME);
    folder.write("events.ndjson", events);
    folder
}

async fn run(folder: &Folder, arguments: &[&str]) -> std::process::Output {
    let mut command = tokio::process::Command::new(crate::bench::BINARY);
    let command = command.arg("test").arg("events.ndjson").args(arguments);
    command.env("ACME_KEY", "s3cret-key").current_dir(folder.dir()).output().await.unwrap()
}

#[tokio::test]
async fn each_send_shows_its_outcome_and_the_exact_request_but_no_secret() {
    let folder = folder(&format!("{ORDER}\n{CART}\n"));
    for form in [&[][..], &["--curl"], &["--json"], &["--explain"], &["--json", "--explain"]] {
        let run = run(&folder, form).await;
        assert!(run.status.success(), "{form:?}: {}", stderr(&run));
        let text = format!("{}{}", stdout(&run), stderr(&run));
        assert!(!text.contains("s3cret"), "{form:?} shows a secret:\n{text}");
    }
    let text = stdout(&run(&folder, &[]).await);
    for line in [
        "Order Completed  9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa",
        "  shop/kameleoon  send 0 by rule `Order Completed`",
        "    visitor code 245fc8a1b9 from properties.kameleoon_visitor_code",
        "    POST https://eu-data.kameleoon.io/visit/events?siteCode=f17c21u1ag&json=true",
        "    Content-Type: application/json",
        r#"    [{"nonce":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","eventType":"CONVERSION","visitorCode":"245fc8a1b9","goalId":36151,"revenue":23.50}]"#,
        "    POST https://acme.example/u/u%201?k=***",
        "    X-Acme: ***",
        "    Authorization: Bearer ***",
        r#"    {"account":"***","items":[{"name":"Order Completed","note":"it's none","key":"***"}]}"#,
        "    filtered  unmapped",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn a_curl_command_can_be_pasted_into_a_shell() {
    let folder = folder(ORDER);
    let run = run(&folder, &["--curl"]).await;
    assert!(stderr(&run).contains("secrets are shown as ***"), "{}", stderr(&run));
    let text = stdout(&run);
    let command = &text[text.rfind("curl -X").unwrap()..];
    // A curl that prints each of its words.
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{command}");
    let shell = std::process::Command::new("sh").args(["-eu", "-c", &script]).output().unwrap();
    let words = String::from_utf8(shell.stdout).unwrap();
    let words: Vec<&str> = words.lines().collect();
    let agent = concat!("anole/", env!("CARGO_PKG_VERSION"));
    let body = r#"{"account":"***","items":[{"name":"Order Completed","note":"it's none","key":"***"}]}"#;
    let expected = [
        "-X",
        "POST",
        "https://acme.example/u/u%201?k=***",
        "-H",
        "X-Acme: ***",
        "-H",
        "Content-Type: application/json",
        "-H",
        "Authorization: Bearer ***",
        "-A",
        agent,
        "--data-raw",
        body,
    ];
    assert_eq!(words, expected, "{text}");
}

#[tokio::test]
async fn each_field_says_which_place_and_which_line_it_came_from() {
    let folder = folder(ORDER);
    let text = stdout(&run(&folder, &["--explain"]).await);
    let line = |field: &str| {
        let mut lines = text.lines().map(str::trim);
        let found = lines.find(|line| line.starts_with(field) && !line.contains('{'));
        found
            .unwrap_or_else(|| panic!("{field} is missing in\n{text}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("goalId "), "goalId 36151 a constant pipelines/shop.yaml:7");
    assert!(line("revenue ").starts_with("revenue 23.50 properties.revenue blueprints/kameleoon.yaml (embedded):"));
    assert!(line("visitorCode ").contains("resolved.visitor_code, by properties.kameleoon_visitor_code"));
    assert!(line("negative ").starts_with("negative (left out) nothing"), "{}", line("negative "));
    assert!(line("note ").ends_with("the default blueprints/acme.yaml:15"), "{}", line("note "));
    assert!(line("key ").contains("\"***\" settings.key blueprints/acme.yaml:16"), "{}", line("key "));
}

#[tokio::test]
async fn golden_results_are_kept_compared_and_brought_up_to_date() {
    let folder = folder(&format!("{ORDER}\n{WITHOUT_IDS}\n{CART}\nnull\n"));
    let missing = run(&folder, &["--expect", "expected.json"]).await;
    assert_eq!(missing.status.code(), Some(2), "{}", stderr(&missing));
    let update = run(&folder, &["--expect", "expected.json", "--update"]).await;
    assert_eq!((update.status.code(), stderr(&update).trim()), (Some(0), "wrote expected.json"));
    let kept = std::fs::read_to_string(folder.path("expected.json")).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(parsed[0]["sends"][0]["request"]["body"][0]["goalId"], 36151, "{kept}");
    assert!(kept.contains("\"revenue\": 23.50"), "digits stay:\n{kept}");
    assert!(parsed[3]["refused"].is_string(), "what ingest refuses is a result too: {}", parsed[3]);
    assert!(!kept.contains("s3cret"), "a file that is committed holds no secret");

    // Ids that clients left out and times do not make it flaky.
    let same = run(&folder, &["--expect", "expected.json"]).await;
    assert_eq!(
        (same.status.code(), stdout(&same).trim()),
        (Some(0), "all 4 events are as expected"),
        "{}",
        stderr(&same)
    );
    let lines = run(&folder, &["--json"]).await;
    folder.write("lines.json", &stdout(&lines));
    assert!(run(&folder, &["--expect", "lines.json"]).await.status.success(), "what --json prints is read too");

    folder.write("pipelines/shop.yaml", &SHOP.replace("36151", "40112"));
    let other = run(&folder, &["--expect", "expected.json"]).await;
    assert_eq!(other.status.code(), Some(1));
    let text = stdout(&other);
    assert!(text.contains("event 1, Order Completed  9f1c2d7a"), "{text}");
    let line = |sign: char, goal: u32| {
        text.lines().any(|line| line.starts_with(sign) && line.ends_with(&format!("\"goalId\": {goal},")))
    };
    assert!(line('-', 36151) && line('+', 40112), "{text}");
    assert!(stderr(&other).contains("1 of 4 not as expected.json expects"), "{}", stderr(&other));
    assert!(run(&folder, &["--expect", "expected.json", "--update"]).await.status.success());
    assert!(run(&folder, &["--expect", "expected.json"]).await.status.success());

    folder.write("events.ndjson", ORDER);
    let fewer = run(&folder, &["--expect", "expected.json"]).await;
    assert_eq!(fewer.status.code(), Some(1));
    assert!(stderr(&fewer).contains("has results for 4 events, and there are 1"), "{}", stderr(&fewer));
}

#[tokio::test]
async fn a_message_id_that_comes_again_is_a_duplicate_and_no_mistake() {
    let folder = folder(&format!("{CART}\n{CART}\n"));
    let twice = run(&folder, &["--json"]).await;
    assert_eq!(twice.status.code(), Some(0), "{}", stderr(&twice));
    assert_eq!(stdout(&twice).lines().last(), Some(r#"{"duplicate":true}"#));
    assert!(stdout(&run(&folder, &[]).await).contains("a duplicate: "));
}

#[tokio::test]
async fn events_come_in_when_they_are_said_to() {
    let folder = folder(
        &WITHOUT_IDS
            .replace("track\"", "track\",\"timestamp\":\"2026-03-01T00:00:00Z\",\"sentAt\":\"2026-03-01T00:00:10Z\""),
    );
    folder.write("blueprints/acme.yaml", &ACME.replace("from: event", "from: timestamp"));
    let text = stdout(&run(&folder, &["--at", "2026-05-01T00:00:00Z"]).await);
    assert!(text.contains("2026-04-30T23:59:50.000Z"), "{text}");
    let wrong = run(&folder, &["--at", "tomorrow"]).await;
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
    let help = anole(folder.dir(), &["test", "--help"]).await;
    assert!(stdout(&help).contains("--expect"), "{}", stdout(&help));
}

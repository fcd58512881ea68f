//! `anole check` for programs, and with the vendor's word; `anole blueprint`.

use anole_testkit::Folder;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bench::{anole, stderr, stdout};

const GOOD: &str = "pipeline: shop
keys: [{ key: dk_x }]
destinations:
  - blueprint: kameleoon
    settings: { site_code: f17c21u1ag, region: eu }
";

/// A vendor that answers each path with a status and a body, over and over, until the test ends.
async fn vendor(answers: &'static [(&'static str, u16, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read(&mut chunk).await {
                    Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&request).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let found = answers.iter().find(|(known, ..)| path.starts_with(known));
            let (status, body) = found.map_or((404, ""), |(_, status, body)| (*status, *body));
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    origin
}

fn asking(origin: &str, more: &str) -> Folder {
    let settings = format!("region: eu, config_url: \"{origin}\"{more} }}");
    let pipeline = GOOD.replace("region: eu }", &settings);
    Folder::with_settings(&pipeline, "delivery: { allow_private_addresses: true }")
}

fn problems(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn problems_are_lines_of_json_with_places_for_programs() {
    let folder = Folder::new(&GOOD.replace("region: eu", "region: ue, sit: 1").replace("keys:", "keyz:"));
    let run = anole(folder.dir(), &["check", "--json"]).await;
    assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
    let all = problems(&stdout(&run));
    assert_eq!(all.len(), 3, "{}", stdout(&run));
    let key = &all[0];
    assert_eq!((&key["code"], &key["severity"]), (&"unknown_key".into(), &"error".into()));
    assert!(key["file"].as_str().unwrap().ends_with("pipelines/shop.yaml"));
    let place = ["line", "column", "end_line", "end_column"].map(|name| key[name].as_u64().unwrap());
    assert_eq!(place, [2, 1, 2, 5]);
    assert_eq!(key["suggestion"], "keys");
    for problem in &all {
        assert!(problem["message"].is_string() && problem["expected"].is_string(), "{problem}");
    }
    let good = anole(Folder::new(GOOD).dir(), &["check", "--json"]).await;
    assert_eq!((good.status.code(), stdout(&good).as_str()), (Some(0), ""));
    let forbidden = Folder::new(&GOOD.replace("region: eu", "region: eu, base_url: \"http://127.0.0.1:1\""));
    let run = anole(forbidden.dir(), &["check", "--json"]).await;
    assert_eq!((run.status.code(), &problems(&stdout(&run))[0]["code"]), (Some(2), &"forbidden_address".into()));
}

#[tokio::test]
async fn a_mistake_in_the_settings_hides_none_in_the_other_files() {
    let folder = Folder::with_settings(&GOOD.replace("region: eu", "region: ue"), "journal: { ack: disk }");
    folder.write("blueprints/acme.yaml", "blueprint: acme\ntitle: Acme\nrequests: {}\nsends: {}\npreset: {}\n");
    let run = anole(folder.dir(), &["check", "--json"]).await;
    let files: Vec<String> =
        problems(&stdout(&run)).iter().map(|problem| problem["file"].as_str().unwrap_or("none").to_owned()).collect();
    for file in ["anole.yaml", "pipelines/shop.yaml", "blueprints/acme.yaml"] {
        assert!(files.iter().any(|known| known.ends_with(file)), "{file} is not among {files:?}");
    }
    let broken = Folder::new(GOOD);
    broken.write("anole.yaml", "pipelines: [\n");
    let run = anole(broken.dir(), &["check", "--json"]).await;
    assert_eq!((run.status.code(), problems(&stdout(&run)).len()), (Some(2), 1), "{}", stdout(&run));
}

#[tokio::test]
async fn the_vendor_confirms_what_is_right_and_contradicts_what_is_wrong() {
    const EU: &str = r#"{"configuration":{"dataApiDomain":"eu-data.kameleoon.io"}}"#;
    const NA: &str = r#"{"configuration":{"dataApiDomain":"na-data.kameleoon.io"}}"#;
    let right = asking(&vendor(&[("/v3/f17c21u1ag", 200, EU)]).await, "");
    let run = anole(right.dir(), &["check", "--remote"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stdout(&run).contains("asked the vendors: data_file of shop/kameleoon"), "{}", stdout(&run));

    let wrong = asking(&vendor(&[("/v3/f17c21u1ag", 200, NA)]).await, "");
    let run = anole(wrong.dir(), &["check", "--remote"]).await;
    assert_eq!(run.status.code(), Some(2));
    for words in ["na-data.kameleoon.io", "the data region is wrong", "pipelines/shop.yaml:5:5"] {
        assert!(stderr(&run).contains(words), "{words} is missing in\n{}", stderr(&run));
    }
    assert!(anole(wrong.dir(), &["check"]).await.status.success(), "nobody is asked without --remote");

    let unknown = asking(&vendor(&[]).await, "");
    let run = anole(unknown.dir(), &["check", "--remote", "--json"]).await;
    assert_eq!(run.status.code(), Some(2));
    let problem = &problems(&stdout(&run))[0];
    assert_eq!(problem["code"], "remote_mismatch");
    assert_eq!(problem["message"], "Kameleoon does not know the site code");
}

#[tokio::test]
async fn a_network_that_fails_is_a_warning() {
    // A port that was free a moment ago and that nobody listens at.
    let origin = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let folder = asking(&origin, "");
    let run = anole(folder.dir(), &["check", "--remote"]).await;
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert!(stderr(&run).contains("warning[remote_unsure]"), "{}", stderr(&run));
}

#[tokio::test]
async fn with_credentials_goals_are_asked_for_and_no_secret_is_shown() {
    const EU: &str = r#"{"configuration":{"dataApiDomain":"eu-data.kameleoon.io"}}"#;
    let origin = vendor(&[
        ("/v3/", 200, EU),
        ("/oauth/token", 200, r#"{"access_token":"t-1"}"#),
        ("/goals?page=1&perPage=200", 200, r#"[{"id":36151,"name":"Order"}]"#),
    ])
    .await;
    let more =
        format!(", client_id: c-1, client_secret: s3cret, token_url: \"{origin}/oauth/token\", api_url: \"{origin}\"");
    let folder = asking(&origin, &more);
    let rules = "    events: { Order Completed: { set: { goalId: 36152 } } }\n";
    let text = std::fs::read_to_string(folder.path("pipelines/shop.yaml")).unwrap();
    folder.write("pipelines/shop.yaml", &format!("{text}{rules}"));
    let run = anole(folder.dir(), &["check", "--remote"]).await;
    assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
    assert!(stderr(&run).contains("the vendor lists no goalId 36152"), "{}", stderr(&run));
    assert!(!stderr(&run).contains("s3cret"), "{}", stderr(&run));
    folder.write("pipelines/shop.yaml", &format!("{text}{}", rules.replace("36152", "36151")));
    let run = anole(folder.dir(), &["check", "--remote"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stdout(&run).contains("goals of shop/kameleoon"), "{}", stdout(&run));
}

#[tokio::test]
async fn blueprints_are_listed_shown_and_begun() {
    let folder = Folder::new(GOOD);
    let list = stdout(&anole(folder.dir(), &["blueprint", "list"]).await);
    assert!(list.contains("kameleoon") && list.contains("page, conversion"), "{list}");
    let show = stdout(&anole(folder.dir(), &["blueprint", "show", "kameleoon"]).await);
    assert!(show.starts_with("# yaml-language-server: $schema=../.anole/schemas/blueprint.schema.json\n"), "{show}");
    folder.write("blueprints/kameleoon.yaml", &show);
    let check = anole(folder.dir(), &["check"]).await;
    assert!(check.status.success(), "what is shown can be a file of one's own: {}", stderr(&check));
    let merged = anole(folder.dir(), &["blueprint", "show", "--merged", "--destination", "kameleoon"]).await;
    assert!(stdout(&merged).contains("Order Refunded: "), "{}{}", stdout(&merged), stderr(&merged));
    let unknown = anole(folder.dir(), &["blueprint", "show", "kameleon"]).await;
    assert_eq!(unknown.status.code(), Some(2));

    let new = anole(folder.dir(), &["blueprint", "new", "acme"]).await;
    assert_eq!(
        (new.status.code(), stdout(&new).as_str()),
        (Some(0), "wrote blueprints/acme.yaml\n"),
        "{}",
        stderr(&new)
    );
    assert!(anole(folder.dir(), &["check"]).await.status.success());
    let text = std::fs::read_to_string(folder.path("blueprints/acme.yaml")).unwrap();
    let named = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=").unwrap();
    assert!(folder.path("blueprints").join(named).exists(), "{named} is not there");
    folder.write("blueprints/acme.yaml", "blueprint: mine\n");
    let again = anole(folder.dir(), &["blueprint", "new", "acme"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(folder.path("blueprints/acme.yaml")).unwrap(), "blueprint: mine\n");
    let known = anole(folder.dir(), &["blueprint", "new", "kameleoon"]).await;
    assert_eq!(known.status.code(), Some(1), "{}", stdout(&known));
    for name in ["../x", "5", "", "a b", "true"] {
        assert_eq!(anole(folder.dir(), &["blueprint", "new", name]).await.status.code(), Some(2), "{name}");
    }
}

#[tokio::test]
async fn schemas_are_printed_and_lie_where_files_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let init = anole(dir.path(), &["init", "--site-code", "f17c21u1ag", "--region", "eu"]).await;
    assert!(init.status.success(), "{}", stderr(&init));
    for (kind, file, name) in
        [("settings", "anole.yaml", "anole.schema.json"), ("pipeline", "pipelines/shop.yaml", "pipeline.schema.json")]
    {
        let printed = stdout(&anole(dir.path(), &["blueprint", "schema", kind]).await);
        let path = dir.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let named = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=").unwrap();
        let schema = path.parent().unwrap().join(named);
        assert!(schema.ends_with(name), "{named}");
        assert_eq!(std::fs::read_to_string(schema).unwrap(), printed, "{kind}");
    }
    let file = dir.path().join(".anole/schemas/blueprint.schema.json");
    std::fs::write(&file, "{}").unwrap();
    let write = stdout(&anole(dir.path(), &["blueprint", "schema", "--write"]).await);
    assert_eq!(write, "wrote .anole/schemas/blueprint.schema.json\n");
    assert_ne!(std::fs::read_to_string(file).unwrap(), "{}");
}

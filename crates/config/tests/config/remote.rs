//! What a vendor's answer says about a destination.

use anole_config::{Code, Problem, RemoteAnswer, RemoteCheck, Severity};

use crate::support::{Folder, shop};

/// The checks of a shop with these further settings and rules.
fn checks(settings: &str, events: &str) -> Vec<RemoteCheck> {
    let pipeline = shop(events).replace("region: eu", &format!("region: eu{settings}"));
    let folder = Folder::with(&pipeline).env("SECRET", "s3cret");
    folder.load().unwrap_or_else(|errors| panic!("{errors}")).remote
}

fn judged(check: &RemoteCheck, status: u16, body: &str) -> Vec<String> {
    shown(&check.judge(RemoteAnswer::Answered(status, body.as_bytes())))
}

fn shown(problems: &[Problem]) -> Vec<String> {
    let line = |problem: &Problem| {
        let place = problem.place().map_or(0, |(line, _)| line);
        format!(
            "{place} {} {}: {}",
            problem.code(),
            problem.message(),
            problem.expected().or(problem.suggestion()).unwrap_or_default()
        )
    };
    problems.iter().map(line).collect()
}

#[test]
fn the_data_file_confirms_site_code_and_region() {
    let all = checks("", "");
    let [check] = &*all else { panic!("without credentials goals are not asked for: {}", all.len()) };
    assert_eq!(check.address().url, "https://sdk-config.kameleoon.eu/v3/f17c21u1ag");
    let file = |domain: &str| format!(r#"{{"configuration":{{"dataApiDomain":"{domain}"}},"featureFlags":[]}}"#);
    assert_eq!(judged(check, 200, &file("eu-data.kameleoon.io")), [""; 0]);
    assert_eq!(
        judged(check, 200, &file("na-data.kameleoon.io")),
        ["5 remote_mismatch the vendor says na-data.kameleoon.io for configuration.dataApiDomain: expected \
          https://eu-data.kameleoon.io: the data region is wrong, or the account has another \
          address: write it as base_url"]
    );
    assert_eq!(
        judged(check, 404, ""),
        [
            "5 remote_mismatch Kameleoon does not know the site code: https://sdk-config.kameleoon.eu/v3/f17c21u1ag was asked"
        ]
    );
    let older = checks(", base_url: \"https://data.kameleoon.eu\"", "");
    assert_eq!(judged(&older[0], 200, &file("data.kameleoon.eu")), [""; 0], "an older account's own address");
}

#[test]
fn what_says_nothing_is_a_warning() {
    let check = &checks("", "")[0];
    for (problems, why) in [
        (check.judge(RemoteAnswer::Failed("connection refused")), "connection refused"),
        (check.judge(RemoteAnswer::Answered(503, b"")), "it answered 503"),
        (check.judge(RemoteAnswer::Answered(403, b"")), "it answered 403"),
        (check.judge(RemoteAnswer::Answered(200, b"<html>")), "its answer is no JSON"),
        (check.judge(RemoteAnswer::Answered(200, b"{}")), "its answer has no text at configuration.dataApiDomain"),
    ] {
        let [problem] = &*problems else { panic!("{why}: {problems:?}") };
        assert_eq!((problem.code(), problem.severity()), (Code::RemoteUnsure, Severity::Warning));
        assert_eq!(problem.message(), format!("`data_file` of shop/kameleoon could not be checked: {why}"));
    }
}

#[test]
fn with_credentials_the_goals_of_rules_must_exist() {
    let events = "    events:\n      Order Completed: { set: { goalId: 36151 } }\n      Signed Up: { set: { goalId: \"40112\" } }\n";
    let all = checks(", client_id: c, client_secret: \"${SECRET}\"", events);
    let [_, goals] = &*all else { panic!("the data file and the goals: {}", all.len()) };
    assert_eq!(goals.address().url, "https://api.kameleoon.com/goals?page=1&perPage=200");
    assert_eq!(judged(goals, 200, r#"[{"id":36151},{"id":40112}]"#), [""; 0]);
    assert_eq!(
        judged(goals, 200, r#"[{"id":36151},{"id":40113}]"#),
        ["8 remote_mismatch the vendor lists no goalId 40112: 40113"]
    );
    let many: Vec<String> = (0..200).map(|id| format!(r#"{{"id":{}}}"#, id + 36_151)).collect();
    let cut = goals.judge(RemoteAnswer::Answered(200, format!("[{}]", many.join(",")).as_bytes()));
    assert_eq!(shown(&cut), ["8 remote_unsure the vendor lists no goalId 40112: only the first 200 were looked at"]);
    assert_eq!(cut[0].severity(), Severity::Warning);
    let refused = judged(goals, 401, "");
    assert!(refused[0].contains("the vendor refuses the credentials: it answered 401"), "{refused:?}");
}

#[test]
fn another_blueprint_can_declare_what_its_vendor_can_be_asked() {
    let vendor = r#"blueprint: vendor
title: A vendor
settings:
  key: { type: secret }
  list: { type: text }
requests:
  one: { url: "https://a.example/x", frame: single }
checks:
  lists:
    url: "https://a.example/lists/{{ settings.list }}"
    auth: { bearer: "{{ settings.key }}" }
    missing: there is no such list
    known: { field: kind, list: data.kinds, place: name }
sends:
  thing: { request: one, body: { kind: { required: true } } }
presets:
  default:
    Thing: { send: thing, set: { kind: order } }
"#;
    let pipeline = "pipeline: shop\nkeys: [ { key: dk_x } ]\ndestinations:\n  - blueprint: vendor\n    settings: { key: \"${K}\", list: \"a b\" }\n";
    let folder = Folder::with(pipeline).blueprint("vendor.yaml", vendor).env("K", "s3cret");
    let loaded = folder.load().unwrap_or_else(|errors| panic!("{errors}"));
    let [check] = &*loaded.remote else { panic!("one check") };
    assert_eq!(check.address().url, "https://a.example/lists/a%20b");
    assert_eq!(judged(check, 200, r#"{"data":{"kinds":[{"name":"order"}]}}"#), [""; 0]);
    let unknown = judged(check, 200, r#"{"data":{"kinds":[{"name":"page"}]}}"#);
    assert!(unknown[0].contains("remote_mismatch the vendor lists no kind order"), "{unknown:?}");
    assert!(judged(check, 404, "")[0].contains("there is no such list"));
    assert!(!format!("{check:?}").contains("s3cret"));

    let errors = Folder::with(pipeline)
        .blueprint("vendor.yaml", &vendor.replace("field: kind", "field: kin").replace("place: name", "place: \"a b\""))
        .env("K", "s3cret")
        .errors();
    assert!(errors.contains("there is no payload field `kin`") && errors.contains("did you mean `kind`?"), "{errors}");
}

//! A slow, obvious reading of the language beside the compiled plan: on random plans and random events both must say the same.
//!
//! The interpreter here follows the prose of `SendPlan`'s module and nothing of the code: the event is a tree, paths are
//! walked by name, every step makes a new value. Numbers are kept as they were written in both.

#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod json;
mod oracle;
mod spec;

use anole_event::{EventType, Fingerprint, Head, Kind, LaneId, OrderKey, Timestamp};
use anole_pipeline::{
    Action, Answers, Applied, Auth, BatchLimits, BodyKind, Call, Intake, LaneParts, LanePlan, Made, Paths,
    PipelinePlan, RequestPlan, Rule, SendPlan, Template,
};
use json::Json;
use proptest::prelude::*;
use proptest::test_runner::Config;
use spec::Spec;
use std::sync::Arc;
use std::time::Duration;

/// What became of an event: the item, or why there is none.
type Became = Result<Json, &'static str>;

fn by_plan(fields: &[(String, Spec)], event: &str) -> Became {
    let mut paths = Paths::new();
    let fields = fields.iter().map(|(key, spec)| spec.field(key, &mut paths, &mut Vec::new())).collect();
    let request = RequestPlan {
        name: "one".into(),
        body: BodyKind::Array,
        batch: BatchLimits { events: 10, bytes: 1 << 20, wait: Duration::from_secs(1) },
        answers: Answers::default(),
        auth: Auth::None,
    };
    let call = Call { method: "POST".into(), url: Template::text("https://a.example/"), headers: Vec::new() };
    let mut parts = LaneParts::new(LaneId::new("shop", "acme"));
    parts.requests = vec![(request, call)];
    parts.rules = vec![Rule {
        name: "track".into(),
        matches: vec!["track".into()],
        own: false,
        when: None,
        action: Action::Send(vec![SendPlan::new("hit".into(), 0, None, fields)]),
    }];
    let lane = Arc::new(LanePlan::new(parts).expect("a plan"));
    let plan = PipelinePlan::new(Intake::new("shop"), vec![Arc::clone(&lane)], &[], paths);
    let values = plan.read(event.to_owned().into()).expect("an event");
    let head = Head {
        kind: Kind::Event,
        event_type: EventType::Track,
        protocol: "segment",
        received_at: Timestamp::from_millis(0),
        order_key: OrderKey(0),
        fingerprint: Fingerprint(0),
        pipeline: "shop",
        name: "",
        source_name: "",
    };
    let Applied::Made(made) = lane.apply(&head, &values) else { panic!("this version makes sends only") };
    match &made[0] {
        Made::Send(send) => Ok(Json::parse(std::str::from_utf8(&send.item).expect("UTF-8"))),
        Made::Ended(ended) => Err(ended.outcome.reason.as_str()),
    }
}

proptest! {
    #![proptest_config(Config { cases: 3_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_plan_says_what_the_interpreter_says(
        specs in prop::collection::vec(spec::spec(), 1..4),
        properties in json::object(),
    ) {
        let fields: Vec<(String, Spec)> = specs.into_iter().enumerate().map(|(at, spec)| (format!("f{at}"), spec)).collect();
        let event = format!(r#"{{"message_id":"m-1","type":"track","user_id":"u","properties":{}}}"#, properties.write());
        let expected = oracle::item(&fields, &Json::parse(&event));
        let found = by_plan(&fields, &event);
        prop_assert_eq!(&found, &expected, "{:?}\n{}", fields, event);
    }
}

#[test]
fn the_specs_reach_every_end() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut sent, mut parked, mut each) = (0, 0, 0);
    for _ in 0..2_000 {
        let spec = spec::spec().new_tree(&mut runner).expect("a spec").current();
        let properties = json::object().new_tree(&mut runner).expect("an object").current();
        let event = format!(r#"{{"message_id":"m-1","properties":{}}}"#, properties.write());
        each += usize::from(format!("{spec:?}").contains("Each"));
        match by_plan(&[("f".to_owned(), spec)], &event) {
            Ok(item) if item == Json::Object(Vec::new()) => {}
            Ok(_) => sent += 1,
            Err(_) => parked += 1,
        }
    }
    assert!(sent > 200 && parked > 100 && each > 50, "the comparison means something: {sent} {parked} {each}");
}

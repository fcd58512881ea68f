//! Plans made by hand, as the blueprint compiler makes them.

use std::time::Duration;

use anole_event::{Decision, LaneId};
use anole_pipeline::{
    Address, Answers, Auth, BatchLimits, BodyKind, Call, EndpointKey, ItemVerdicts, LaneParts, LanePlan, Path, Piece,
    RequestPlan, Secret, Template, Verdict,
};

/// A lane with one request, an array of texts.
pub(crate) fn limits(events: usize, bytes: usize, wait_ms: u64) -> LanePlan {
    let region = Verdict { decision: Decision::Pause, hint: Some("the data region is wrong".into()) };
    with_answers(events, bytes, wait_ms, Answers::default().with_status(404, region))
}

fn with_answers(events: usize, bytes: usize, wait_ms: u64, answers: Answers) -> LanePlan {
    with(events, bytes, wait_ms, answers, Auth::None)
}

fn with(events: usize, bytes: usize, wait_ms: u64, answers: Answers, auth: Auth) -> LanePlan {
    let request = RequestPlan {
        name: "events".into(),
        body: BodyKind::Array,
        batch: BatchLimits { events, bytes, wait: Duration::from_millis(wait_ms) },
        answers,
        auth,
    };
    let url = Template(vec![Piece::Text("http://127.0.0.1:9/".into())]);
    let call = Call { method: "POST".into(), url, headers: Vec::new() };
    let mut parts = LaneParts::new(LaneId::new("shop", "kameleoon"));
    parts.requests = vec![(request, call)];
    LanePlan::new(parts).expect("the plan is sound")
}

/// A lane whose vendor says of each item what became of it, in answers with 207.
pub(crate) fn each(events: usize) -> LanePlan {
    let path = |text| Path::parse(text).expect("a path");
    let items = ItemVerdicts { list: Some(path("results")), status: path("status") };
    let then = Verdict { decision: Decision::Split, hint: None };
    with_answers(events, 10_000, 1_000, Answers::default().with_status(207, then).with_items_of_status(207, items))
}

/// A lane that authenticates by a key.
pub(crate) fn with_key(key: &str) -> LanePlan {
    with_auth(Auth::Bearer(Secret::new(key)))
}

/// A lane that authenticates so.
pub(crate) fn with_auth(auth: Auth) -> LanePlan {
    with(3, 1_000, 1_000, Answers::default(), auth)
}

pub(crate) fn address(number: u64) -> Address {
    Address {
        id: number,
        request: 0,
        method: "POST".into(),
        url: format!("http://127.0.0.1:9/{number}"),
        masked_url: format!("http://127.0.0.1:9/{number}"),
        headers: Vec::new(),
        endpoint: EndpointKey { origin: "http://127.0.0.1:9".into(), account: None, credentials: 0 },
    }
}

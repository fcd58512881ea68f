//! Plans made by hand, as the blueprint compiler makes them.

use std::time::Duration;

use anole_event::{Decision, LaneId};
use anole_pipeline::{
    Address, Answers, Auth, BatchLimits, BodyKind, Call, EndpointKey, LaneParts, LanePlan, Piece, RequestPlan,
    Template, Verdict,
};

/// A lane with one request, an array of texts.
pub(crate) fn limits(events: usize, bytes: usize, wait_ms: u64) -> LanePlan {
    let region = Verdict { decision: Decision::Pause, hint: Some("the data region is wrong".into()) };
    let request = RequestPlan {
        name: "events".into(),
        body: BodyKind::Array,
        batch: BatchLimits { events, bytes, wait: Duration::from_millis(wait_ms) },
        answers: Answers::default().with_status(404, region),
        auth: Auth::None,
    };
    let url = Template(vec![Piece::Text("http://127.0.0.1:9/".into())]);
    let call = Call { method: "POST".into(), url, headers: Vec::new() };
    let mut parts = LaneParts::new(LaneId::new("shop", "kameleoon"));
    parts.requests = vec![(request, call)];
    LanePlan::new(parts).expect("the plan is sound")
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

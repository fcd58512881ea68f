//! Plans made by hand, as the blueprint compiler makes them.

use std::time::Duration;

use anole_event::{Decision, LaneId};
use anole_pipeline::{Address, Answers, Auth, BatchLimits, EndpointKey, LanePlan, RequestPlan, Verdict};

pub(crate) fn limits(events: usize, bytes: usize, wait_ms: u64) -> LanePlan {
    let mut answers = Answers::default();
    answers.0.insert(404, Verdict { decision: Decision::Pause, hint: Some("the data region is wrong".into()) });
    LanePlan {
        lane: LaneId::new("shop", "kameleoon"),
        hash: 1,
        requests: vec![RequestPlan {
            name: "events".into(),
            batch: BatchLimits { events, bytes, wait: Duration::from_millis(wait_ms) },
            answers,
            auth: Auth::None,
        }],
    }
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

//! A vendor's answers: a status, and a body that may say what became of each item.

use std::sync::{Arc, LazyLock};

use anole_pipeline::PipelinePlan;

use crate::kept::plan;

static PLAN: LazyLock<Arc<PipelinePlan>> = LazyLock::new(|| plan(include_str!("shop.yaml")));

/// How many items the batch had.
const ITEMS: usize = 3;

pub(crate) fn run(input: &[u8]) {
    let Some(([high, low], body)) = input.split_first_chunk() else { return };
    let status = u16::from_be_bytes([*high, *low]) % 600;
    for lane in &PLAN.lanes {
        for request in &lane.requests {
            let answers = &request.answers;
            let _verdict = answers.judge(status);
            if let Some(statuses) = answers.statuses(status, body, ITEMS) {
                assert_eq!(statuses.len(), ITEMS, "one status for each item");
            }
        }
    }
}

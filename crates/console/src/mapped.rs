//! What the plans in force make of an event: each send as it would travel alone, and what each of its fields came from.

use anole_event::{LaneId, Reason, Record};
use anole_pipeline::{Applied, Explained, LanePlan, Made, PipelinePlan, Values};

/// A send that a plan makes, or where it would end. Secrets are masked.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) lane: LaneId,
    pub(crate) ordinal: u16,
    pub(crate) rule: String,
    /// `sent`, or where it would end without a request.
    pub(crate) state: &'static str,
    pub(crate) reason: Option<Reason>,
    /// What a person should read.
    pub(crate) detail: Option<String>,
    pub(crate) visitor_code: Option<String>,
    /// The path that gave the visitor code.
    pub(crate) rung: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) marks: Vec<&'static str>,
    /// Method and address.
    pub(crate) request: Option<String>,
    /// The body, as it would be if the send travelled alone.
    pub(crate) body: Option<String>,
    /// The send itself, without what the request puts around it.
    pub(crate) item: Option<String>,
    pub(crate) explained: Vec<Explained>,
    /// The hash of the plan.
    pub(crate) plan: u64,
}

/// What the plan of a pipeline makes of an event, lane by lane.
///
/// # Errors
/// In words, when the event cannot be read.
pub(crate) fn mapped(plan: &PipelinePlan, record: &Record) -> Result<Vec<Mapped>, String> {
    let head = record.head().map_err(|error| error.to_string())?;
    let body = record.body().map_err(|error| error.to_string())?;
    let values = plan.read(body).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    for lane in &plan.lanes {
        let masked = lane.masked();
        let Applied::Made(made) = masked.apply(&head, &values) else { continue };
        all.extend(made.iter().map(|made| Mapped::of(&masked, made, &values)));
    }
    Ok(all)
}

// === impl Mapped ===

impl Mapped {
    /// Of a plan that is masked.
    fn of(plan: &LanePlan, made: &Made, values: &Values) -> Self {
        let explained = plan.explain(made, values);
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
        let code = |code: &Option<Box<str>>| code.as_deref().map(str::to_owned);
        match made {
            Made::Send(send) => {
                let request = &plan.requests[send.address.request];
                let item = std::slice::from_ref(&send.item);
                let body = plan.without_secrets(request.assemble(item));
                Self {
                    lane: plan.lane.clone(),
                    ordinal: send.ordinal,
                    rule: send.rule.to_string(),
                    state: "sent",
                    reason: None,
                    detail: send.hint.as_deref().map(str::to_owned),
                    visitor_code: code(&send.visitor_code),
                    rung: text(&send.rung),
                    nonce: code(&send.nonce),
                    marks: send.marks.names().collect(),
                    request: Some(format!("{} {}", send.address.method, send.address.masked_url)),
                    body: Some(String::from_utf8_lossy(&body).into_owned()),
                    item: Some(String::from_utf8_lossy(&plan.without_secrets(send.item.clone())).into_owned()),
                    explained,
                    plan: plan.hash,
                }
            }
            Made::Ended(ended) => Self {
                lane: plan.lane.clone(),
                ordinal: ended.ordinal,
                rule: ended.rule.to_string(),
                state: ended.outcome.state.as_str(),
                reason: Some(ended.outcome.reason),
                detail: ended.outcome.detail.clone(),
                visitor_code: code(&ended.visitor_code),
                rung: text(&ended.rung),
                nonce: None,
                marks: Vec::new(),
                request: None,
                body: None,
                item: None,
                explained,
                plan: plan.hash,
            },
        }
    }
}

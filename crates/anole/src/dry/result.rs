//! What became of an event in a dry run. As JSON it is what `--json` prints and what `--expect` reads.

use anole_event::Record;
use anole_pipeline::{Applied, Explained, LanePlan, Made, PipelinePlan, Values};
use serde::Serialize;
use serde_json::json;

use super::explained;
use super::request::Request;
use crate::cli::Test;
use crate::failure::Failure;
use crate::output::{Output, tame};

/// What became of an event.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum EventResult {
    /// Ingest would not take it.
    Refused { refused: String },
    /// An event of the same message id came before in the file.
    Duplicate { duplicate: bool },
    /// It would be accepted; what each lane makes of it.
    Accepted {
        event: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        came_as: Option<String>,
        message_id: String,
        sends: Vec<SendResult>,
    },
}

/// What became of a send.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SendResult {
    lane: String,
    ordinal: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitor_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rung: Option<String>,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    #[serde(skip)]
    hint: Option<String>,
    #[serde(skip)]
    explained: Vec<Explained>,
}

// === impl EventResult ===

impl EventResult {
    pub(super) fn of(plan: &PipelinePlan, record: &Record) -> Result<Self, Failure> {
        let head = record.head().map_err(Failure::of)?;
        let values = plan.read(record.body().map_err(Failure::of)?).map_err(Failure::of)?;
        let name = if head.name.is_empty() { head.event_type.as_str() } else { head.name };
        let came_as = Some(head.source_name).filter(|came| !came.is_empty() && *came != name);
        let mut sends = Vec::new();
        for lane in &plan.lanes {
            let masked = lane.masked();
            let Applied::Made(made) = masked.apply(&head, &values) else { continue };
            for made in &made {
                sends.push(SendResult::of(&masked, made, &values).map_err(Failure::of)?);
            }
        }
        Ok(Self::Accepted {
            event: name.to_owned(),
            came_as: came_as.map(str::to_owned),
            message_id: values.message_id().into_owned(),
            sends,
        })
    }

    /// How a person finds it among others.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Refused { .. } => "refused by ingest".to_owned(),
            Self::Duplicate { .. } => "a duplicate".to_owned(),
            Self::Accepted { event, message_id, .. } => format!("{}  {}", tame(event), tame(message_id)),
        }
    }

    pub(super) fn has_secrets(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Duplicate { .. } => false,
            Self::Accepted { sends, .. } => {
                sends.iter().filter_map(|send| send.request.as_ref()).any(Request::has_secrets)
            }
        }
    }

    pub(super) fn show(&self, test: &Test, output: Output) -> Result<(), Failure> {
        if output.json {
            output.line(&self.as_json(test.explain)?);
            return Ok(());
        }
        match self {
            Self::Refused { refused } => output.line(&format!("refused by ingest: {}", tame(refused))),
            Self::Duplicate { .. } => {
                output.line("a duplicate: an event of this message id came before, and counts once");
            }
            Self::Accepted { came_as, sends, .. } => {
                let came = came_as.as_ref().map(|came| format!(" (came as `{}`)", tame(came))).unwrap_or_default();
                output.line(&format!("{}{came}", self.name()));
                for send in sends {
                    send.show(test, output);
                }
            }
        }
        Ok(())
    }

    fn as_json(&self, explain: bool) -> Result<String, Failure> {
        let Self::Accepted { sends, .. } = self else { return serde_json::to_string(self).map_err(Failure::of) };
        if !explain {
            return serde_json::to_string(self).map_err(Failure::of);
        }
        // Written beside the result and not into it: an expected file must not change because a line of YAML moved.
        let told: Vec<_> = sends.iter().map(|send| explained::as_json(&send.explained)).collect();
        let result = serde_json::to_string(self).map_err(Failure::of)?;
        let open = result.strip_suffix('}').unwrap_or(&result);
        Ok(format!("{open},\"explained\":{}}}", json!(told)))
    }
}

// === impl SendResult ===

impl SendResult {
    fn of(lane: &LanePlan, made: &Made, values: &Values) -> Result<Self, serde_json::Error> {
        let (ordinal, rule, visitor_code, rung) = match made {
            Made::Send(send) => (send.ordinal, &send.rule, &send.visitor_code, &send.rung),
            Made::Ended(ended) => (ended.ordinal, &ended.rule, &ended.visitor_code, &ended.rung),
        };
        let mut result = Self {
            lane: lane.lane.to_string(),
            ordinal,
            rule: Some(rule.to_string()).filter(|rule| !rule.is_empty()),
            visitor_code: visitor_code.as_deref().map(str::to_owned),
            rung: rung.as_deref().map(str::to_owned),
            state: "sent".to_owned(),
            reason: None,
            detail: None,
            marks: Vec::new(),
            request: None,
            hint: None,
            explained: lane.explain(made, values),
        };
        match made {
            Made::Send(send) => {
                result.marks = send.marks.names().map(str::to_owned).collect();
                result.hint = send.hint.as_deref().map(str::to_owned);
                result.request = Some(Request::of(lane, send)?);
            }
            Made::Ended(ended) => {
                result.state = ended.outcome.state.as_str().to_owned();
                result.reason = Some(ended.outcome.reason.as_str().to_owned());
                result.detail = ended.outcome.detail.as_deref().map(str::to_owned);
            }
        }
        Ok(result)
    }

    fn show(&self, test: &Test, output: Output) {
        let rule = self.rule.as_ref().map_or_else(|| "no rule".to_owned(), |rule| format!("rule `{rule}`"));
        output.line(&format!("  {}  send {} by {rule}", self.lane, self.ordinal));
        if let (Some(visitor), Some(rung)) = (&self.visitor_code, &self.rung) {
            output.line(&format!("    visitor code {} from {rung}", tame(visitor)));
        }
        if let Some(reason) = &self.reason {
            let detail = self.detail.as_ref().map(|detail| format!(": {}", tame(detail))).unwrap_or_default();
            output.line(&format!("    {}  {reason}{detail}", output.state(&self.state)));
        }
        if !self.marks.is_empty() {
            let hint = self.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
            output.line(&format!("    {}{hint}", self.marks.join(", ")));
        }
        match &self.request {
            Some(request) if test.curl => output.line(&request.curl()),
            Some(request) => request.lines().iter().for_each(|line| output.line(format!("    {line}").trim_end())),
            None => {}
        }
        if test.explain {
            explained::show(&self.explained, output);
        }
    }
}

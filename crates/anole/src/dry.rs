//! `anole test`: what would be sent for an event, and what would become of it.
//!
//! The event goes the real way (ingest, journal, plan), with stores in a temporary folder and nothing at the end of it: what
//! is shown is what a daemon with this configuration would do.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anole_event::{EventType, Fingerprint, Head, Kind, OrderKey, Record, Seeded, SystemClock, Timestamp};
use anole_http::Peer;
use anole_ingest::{Ground, Ingest, IngestOptions};
use anole_journal::{AckLevel, Embedded, EmbeddedOptions, Journal, Read};
use anole_pipeline::{Applied, LanePlan, Made, PipelinePlan, Send};
use anole_state::{Sqlite, StateOptions};
use anole_telemetry::Telemetry;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::Test;
use crate::failure::Failure;
use crate::files::{load, one_pipeline};
use crate::output::Output;

pub(crate) async fn run(config: Option<&Path>, test: &Test, output: Output) -> Result<(), Failure> {
    let loaded = load(config)?;
    let plan = one_pipeline(&loaded.pipelines, test.pipeline.as_deref())?;
    let bench = Bench::new(plan)?;
    let mut refused = 0;
    for text in events(&test.file)? {
        match bench.record(&text).await? {
            Ok(record) => show(plan, &record, test.curl, output)?,
            Err(why) => {
                refused += 1;
                if output.json {
                    output.value(&json!({ "refused": why }));
                } else {
                    output.line(&format!("refused by ingest: {why}"));
                }
            }
        }
    }
    if refused > 0 {
        return Err(Failure::Failed(format!("{refused} events would not be accepted")));
    }
    Ok(())
}

/// The events of a file: one, or one a line.
fn events(file: &Path) -> Result<Vec<String>, Failure> {
    let shown = file.display();
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(Failure::of)?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| Failure::Wrong(format!("anole: {shown}: {error}")))?;
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
        return Ok(vec![text]);
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let checked = lines.map(|(at, line)| match serde_json::from_str::<serde::de::IgnoredAny>(line) {
        Ok(_) => Ok(line.to_owned()),
        Err(error) => {
            Err(Failure::Wrong(format!("anole: {shown}:{}: {error}: write one event as JSON, or one a line", at + 1)))
        }
    });
    let events: Vec<_> = checked.collect::<Result<_, _>>()?;
    if events.is_empty() {
        return Err(Failure::Wrong(format!("anole: {shown} holds no event")));
    }
    Ok(events)
}

/// An ingest with stores that nobody keeps.
struct Bench {
    ingest: Arc<Ingest>,
    journal: Arc<Embedded>,
    key: String,
    _folder: tempfile::TempDir,
}

// === impl Bench ===

impl Bench {
    fn new(plan: &PipelinePlan) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::of)?;
        let clock = Arc::new(SystemClock::new());
        let telemetry = Telemetry::new(Arc::clone(&clock) as _);
        let options = EmbeddedOptions { ack: AckLevel::Memory, ..EmbeddedOptions::new(folder.path().join("journal")) };
        let random = || Box::new(Seeded::from_entropy());
        let journal =
            Embedded::open(options, Arc::clone(&telemetry), Arc::clone(&clock) as _, random()).map_err(Failure::of)?;
        let options = StateOptions::in_folder(folder.path());
        let state = Sqlite::open(&options, Arc::clone(&telemetry), Arc::clone(&clock) as _).map_err(Failure::of)?;
        let Some(key) = plan.intake.keys.first() else {
            return Err(Failure::Wrong(format!("the pipeline {} has no key: add one under `keys:`", plan.name)));
        };
        let ground = Ground { journal: Arc::clone(&journal) as _, state, telemetry, clock, random: random() };
        let ingest = Ingest::new(IngestOptions::default(), ground, [Arc::new(plan.intake.clone())]);
        Ok(Self { ingest, journal, key: key.key.reveal().to_owned(), _folder: folder })
    }

    /// The record that an event becomes, or why it is refused.
    async fn record(&self, text: &str) -> Result<Result<Record, String>, Failure> {
        if let Some(record) = canonical(text) {
            return Ok(Ok(record));
        }
        let at = self.journal.ends().first().copied().unwrap_or_default();
        // A batch of one, as its items name their type.
        let body = Bytes::from(format!("{{\"batch\":[{text}]}}"));
        let request = Request::post("/v1/batch").header("x-write-key", &self.key).body(Full::new(body));
        let request = request.map_err(Failure::of)?;
        let peer = Peer { address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let answer = Arc::clone(&self.ingest).handle(request, peer).await;
        let body = anole_http::body::read(answer.into_body(), &anole_http::body::Limits::of(1 << 20)).await;
        let body: Value = serde_json::from_slice(&body.map_err(Failure::of)?).unwrap_or_default();
        let mut reader = self.journal.reader(at);
        if let Some(Read::Block(block)) = reader.try_next().map_err(Failure::of)?
            && let Some((_, record)) = block.records.into_iter().next()
        {
            return Ok(Ok(record));
        }
        Ok(Err(why(&body)))
    }
}

/// The heads of a canonical event, as `anole events show` prints it.
#[derive(Deserialize)]
struct Canonical {
    #[serde(rename = "type")]
    event_type: EventType,
    event: Option<String>,
    message_id: String,
    anonymous_id: Option<String>,
    user_id: Option<String>,
    received_at: Timestamp,
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    pipeline: String,
    protocol: String,
    name: Option<String>,
}

/// The record of an event that is canonical already: it came out of a journal, and goes back as it is.
fn canonical(text: &str) -> Option<Record> {
    let event: Canonical = serde_json::from_str(text).ok()?;
    let head = Head {
        kind: Kind::Event,
        event_type: event.event_type,
        protocol: &event.source.protocol,
        received_at: event.received_at,
        order_key: OrderKey::of(event.anonymous_id.as_deref(), event.user_id.as_deref(), &event.message_id),
        fingerprint: Fingerprint::of(&event.source.pipeline, &event.message_id),
        pipeline: &event.source.pipeline,
        name: event.event.as_deref().unwrap_or_default(),
        source_name: event.source.name.as_deref().unwrap_or_default(),
    };
    Some(Record::new(&head, text.trim().as_bytes()))
}

/// The reason in a refusing answer.
fn why(answer: &Value) -> String {
    let verdict = ["verdicts", "rejected", "errors"].iter().find_map(|name| answer[*name][0]["message"].as_str());
    verdict.or_else(|| answer["message"].as_str()).unwrap_or("it gives no reason").to_owned()
}

fn show(plan: &PipelinePlan, record: &Record, curl: bool, output: Output) -> Result<(), Failure> {
    let head = record.head().map_err(Failure::of)?;
    let values = plan.read(record.body().map_err(Failure::of)?).map_err(Failure::of)?;
    let name = if head.name.is_empty() { head.event_type.as_str() } else { head.name };
    if !output.json {
        let came = if head.source_name.is_empty() || head.source_name == name {
            String::new()
        } else {
            format!(" (came as `{}`)", head.source_name)
        };
        output.line(&format!("{name}  {}{came}", values.message_id()));
    }
    for lane in &plan.lanes {
        let Applied::Made(made) = lane.apply(&head, &values) else { continue };
        for made in &made {
            if output.json {
                output.value(&as_json(lane, made));
            } else {
                as_text(lane, made, curl, output);
            }
        }
    }
    Ok(())
}

fn as_text(lane: &LanePlan, made: &Made, curl: bool, output: Output) {
    let (ordinal, rule, visitor, rung) = match made {
        Made::Send(send) => (send.ordinal, &send.rule, &send.visitor_code, &send.rung),
        Made::Ended(ended) => (ended.ordinal, &ended.rule, &ended.visitor_code, &ended.rung),
    };
    let rule = if rule.is_empty() { "no rule".to_owned() } else { format!("rule `{rule}`") };
    output.line(&format!("  {}  send {ordinal} by {rule}", lane.lane));
    if let (Some(visitor), Some(rung)) = (visitor, rung) {
        output.line(&format!("    visitor code {visitor} from {rung}"));
    }
    match made {
        Made::Ended(ended) => {
            let detail = ended.outcome.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            let state = output.state(ended.outcome.state.as_str());
            output.line(&format!("    {state}  {}{detail}", ended.outcome.reason));
        }
        Made::Send(send) => {
            let marks: Vec<_> = send.marks.names().collect();
            if !marks.is_empty() {
                let hint = send.hint.as_deref().map(|hint| format!(": {hint}")).unwrap_or_default();
                output.line(&format!("    {}{hint}", marks.join(", ")));
            }
            let body = String::from_utf8_lossy(&body(lane, send)).into_owned();
            if curl {
                output.line(&curl_of(send, &body));
            } else {
                output.line(&format!("    {} {}", send.address.method, send.address.masked_url));
                output.line(&format!("    {body}"));
            }
        }
    }
}

fn as_json(lane: &LanePlan, made: &Made) -> Value {
    match made {
        Made::Send(send) => json!({
            "lane": lane.lane,
            "ordinal": send.ordinal,
            "rule": send.rule,
            "visitor_code": send.visitor_code,
            "rung": send.rung,
            "marks": send.marks.names().collect::<Vec<_>>(),
            "state": "sent",
            "method": send.address.method,
            "url": send.address.masked_url,
            "body": String::from_utf8_lossy(&body(lane, send)),
        }),
        Made::Ended(ended) => json!({
            "lane": lane.lane,
            "ordinal": ended.ordinal,
            "rule": ended.rule,
            "visitor_code": ended.visitor_code,
            "rung": ended.rung,
            "state": ended.outcome.state.as_str(),
            "reason": ended.outcome.reason.as_str(),
            "detail": ended.outcome.detail,
        }),
    }
}

/// The body of a request with this send alone.
fn body(lane: &LanePlan, send: &Send) -> Bytes {
    lane.requests[send.address.request].assemble(std::slice::from_ref(&send.item))
}

fn curl_of(send: &Send, body: &str) -> String {
    let mut text = format!("curl -X {} {}", send.address.method, quoted(&send.address.masked_url));
    for (name, value) in &send.address.headers {
        // A header of a vendor's own may hold a secret; what it holds is in the blueprint.
        let is_plain = ["content-type", "accept"].iter().any(|plain| name.eq_ignore_ascii_case(plain));
        let value = if is_plain { value } else { "***" };
        text.push_str(&format!(" \\\n  -H {}", quoted(&format!("{name}: {value}"))));
    }
    text.push_str(&format!(" \\\n  -A {}", quoted(anole_delivery::USER_AGENT)));
    text.push_str(&format!(" \\\n  --data-binary {}", quoted(body)));
    text
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_out_of_a_journal_goes_back_as_it_is() {
        let text = r#"{"type":"track","message_id":"m","event":"E","user_id":"u","cookies":{"c":"1"},"received_at":"2026-11-22T10:00:00.000Z","source":{"pipeline":"shop","protocol":"segment"}}"#;
        let record = canonical(text).unwrap();
        assert_eq!((record.head().unwrap().name, &*record.body().unwrap()), ("E", text.as_bytes()));
        assert!(
            canonical(r#"{"type":"track","event":"E","userId":"u"}"#).is_none(),
            "a client's event goes through ingest"
        );
    }

    #[test]
    fn a_text_is_one_word_of_a_shell_whatever_is_in_it() {
        assert_eq!(quoted("a'b $c"), r"'a'\''b $c'");
    }
}

//! What happens to events as it happens, a line each: for `anole tail` and the demo.

use serde_json::Value;

use super::text;
use crate::output::{Output, Tone, tame};

/// One message of the live feed.
pub(crate) fn told(output: Output, told: &Value) {
    if output.json {
        output.value(told);
        return;
    }
    let (at, event, message_id, lane) =
        (text(&told["at"]), text(&told["event"]), text(&told["message_id"]), text(&told["lane"]));
    let line = match told["stage"].as_str().unwrap_or_default() {
        "accepted" => {
            let state = output.paint(Tone::Soft, "accepted");
            format!("{state}  {event}  {message_id}  on disk for pipeline {}", text(&told["pipeline"]))
        }
        "duplicate" => {
            let state = output.paint(Tone::Soft, "duplicate");
            format!("{state}  {event}  {message_id}  seen before by pipeline {}", text(&told["pipeline"]))
        }
        "rejected" => {
            let state = output.paint(Tone::Bad, "rejected");
            let what: Vec<String> =
                ["message_id", "pipeline"].iter().filter_map(|key| told[key].as_str()).map(tame).collect();
            let what = if what.is_empty() { "a request".to_owned() } else { what.join("  ") };
            format!("{state}  {what}  {}: {}", text(&told["code"]), text(&told["message"]))
        }
        "attempt" => {
            let status = told["status"].as_u64().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let error = told["error"].as_str().map(|error| format!(": {}", tame(error))).unwrap_or_default();
            let (sends, took) = (&told["sends"], told["took_ms"].as_f64().unwrap_or_default());
            let state = output.paint(Tone::Soft, "attempt");
            let decision = text(&told["decision"]);
            format!(
                "{state}  {lane}  {sends} sends  {status} -> {decision} in {took:.1} ms{error}  {}",
                text(&told["id"])
            )
        }
        _ => {
            let status = told["status"].as_u64().map(|status| format!(" {status}")).unwrap_or_default();
            let marks: Vec<String> = told["marks"].as_array().into_iter().flatten().map(text).collect();
            let marks = if marks.is_empty() { String::new() } else { format!(" [{}]", marks.join(", ")) };
            let detail = told["detail"].as_str().map(|detail| format!(": {}", tame(detail))).unwrap_or_default();
            let (state, reason) = (output.state(&text(&told["state"])), text(&told["reason"]));
            format!("{state}  {event}  {message_id}  {lane}{status} {reason}{marks}{detail}")
        }
    };
    output.line(&format!("{at}  {line}"));
}

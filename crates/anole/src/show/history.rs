//! What the verbs print that look into the delivery log.

use serde_json::Value;

use super::{counted, number, period, size, text};
use crate::output::{Output, tame};

/// Where sends ended, in a table.
pub(crate) fn events(output: Output, rows: &Value) {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if output.json {
        rows.iter().for_each(|row| output.value(row));
        return;
    }
    if rows.is_empty() {
        output.talk("no send matches");
        return;
    }
    let table = rows.iter().map(|row| {
        let detail = row["detail"].as_str().map(tame).unwrap_or_default();
        vec![
            text(&row["at"]),
            text(&row["lane"]),
            text(&row["event"]),
            text(&row["message_id"]),
            text(&row["state"]),
            text(&row["reason"]),
            number(&row["status"]),
            text(&row["visitor_code"]),
            detail,
        ]
    });
    let headings = ["time", "lane", "event", "message id", "state", "reason", "status", "visitor code", "detail"];
    output.table(&headings, table.collect());
}

/// Attempts in a table.
pub(crate) fn deliveries(output: Output, rows: &Value) {
    if output.json {
        output.value(rows);
        return;
    }
    let table = rows.as_array().into_iter().flatten().map(|row| {
        vec![
            text(&row["at"]),
            text(&row["lane"]),
            number(&row["status"]),
            text(&row["decision"]),
            row["sends"].to_string(),
            format!("{:.1}", row["took_ms"].as_f64().unwrap_or_default()),
            text(&row["id"]),
            text(&row["error"]),
        ]
    });
    let table: Vec<_> = table.collect();
    if table.is_empty() {
        output.talk("no attempt matches");
        return;
    }
    output.table(&["time", "lane", "status", "decision", "sends", "ms", "id", "error"], table);
}

/// One attempt with request and answer.
pub(crate) fn delivery(output: Output, found: &Value) {
    if output.json {
        output.value(found);
        return;
    }
    output.line(&format!("{}  {}  {}", text(&found["id"]), text(&found["at"]), text(&found["lane"])));
    let attempt = &found["attempt"];
    if attempt.is_object() {
        let is_gone = attempt["bodies"] == "gone";
        output.line(&format!("\n{} {}", text(&attempt["method"]), text(&attempt["url"])));
        if is_gone {
            let bytes = size(attempt["request_bytes"].as_u64().unwrap_or(0));
            output.line(&format!("({bytes} were sent; bodies this old are not kept any more)"));
        } else {
            output.line(&text(&attempt["request_body"]));
        }
        let status = attempt["status"].as_u64().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        output.line(&format!("\n{status} after {:.1} ms", attempt["took_ms"].as_f64().unwrap_or_default()));
        for header in attempt["answer_headers"].as_array().into_iter().flatten() {
            output.line(&format!("{}: {}", text(&header[0]), text(&header[1])));
        }
        if !is_gone {
            output.line(&text(&attempt["answer_body"]));
        }
        let error = attempt["error"].as_str().map(|error| format!(": {}", tame(error))).unwrap_or_default();
        output.line(&format!("decided: {}{error}", text(&attempt["decision"])));
    }
    output.line("");
    let rows = found["sends"].as_array().into_iter().flatten().map(|send| {
        vec![
            text(&send["message_id"]),
            text(&send["event"]),
            text(&send["state"]),
            text(&send["reason"]),
            text(&send["detail"]),
        ]
    });
    output.table(&["message id", "event", "state", "reason", "detail"], rows.collect());
}

/// How much of the delivery log is kept, and what was dropped.
pub(crate) fn history(output: Output, shown: &Value) {
    if output.json {
        output.value(shown);
        return;
    }
    let bytes = |value: &Value| size(value.as_u64().unwrap_or(0));
    let time = |value: &Value| value.as_str().map_or_else(|| "-".to_owned(), tame);
    let count = |value: &Value, noun: &str| counted(value.as_u64().unwrap_or(0), noun);
    let limits = &shown["limits"];
    let of = |limit: &str| match limits[limit].as_u64() {
        Some(limit) => format!(" of {}", size(limit)),
        None => String::new(),
    };
    let kept = |limit: &str| match limits[limit].as_u64() {
        Some(seconds) => format!(", kept for {}", period(seconds)),
        None => String::new(),
    };
    output.line(&format!("size        {}{}", bytes(&shown["bytes"]), of("max_bytes")));
    let (sends, files) = (count(&shown["sends"], "send"), count(&shown["files"], "file"));
    output.line(&format!(
        "rows        {sends} in {files}, from {} to {}{}",
        time(&shown["oldest"]),
        time(&shown["newest"]),
        kept("keep_seconds")
    ));
    let bodies = format!("{}{}", bytes(&shown["body_bytes"]), of("max_body_bytes"));
    output.line(&format!("bodies      {bodies}, from {}{}", time(&shown["oldest_body"]), kept("keep_bodies_seconds")));
    output.line(&format!("statistics  from {}{}", time(&shown["oldest_statistics"]), kept("keep_statistics_seconds")));
    let dropped = &shown["dropped"];
    if dropped["sends"] == 0 && dropped["bodies"] == 0 {
        output.line("dropped     nothing yet");
        return;
    }
    output.line(&format!(
        "dropped     {} in {}, up to {}; bodies of {}, up to {}; {}",
        count(&dropped["sends"], "send"),
        count(&dropped["files"], "file"),
        time(&dropped["rows_until"]),
        count(&dropped["bodies"], "attempt"),
        time(&dropped["bodies_until"]),
        bytes(&dropped["bytes"]),
    ));
}

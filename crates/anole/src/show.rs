//! What the looking verbs print, from the JSON that the API and the offline look-up have in common.

use anole_event::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::output::{Output, Tone, tame};

mod history;
mod told;

pub(crate) use self::history::{deliveries, delivery, events, history};
pub(crate) use self::told::told;

/// The part of a story that is shown as it was written, numbers with their digits.
#[derive(Deserialize)]
struct Written {
    body: Option<Box<RawValue>>,
}

/// The same of a parked send.
#[derive(Deserialize)]
struct WrittenParked {
    parked: Written,
}

/// The story of each event, from its JSON.
pub(crate) fn stories(output: Output, json: &str) -> Result<(), serde_json::Error> {
    let raw: Vec<Box<RawValue>> = serde_json::from_str(json)?;
    if output.json {
        raw.iter().for_each(|story| output.line(story.get()));
        return Ok(());
    }
    for story in raw {
        let written: Written = serde_json::from_str(story.get())?;
        let story: Value = serde_json::from_str(story.get())?;
        output.line(&format!("{}  {}", text(&story["event"]), text(&story["message_id"])));
        output.line(&format!("  {}", text(&story["summary"])));
        output.line("");
        let came = match story["source_name"].as_str() {
            Some(name) if story["event"] != name => format!(" as `{}`", tame(name)),
            _ => String::new(),
        };
        output.line(&format!(
            "  {}  received by {}{came} for pipeline {}, on disk at {}",
            text(&story["received_at"]),
            story["protocol"].as_str().unwrap_or("a protocol that is not known any more"),
            text(&story["pipeline"]),
            text(&story["position"]),
        ));
        for lane in story["lanes"].as_array().into_iter().flatten() {
            output.line(&format!("  lane {}", text(&lane["lane"])));
            if let Some(waiting) = lane["waiting"].as_str() {
                output.line(&format!("    {}", output.paint(Tone::Warn, &format!("waiting: {}", tame(waiting)))));
            }
            if let Some(silent) = lane["silent"].as_str() {
                output.line(&format!("    {}", output.paint(Tone::Soft, &tame(silent))));
            }
            for send in lane["sends"].as_array().into_iter().flatten() {
                self::send(output, send);
            }
        }
        if let Some(body) = written.body {
            output.line("  event");
            output.line(&format!("    {}", tame(body.get())));
        }
        output.line("");
    }
    Ok(())
}

fn send(output: Output, send: &Value) {
    let rule = match send["rule"].as_str() {
        Some(rule) if !rule.is_empty() => format!("rule `{}`", tame(rule)),
        _ => "no rule".to_owned(),
    };
    output.line(&format!("    send {} by {rule}", send["ordinal"]));
    if let Some(code) = send["visitor_code"].as_str() {
        output.line(&format!("      visitor code {} from {}", tame(code), text(&send["rung"])));
    }
    if let Some(nonce) = send["nonce"].as_str() {
        output.line(&format!("      nonce {}", tame(nonce)));
    }
    // Attempts and ends in the order in which they were; an attempt stands before the end that it brought.
    let mut told: Vec<(Option<Timestamp>, String)> = Vec::new();
    told.extend(send["attempts"].as_array().into_iter().flatten().map(|attempt| (time(attempt), tried(attempt))));
    let ends = send["ends"].as_array().map(Vec::as_slice).unwrap_or_default();
    told.extend(ends.iter().map(|end| (time(end), ended(output, end))));
    told.sort_by_key(|(at, _)| *at);
    told.iter().for_each(|(_, line)| output.line(line));
    let last = ends.last().map(|end| &end["detail"]);
    match last {
        None => output.line(&ended(output, send)),
        // It has been tried since it ended last: it is being sent again.
        Some(detail) if *detail != send["detail"] => output.line(&format!("      {}", text(&send["detail"]))),
        Some(_) => {}
    }
}

fn time(of: &Value) -> Option<Timestamp> {
    of["at"].as_str().and_then(|at| Timestamp::parse(at).ok())
}

fn tried(attempt: &Value) -> String {
    let status = attempt["status"].as_u64().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let error = attempt["error"].as_str().map(|error| format!(": {}", tame(error))).unwrap_or_default();
    format!(
        "      {}  {status} -> {} in {:.1} ms{error}  (attempt {})",
        text(&attempt["at"]),
        text(&attempt["decision"]),
        attempt["took_ms"].as_f64().unwrap_or_default(),
        text(&attempt["id"]),
    )
}

fn ended(output: Output, end: &Value) -> String {
    let mut why: Vec<String> = Vec::new();
    why.extend(end["reason"].as_str().map(tame));
    why.extend(end["marks"].as_array().into_iter().flatten().map(text));
    why.extend(end["detail"].as_str().map(tame));
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(", ")) };
    format!("      {}  {}{why}", text(&end["at"]), output.state(&text(&end["state"])))
}

/// Parked sends, each with what to do.
pub(crate) fn parked(output: Output, rows: &Value) {
    if output.json {
        output.value(rows);
        return;
    }
    let table = rows.as_array().into_iter().flatten().map(|row| {
        vec![
            text(&row["id"]),
            text(&row["parked_at"]),
            text(&row["lane"]),
            text(&row["event"]),
            text(&row["message_id"]),
            text(&row["reason"]),
            text(&row["detail"]),
        ]
    });
    let table: Vec<_> = table.collect();
    if table.is_empty() {
        output.talk("nothing is parked");
        return;
    }
    output.table(&["id", "parked at", "lane", "event", "message id", "reason", "what to do"], table);
}

/// How many parked sends there are, by lane, reason and event.
pub(crate) fn parked_groups(output: Output, groups: &Value) {
    let groups = groups.as_array().map(Vec::as_slice).unwrap_or_default();
    if output.json {
        groups.iter().for_each(|group| output.value(group));
        return;
    }
    if groups.is_empty() {
        return;
    }
    let rows = groups.iter().map(|group| {
        let bytes = size(group["bytes"].as_u64().unwrap_or(0));
        vec![text(&group["lane"]), text(&group["reason"]), text(&group["event"]), number(&group["sends"]), bytes]
    });
    output.table(&["lane", "reason", "event", "sends", "size"], rows.collect());
}

/// How many events of the journal were chosen, by lane and event.
pub(crate) fn chosen(output: Output, chosen: &Value) {
    if output.json {
        output.value(chosen);
        return;
    }
    let rows = chosen.as_array().into_iter().flatten();
    let rows: Vec<_> = rows.map(|row| vec![text(&row["lane"]), text(&row["event"]), number(&row["events"])]).collect();
    if !rows.is_empty() {
        output.table(&["lane", "event", "events"], rows);
    }
}

/// A parked send with all that is known of it, from its JSON.
pub(crate) fn parked_story(output: Output, json: &str) -> Result<(), serde_json::Error> {
    if output.json {
        output.line(json);
        return Ok(());
    }
    let story: Value = serde_json::from_str(json)?;
    let parked = &story["parked"];
    output.line(&format!("{}  {}  {}", text(&parked["id"]), text(&parked["lane"]), text(&parked["event"])));
    output.line(&format!("  message id   {}", text(&parked["message_id"])));
    output.line(&format!("  received at  {}", text(&parked["received_at"])));
    output.line(&format!("  parked at    {}", text(&parked["parked_at"])));
    output.line(&format!("  rule         {}, by plan {}", text(&parked["rule"]), text(&story["plan"])));
    let why = output.paint(Tone::Bad, &text(&parked["reason"]));
    output.line(&format!("  why          {why}: {}", text(&parked["detail"])));
    let attempt = &story["attempt"];
    if attempt.is_object() {
        output.line(&format!("  attempt      {}", text(&parked["attempt"])));
        output.line(&format!("    {} {}", text(&attempt["method"]), text(&attempt["url"])));
        output.line(&format!("    {}", text(&attempt["request_body"])));
        let status = attempt["status"].as_u64().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        output.line(&format!("    {status}  {}", text(&attempt["answer_body"])));
    }
    match story["now"].as_array() {
        None => output.line("  now          no pipeline has the lane: it cannot be sent again"),
        Some(now) => now.iter().for_each(|now| self::now(output, now)),
    }
    let written: WrittenParked = serde_json::from_str(json)?;
    if let Some(body) = written.parked.body {
        output.line("  event");
        output.line(&format!("    {}", tame(body.get())));
    }
    Ok(())
}

/// What would become of a parked send.
fn now(output: Output, now: &Value) {
    if now["state"] == "sent" {
        output.line(&format!("  now          would be sent by plan {}", text(&now["plan"])));
        output.line(&format!("    {}", text(&now["request"])));
        output.line(&format!("    {}", text(&now["body"])));
        return;
    }
    let detail = now["detail"].as_str().map(|detail| format!(": {}", tame(detail))).unwrap_or_default();
    let state = output.state(&text(&now["state"]));
    output.line(&format!("  now          would end as {state} ({}){detail}", text(&now["reason"])));
}

/// Why a lane stands still, or what its endpoints make it wait for.
fn hint(lane: &Value) -> String {
    if lane["paused"].is_string() {
        return text(&lane["paused"]);
    }
    let waits = lane["endpoints"].as_array().into_iter().flatten().filter_map(|endpoint| {
        let name = text(&endpoint["endpoint"]);
        if endpoint["breaker_open"] == true {
            return Some(format!("{name} fails: its breaker is open, it gets probes only"));
        }
        if let Some(seconds) = endpoint["silent_seconds"].as_u64().filter(|seconds| *seconds > 0) {
            return Some(format!("{name} has asked for silence, {seconds} s more"));
        }
        let rate = endpoint["requests_per_second"].as_f64()?;
        Some(format!("{name} takes {rate} requests a second"))
    });
    let deferred = lane["deferred"].as_u64().filter(|count| *count > 0);
    let deferred = deferred.map(|count| format!("{} deferred: tried again by itself", counted(count, "send")));
    let waits: Vec<_> = waits.chain(deferred).collect();
    waits.join("; ")
}

/// Lanes in a table.
pub(crate) fn lanes(output: Output, rows: &Value) {
    if output.json {
        output.value(rows);
        return;
    }
    let table = rows.as_array().into_iter().flatten().map(|row| {
        let orphan = &row["orphan"];
        vec![
            text(&row["lane"]),
            text(&row["state"]),
            number(&row["open_events"]),
            number(&row["inflight"]),
            number(&row["retrying"]),
            number(&row["parked"]),
            if row["undelivered"].is_object() { least(&row["undelivered"]) } else { "-".to_owned() },
            if orphan["holds"] == true { size(orphan["held_bytes"].as_u64().unwrap_or(0)) } else { "-".to_owned() },
            if orphan.is_object() { orphaned(orphan) } else { hint(row) },
        ]
    });
    let table: Vec<_> = table.collect();
    if table.is_empty() {
        output.talk("there is no lane: no pipeline has had a destination yet");
        return;
    }
    let headings =
        ["lane", "state", "events in hand", "requests", "to be retried", "parked", "undelivered", "holds", "hint"];
    output.table(&headings, table);
}

/// The journal at a glance, and its segments.
pub(crate) fn journal(output: Output, shown: &Value) {
    if output.json {
        output.value(shown);
        return;
    }
    let bytes = |value: &Value| size(value.as_u64().unwrap_or(0));
    let time = |value: &Value| value.as_str().map_or_else(|| "-".to_owned(), tame);
    let segments = shown["segments"].as_array().map(Vec::as_slice).unwrap_or_default();
    let records = shown["records"].as_u64();
    let records = records.map_or_else(|| "an unknown number of events".to_owned(), |count| counted(count, "event"));
    output.line(&format!("folder     {}, ack {}", text(&shown["dir"]), text(&shown["ack"])));
    output.line(&format!(
        "size       {} of {} (on_full: {}), {records} in {}",
        bytes(&shown["bytes"]),
        bytes(&shown["max_bytes"]),
        text(&shown["on_full"]),
        counted(segments.len() as u64, "segment")
    ));
    output.line(&format!("disk       {} free", bytes(&shown["disk_free_bytes"])));
    output.line(&format!("events     from {} to {}", time(&shown["oldest"]), time(&shown["newest"])));
    output
        .line(&format!("kept       {} after every lane is done", period(shown["keep_seconds"].as_u64().unwrap_or(0))));
    for line in held(&shown["retention"]) {
        output.line(&line);
    }
    if segments.is_empty() {
        return;
    }
    output.line("");
    let rows = segments.iter().map(|segment| {
        let held = match segment["held"].as_bool() {
            Some(true) => "held",
            Some(false) => "done",
            None => "-",
        };
        vec![
            text(&segment["file"]),
            time(&segment["begun"]),
            number(&segment["records"]),
            bytes(&segment["bytes"]),
            held.to_owned(),
        ]
    });
    output.table(&["segment", "begun", "events", "size", ""], rows.collect());
}

/// Which lanes hold the journal back.
fn held(retention: &Value) -> Vec<String> {
    if !retention.is_object() {
        return vec!["held       unknown: the state cannot be read".to_owned()];
    }
    let mut lines = Vec::new();
    let holders = retention["held_by"].as_array().map(Vec::as_slice).unwrap_or_default();
    if holders.is_empty() {
        lines.push("held       by nobody: every lane is done".to_owned());
    }
    let held = size(retention["held_bytes"].as_u64().unwrap_or(0));
    for holder in holders {
        let until =
            holder["orphan_until"].as_str().map(|until| format!(", which no pipeline has, until {}", tame(until)));
        let waits = if holder["awaits_backup"] == true { ", until the state is backed up the next time" } else { "" };
        lines.push(format!("held       {held} by {}{}{waits}", text(&holder["lane"]), until.unwrap_or_default()));
    }
    let backup = retention["backed_up_at"].as_str().map_or_else(|| "never".to_owned(), tame);
    lines.push(format!("backup     {backup}: the journal lets go only of what every lane was done with then"));
    lines
}

/// A length of time in its largest unit.
fn period(seconds: u64) -> String {
    for (unit, of) in [("d", 86_400), ("h", 3_600), ("min", 60)] {
        if seconds >= of && seconds.is_multiple_of(of) {
            return format!("{} {unit}", seconds / of);
        }
    }
    format!("{seconds} s")
}

/// Since when a lane is an orphan, and what follows from it.
fn orphaned(orphan: &Value) -> String {
    let (since, until) = (text(&orphan["since"]), text(&orphan["holds_until"]));
    let holds = if orphan["holds"] == true {
        format!("holds the journal until {until}")
    } else {
        format!("has held the journal until {until}")
    };
    format!("no pipeline has it since {since}; {holds}: rename or release it")
}

/// What a lane has not delivered, in words.
pub(crate) fn backlog(backlog: &Value) -> String {
    let events = least(backlog);
    if events == "1" { "1 event".to_owned() } else { format!("{events} events") }
}

fn least(backlog: &Value) -> String {
    let least = if backlog["complete"] == false { "at least " } else { "" };
    format!("{least}{}", backlog["events"].as_u64().unwrap_or(0))
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A number; a dash where there is none.
fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// A size in the unit in which it is easy to read.
pub(crate) fn size(bytes: u64) -> String {
    let mut scaled = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if scaled < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{scaled:.1} {unit}") };
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.1} TiB")
}

/// A JSON text, tamed; nothing for anything else.
fn text(value: &Value) -> String {
    tame(value.as_str().unwrap_or_default())
}

//! `anole replay`: events of the journal, sent again; and what it has in common with a replay of parked sends.

use std::path::Path;
use std::time::Duration;

use anole_console::ReplayOrder;
use serde_json::Value;

use crate::cli::Replay;
use crate::client::Client;
use crate::failure::Failure;
use crate::looking::{Place, json, place};
use crate::output::{Output, tame};
use crate::show::{self, counted};

/// How often is asked how far a replay is.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// What is said when nobody could send.
pub(crate) const NO_DAEMON: &str =
    "no daemon runs: what is sent again is sent by one that does. Start it with `anole run`";

pub(crate) async fn run(config: Option<&Path>, replay: &Replay, output: Output) -> Result<(), Failure> {
    let Place::Daemon(client) = place(config)? else { return Err(Failure::Failed(NO_DAEMON.to_owned())) };
    let mut order = ReplayOrder {
        lane: replay.lane.clone(),
        event: replay.event.clone(),
        message_id: replay.message_id.clone(),
        from: replay.from.clone(),
        until: replay.until.clone(),
        state: replay.state,
        reason: replay.reason,
        dry_run: true,
        max_age_seconds: replay.how.max_age.map(|age| age.duration().as_secs()),
    };
    let chosen = client.post_json("/api/replay", &json(&order)?).await?;
    show::chosen(output, &chosen);
    let events: u64 = chosen.as_array().into_iter().flatten().filter_map(|row| row["events"].as_u64()).sum();
    if events == 0 {
        output.talk("no event matches that a lane has finished");
        return Ok(());
    }
    if replay.how.dry_run {
        output.talk(&format!("nothing was changed: {} would be replayed", counted(events, "event")));
        return Ok(());
    }
    agreed(output, replay.how.yes, &format!("{} will be sent again", counted(events, "event")), "Replay")?;
    order.dry_run = false;
    let begun = client.post_json("/api/replay", &json(&order)?).await?;
    if replay.how.no_wait {
        output.talk(&format!("{} are being replayed", counted(events, "event")));
        return Ok(());
    }
    told(&client, &begun, output).await
}

/// Waits for the end of replays and tells how they ended.
pub(crate) async fn told(client: &Client, begun: &Value, output: Output) -> Result<(), Failure> {
    let done = follow(client, begun).await?;
    if output.json {
        output.value(&Value::Array(done.clone()));
    }
    let mut stopped = None;
    for row in &done {
        output.talk(&outcome(row));
        stopped = stopped.or_else(|| row["stopped"].as_str());
    }
    match stopped {
        Some(why) => Err(Failure::Failed(format!("the replay did not come to its end: {}", tame(why)))),
        None => Ok(()),
    }
}

/// Waits for the end of replays. A paused lane may take days, and is not waited for.
async fn follow(client: &Client, begun: &Value) -> Result<Vec<Value>, Failure> {
    let begun = begun.as_array().map(Vec::as_slice).unwrap_or_default();
    loop {
        let all = client.get("/api/replays").await?;
        let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
        let is_ours = |row: &&Value| {
            begun.iter().any(|begun| begun["lane"] == row["lane"] && begun["asked_at"] == row["asked_at"])
        };
        let ours: Vec<_> = all.iter().filter(is_ours).cloned().collect();
        let open: Vec<_> = ours.iter().filter(|row| row["finished_at"].is_null()).map(|row| &row["lane"]).collect();
        if open.is_empty() {
            return Ok(ours);
        }
        let lanes = client.get("/api/lanes").await?;
        let lanes = lanes.as_array().map(Vec::as_slice).unwrap_or_default();
        let paused = lanes.iter().find(|lane| open.contains(&&lane["lane"]) && lane["state"] == "paused");
        if let Some(lane) = paused {
            return Err(Failure::Failed(format!(
                "the lane {} is paused ({}): its replay goes on when it is resumed",
                tame(lane["lane"].as_str().unwrap_or_default()),
                tame(lane["paused"].as_str().unwrap_or_default()),
            )));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// How a replay ended, in words.
fn outcome(row: &Value) -> String {
    let ended = row["ended"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ended = ended.iter().map(|ended| {
        let (state, reason) =
            (ended["state"].as_str().unwrap_or_default(), ended["reason"].as_str().unwrap_or_default());
        format!("{} {state} ({reason})", ended["sends"])
    });
    let mut ended: Vec<_> = ended.collect();
    if let Some(count @ 1..) = row["passed_over"].as_u64() {
        ended.push(format!("{count} passed over, parked or gone"));
    }
    let ended = if ended.is_empty() { "nothing was sent".to_owned() } else { ended.join(", ") };
    format!("{}: {ended}", tame(row["lane"].as_str().unwrap_or_default()))
}

/// Whether a person agrees, or has said so before.
pub(crate) fn agreed(output: Output, yes: bool, what: &str, verb: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    match output.ask(&format!("{what}. {verb} them?")) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::Failed("nothing was changed".into())),
        None => Err(Failure::Wrong(format!("anole: {what}: say --yes to do it, or --dry-run to see what it is"))),
    }
}

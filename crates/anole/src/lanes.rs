//! `anole lanes`: with a running daemon through its API, without one on the files themselves.

use std::path::Path;

use anole_console::ApiCode;
use anole_delivery::{NoSuchLane, Renamed, release_lane, rename_lane};
use anole_event::{Clock, LaneId, SystemClock};
use anole_state::State;
use serde_json::{Value, json};

use crate::cli::Lanes;
use crate::failure::Failure;
use crate::files::settings;
use crate::looking::{Place, encoded, place};
use crate::offline::Offline;
use crate::output::{Output, tame};
use crate::show;

pub(crate) async fn run(config: Option<&Path>, what: &Lanes, output: Output) -> Result<(), Failure> {
    match what {
        Lanes::List => {
            show::lanes(output, &list(config, &place(config)?).await?);
            Ok(())
        }
        Lanes::Pause { lane } => pause(config, lane, true, output).await,
        Lanes::Resume { lane } => pause(config, lane, false, output).await,
        Lanes::Release { lane, yes } => release(config, lane, *yes, output).await,
        Lanes::Rename { old, new } => rename(config, old, new, output).await,
    }
}

async fn list(config: Option<&Path>, place: &Place) -> Result<Value, Failure> {
    match place {
        Place::Daemon(client) => Ok(client.get("/api/lanes").await?),
        Place::Files(looks) => {
            let keep = settings(config)?.journal.keep.duration();
            let lanes = looks.lanes(None, keep, SystemClock::new().wall()).await?;
            crate::looking::json(&lanes)
        }
    }
}

async fn pause(config: Option<&Path>, lane: &str, pauses: bool, output: Output) -> Result<(), Failure> {
    let id = named(lane)?;
    let what = if pauses { "pause" } else { "resume" };
    match place(config)? {
        Place::Daemon(client) => {
            client.post(&address(&id, what)).await?;
        }
        Place::Files(_) => {
            let offline = Offline::open(config)?;
            let since = pauses.then(|| offline.now());
            let done = offline.state.pause(id, since).await.map_err(Failure::from);
            offline.close().await.and(done)?;
        }
    }
    output.talk(&format!("{lane}: {what}d"));
    if output.json {
        output.value(&json!({ "lane": lane, "paused": pauses }));
    }
    Ok(())
}

async fn release(config: Option<&Path>, lane: &str, yes: bool, output: Output) -> Result<(), Failure> {
    let id = named(lane)?;
    let place = place(config)?;
    let rows = list(config, &place).await?;
    let row = row_of(&rows, &id)?;
    let undelivered = show::backlog(&row["undelivered"]);
    // One that a pipeline has is refused below, with what to do, so that nobody is asked in vain.
    let is_orphan = row["orphan"].is_object() || matches!(&place, Place::Files(_));
    if is_orphan && !yes {
        let what = if row["undelivered"]["events"] == 0 {
            format!("{lane} has nothing left to deliver")
        } else {
            format!("{lane} has not delivered {undelivered}, and will not")
        };
        match output.ask(&format!("{what}. Release it?")) {
            Some(true) => {}
            Some(false) => return Err(Failure::Failed("nothing was changed".into())),
            None => return Err(Failure::Wrong(format!("anole: {what}: say --yes to release it"))),
        }
    }
    let given_up = match &place {
        Place::Daemon(client) => client.post(&address(&id, "release")).await?["given_up"].clone(),
        Place::Files(_) => {
            let offline = Offline::open(config)?;
            let done = release_lane(&*offline.state, &id, &offline.in_use, offline.now()).await;
            let done = done.map_err(Failure::from);
            offline.close().await.and(done)?;
            row["undelivered"].clone()
        }
    };
    if output.json {
        output.value(&json!({ "lane": lane, "given_up": given_up }));
    }
    output.talk(&format!("{lane}: released; {} given up", show::backlog(&given_up)));
    Ok(())
}

async fn rename(config: Option<&Path>, old: &str, new: &str, output: Output) -> Result<(), Failure> {
    let (from, to) = (named(old)?, named(new)?);
    let (taken_over, is_in_use, undelivered) = match place(config)? {
        Place::Daemon(client) => {
            let done = client.post_json(&address(&from, "rename"), &json!({ "to": new })).await?;
            let taken_over = done["taken_over"] == true;
            (taken_over, taken_over, done["undelivered"].clone())
        }
        place @ Place::Files(_) => {
            let offline = Offline::open(config)?;
            let is_in_use = offline.in_use.contains(&to);
            let done = rename_lane(&*offline.state, &from, &to, &offline.in_use, offline.now()).await;
            let done = done.map_err(Failure::from);
            offline.close().await?;
            let rows = list(config, &place).await?;
            (done? == Renamed::TakenOver, is_in_use, row_of(&rows, &to)?["undelivered"].clone())
        }
    };
    let how = if taken_over { format!("taken over by {new}") } else { format!("is {new} now") };
    let then = if is_in_use { "" } else { "; no pipeline has it yet" };
    output.talk(&format!("{old}: {how}, with {} to deliver{then}", show::backlog(&undelivered)));
    if output.json {
        output.value(&json!({ "lane": new, "was": old, "taken_over": taken_over, "undelivered": undelivered }));
    }
    Ok(())
}

/// The row of a lane in a list; the nearest names when it is not there.
fn row_of<'r>(rows: &'r Value, lane: &LaneId) -> Result<&'r Value, Failure> {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    let found = rows.iter().find(|row| row["lane"] == lane.as_str());
    found.ok_or_else(|| {
        let known = rows.iter().filter_map(|row| row["lane"].as_str()).map(tame).collect();
        Failure::coded(ApiCode::UnknownLane, NoSuchLane { wanted: lane.to_string(), known })
    })
}

fn named(lane: &str) -> Result<LaneId, Failure> {
    match lane.split_once('/') {
        Some((pipeline, destination)) if !pipeline.is_empty() && !destination.is_empty() => {
            Ok(LaneId::new(pipeline, destination))
        }
        _ => Err(Failure::Wrong(format!("anole: `{lane}` is no lane: write it as pipeline/destination"))),
    }
}

fn address(lane: &LaneId, what: &str) -> String {
    format!("/api/lanes/{}/{}/{what}", encoded(lane.pipeline()), encoded(lane.destination()))
}

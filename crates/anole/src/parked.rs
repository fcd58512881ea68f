//! `anole parked`: sends that wait for a person, one by one or by filter; sending them again, and giving them up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anole_console::{ParkedOrder, ParkedQuery, discarded, now_shown};
use anole_delivery::{Discarding, Remade};
use anole_pipeline::PipelinePlan;
use anole_state::ParkedRow;
use serde_json::Value;

use crate::cli::{ParkedDiscard, ParkedList, ParkedReplay, ParkedVerb, ParkedWhich};
use crate::client::Client;
use crate::failure::Failure;
use crate::files::load;
use crate::looking::{Place, encoded, json, place, query_of, wrong};
use crate::offline::Offline;
use crate::output::{Output, tame};
use crate::show::{self, counted};

/// How often is asked how far a replay is.
const ASK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn run(config: Option<&Path>, what: &ParkedVerb, output: Output) -> Result<(), Failure> {
    match what {
        ParkedVerb::List(list) => self::list(config, list, output).await,
        ParkedVerb::Show { id } => one(config, id, output).await,
        ParkedVerb::Replay(replay) => self::replay(config, replay, output).await,
        ParkedVerb::Discard(discard) => self::discard(config, discard, output).await,
    }
}

async fn list(config: Option<&Path>, list: &ParkedList, output: Output) -> Result<(), Failure> {
    let query = ParkedQuery { limit: Some(list.limit), ..query(&list.which) };
    let rows = match place(config)? {
        Place::Daemon(client) => client.get(&format!("/api/parked?{}", query_of(&query)?)).await?,
        Place::Files(looks) => json(&looks.parked(&query).await.map_err(wrong)?)?,
    };
    show::parked(output, &rows);
    Ok(())
}

async fn one(config: Option<&Path>, id: &str, output: Output) -> Result<(), Failure> {
    let found = match place(config)? {
        Place::Daemon(client) => client.find(&format!("/api/parked/{}", encoded(id))).await?,
        Place::Files(looks) => match looks.parked_row(id).await.map_err(Failure::of)? {
            Some(row) => {
                let pipelines = load(config)?.pipelines;
                let story = looks.parked_story(row.clone(), now(&pipelines, &row)).await.map_err(wrong)?;
                Some(serde_json::to_string(&story).map_err(Failure::of)?)
            }
            None => None,
        },
    };
    let found = found.ok_or_else(|| {
        Failure::Failed(format!("nothing is parked as `{}`: `anole parked list` names what is", tame(id)))
    })?;
    show::parked_story(output, &found).map_err(Failure::of)
}

/// What would become of it by the files as they stand, when no daemon runs.
fn now(pipelines: &[Arc<PipelinePlan>], row: &ParkedRow) -> Option<Vec<anole_console::NowShown>> {
    let pipeline = pipelines.iter().find(|plan| *plan.name == *row.lane.pipeline())?;
    let plan = pipeline.lanes.iter().find(|plan| plan.lane == row.lane)?;
    Some(now_shown(&Remade::of(&row.parked, pipeline, plan), plan))
}

async fn replay(config: Option<&Path>, replay: &ParkedReplay, output: Output) -> Result<(), Failure> {
    let mut order = order(&replay.which, replay.all)?;
    order.max_age_seconds = replay.max_age.map(|age| age.duration().as_secs());
    let place = place(config)?;
    let sends = groups(&place, &order, output).await?;
    if replay.dry_run || sends == 0 {
        said(output, sends, "replayed");
        return Ok(());
    }
    let Place::Daemon(client) = place else {
        return Err(Failure::Failed(
            "no daemon runs: parked sends are sent again by one that does. Start it with `anole run`".to_owned(),
        ));
    };
    agreed(output, replay.yes, &format!("{} will be sent again", counted(sends, "parked send")), "Replay")?;
    let begun = client.post_json("/api/parked/replay", &json(&order)?).await?;
    if replay.no_wait {
        output.talk(&format!("{} are being replayed", counted(sends, "send")));
        return Ok(());
    }
    let done = follow(&client, &begun).await?;
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
        let again = if state == "parked" { " again" } else { "" };
        format!("{} {state}{again} ({reason})", ended["sends"])
    });
    let ended: Vec<_> = ended.collect();
    let ended = if ended.is_empty() { "nothing was sent".to_owned() } else { ended.join(", ") };
    format!("{}: {ended}", tame(row["lane"].as_str().unwrap_or_default()))
}

async fn discard(config: Option<&Path>, discard: &ParkedDiscard, output: Output) -> Result<(), Failure> {
    let order = order(&discard.which, discard.all)?;
    let place = place(config)?;
    let sends = groups(&place, &order, output).await?;
    if discard.dry_run || sends == 0 {
        said(output, sends, "discarded");
        return Ok(());
    }
    agreed(output, discard.yes, &format!("{} will be given up for good", counted(sends, "parked send")), "Discard")?;
    let gone = match place {
        Place::Daemon(client) => client.post_json("/api/parked/discard", &json(&order)?).await?,
        Place::Files(_) => discard_offline(config, &order).await?,
    };
    if output.json {
        output.value(&gone);
    }
    for row in gone.as_array().into_iter().flatten() {
        let (lane, sends) = (row["lane"].as_str().unwrap_or_default(), row["discarded"].as_u64().unwrap_or(0));
        output.talk(&format!("{}: {} discarded", tame(lane), counted(sends, "send")));
    }
    Ok(())
}

async fn discard_offline(config: Option<&Path>, order: &ParkedOrder) -> Result<Value, Failure> {
    let filter = order.filter.filter().map_err(wrong)?;
    let pipelines = load(config)?.pipelines;
    let pipeline = |name: &str| pipelines.iter().find(|plan| *plan.name == *name).map(Arc::clone);
    let offline = Offline::open(config)?;
    let log = offline.log()?;
    let discarding = Discarding { state: &*offline.state, log: &*log, pipeline: &pipeline };
    let mut gone = BTreeMap::new();
    let done = discarding.discard(&filter, offline.now(), &mut gone).await.map_err(Failure::of);
    let closed = log.close().await.map_err(Failure::of);
    offline.close().await.and(done).and(closed)?;
    Ok(Value::Array(discarded(&gone)))
}

/// Prints what a filter finds; gives back how many sends that are.
async fn groups(place: &Place, order: &ParkedOrder, output: Output) -> Result<u64, Failure> {
    let groups = match place {
        Place::Daemon(client) => {
            let dry = ParkedOrder { dry_run: true, filter: order.filter.clone(), max_age_seconds: None };
            client.post_json("/api/parked/replay", &json(&dry)?).await?
        }
        Place::Files(looks) => json(&looks.parked_groups(&order.filter).await.map_err(wrong)?)?,
    };
    show::parked_groups(output, &groups);
    Ok(groups.as_array().into_iter().flatten().filter_map(|group| group["sends"].as_u64()).sum())
}

fn said(output: Output, sends: u64, done: &str) {
    if sends == 0 {
        output.talk("nothing that is parked matches");
    } else {
        output.talk(&format!("nothing was changed: {} would be {done}", counted(sends, "send")));
    }
}

/// Whether a person agrees, or has said so before.
fn agreed(output: Output, yes: bool, what: &str, verb: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    match output.ask(&format!("{what}. {verb} them?")) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::Failed("nothing was changed".into())),
        None => Err(Failure::Wrong(format!("anole: {what}: say --yes to do it, or --dry-run to see what it is"))),
    }
}

/// What is meant; all that is parked must be said in so many words.
fn order(which: &ParkedWhich, all: bool) -> Result<ParkedOrder, Failure> {
    let filter = query(which);
    let says =
        [&filter.id, &filter.lane, &filter.reason, &filter.event, &filter.message_id, &filter.from, &filter.until];
    if says.iter().all(|part| part.is_none()) && !all {
        return Err(Failure::Wrong(
            "anole: say which: --id, --lane, --reason, --event, --message-id, --from, --until, or --all".into(),
        ));
    }
    Ok(ParkedOrder { filter, ..ParkedOrder::default() })
}

fn query(which: &ParkedWhich) -> ParkedQuery {
    ParkedQuery {
        id: which.id.clone(),
        lane: which.lane.clone(),
        reason: which.reason.clone(),
        event: which.event.clone(),
        message_id: which.message_id.clone(),
        from: which.from.clone(),
        until: which.until.clone(),
        limit: None,
    }
}

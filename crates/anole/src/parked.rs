//! `anole parked`: sends that wait for a person, one by one or by filter; sending them again, and giving them up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anole_console::{ApiCode, ParkedOrder, ParkedQuery, discarded, now_shown};
use anole_delivery::{Discarding, Remade};
use anole_pipeline::PipelinePlan;
use anole_state::ParkedRow;
use serde_json::Value;

use crate::cli::{ParkedDiscard, ParkedList, ParkedReplay, ParkedVerb, ParkedWhich};
use crate::failure::Failure;
use crate::files::load;
use crate::looking::{Place, encoded, json, place, query_of, wrong};
use crate::offline::Offline;
use crate::output::{Output, tame};
use crate::replay::{NO_DAEMON, agreed, told};
use crate::show::{self, counted};

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
        Failure::coded(
            ApiCode::UnknownParked,
            format!("nothing is parked as `{}`: `anole parked list` names what is", tame(id)),
        )
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
    order.max_age_seconds = replay.how.max_age.map(|age| age.duration().as_secs());
    let place = place(config)?;
    let sends = groups(&place, &order, output).await?;
    if replay.how.dry_run || sends == 0 {
        said(output, sends, "replayed");
        return Ok(());
    }
    let Place::Daemon(client) = place else {
        return Err(Failure::Failed(NO_DAEMON.to_owned()));
    };
    agreed(output, replay.how.yes, &format!("{} will be sent again", counted(sends, "parked send")), "Replay")?;
    let begun = client.post_json("/api/parked/replay", &json(&order)?).await?;
    if replay.how.no_wait {
        output.talk(&format!("{} are being replayed", counted(sends, "send")));
        return Ok(());
    }
    told(&client, &begun, output).await
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

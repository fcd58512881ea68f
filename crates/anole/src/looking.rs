//! The verbs that look: at the running daemon through its API, or at the files themselves where none runs.

use std::path::Path;
use std::sync::Arc;

use anole_console::{ApiCode, Looks, QueryError, stories};
use anole_delivery_log::LogOptions;
use anole_event::SystemClock;
use anole_journal::Embedded;
use anole_state::StateOptions;
use anole_telemetry::Telemetry;
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Deliveries, Events};
use crate::client::Client;
use crate::failure::Failure;
use crate::files::settings;
use crate::lock::running;
use crate::output::Output;
use crate::show;

/// The most rows of one answer.
const MOST: usize = 500;

/// Where to look.
pub(crate) enum Place {
    Daemon(Client),
    Files(Looks),
}

pub(crate) async fn events(config: Option<&Path>, what: &Events, output: Output) -> Result<(), Failure> {
    match what {
        Events::Show { id } => story(place(config)?, id, output).await,
        Events::List(list) => {
            let (place, mut query) = (place(config)?, list.query());
            let listed = all(query.limit, |after, limit| {
                (query.after, query.limit) = (after.or_else(|| query.after.take()), Some(limit));
                let (place, query) = (&place, query.clone());
                async move {
                    match place {
                        Place::Daemon(client) => Ok(client.get(&format!("/api/events?{}", query_of(&query)?)).await?),
                        Place::Files(looks) => json(&looks.events(&query).await.map_err(wrong)?),
                    }
                }
            });
            let (rows, next) = listed.await?;
            show::events(output, &rows);
            more(output, next.as_deref());
            Ok(())
        }
    }
}

async fn story(place: Place, id: &str, output: Output) -> Result<(), Failure> {
    let found = match place {
        Place::Daemon(client) => client.find(&format!("/api/events/{}", encoded(id))).await?,
        Place::Files(looks) => {
            let found = stories(&looks, id, &[]).await?;
            if found.is_empty() { None } else { Some(serde_json::to_string(&found).map_err(Failure::of)?) }
        }
    };
    let Some(found) = found else {
        return Err(Failure::coded(
            ApiCode::UnknownEvent,
            format!(
                "there is no event with the message id `{id}`, or it is older than what is kept; `anole events list --any` \
             looks for every kind of id"
            ),
        ));
    };
    show::stories(output, &found).map_err(Failure::of)
}

pub(crate) async fn deliveries(config: Option<&Path>, what: &Deliveries, output: Output) -> Result<(), Failure> {
    let place = place(config)?;
    match what {
        Deliveries::List(list) => {
            let mut query = list.query();
            let listed = all(query.limit, |after, limit| {
                (query.after, query.limit) = (after.or_else(|| query.after.take()), Some(limit));
                let (place, query) = (&place, query.clone());
                async move {
                    match place {
                        Place::Daemon(client) => {
                            Ok(client.get(&format!("/api/deliveries?{}", query_of(&query)?)).await?)
                        }
                        Place::Files(looks) => json(&looks.deliveries(&query).await.map_err(wrong)?),
                    }
                }
            });
            let (rows, next) = listed.await?;
            show::deliveries(output, &rows);
            more(output, next.as_deref());
        }
        Deliveries::Show { id } => {
            let found = match place {
                Place::Daemon(client) => {
                    let found = client.find(&format!("/api/deliveries/{}", encoded(id))).await?;
                    found.map(|found| serde_json::from_str(&found)).transpose().map_err(Failure::of)?
                }
                Place::Files(looks) => looks.delivery(id).await.map_err(wrong)?,
            };
            let found = found.ok_or_else(|| {
                Failure::coded(
                    ApiCode::UnknownAttempt,
                    format!("there is no attempt `{id}`: `anole deliveries list` names those there are"),
                )
            })?;
            show::delivery(output, &found);
        }
        Deliveries::Stat => {
            let found = match place {
                Place::Daemon(client) => client.get("/api/history").await?,
                Place::Files(looks) => json(&looks.history().await.map_err(wrong)?)?,
            };
            show::history(output, &found);
        }
    }
    Ok(())
}

/// Parts of a list until there are enough: one answer is bounded in work, a person who asks for a rare combination waits.
/// Gives the rows, and where to go on when there is more.
async fn all<F: Future<Output = Result<Value, Failure>>>(
    wanted: Option<usize>,
    mut part: impl FnMut(Option<String>, usize) -> F,
) -> Result<(Value, Option<String>), Failure> {
    let (wanted, mut rows, mut next) = (wanted.unwrap_or(MOST), Vec::new(), None);
    loop {
        let mut answer = part(next, (wanted - rows.len()).clamp(1, MOST)).await?;
        if let Value::Array(items) = answer["items"].take() {
            rows.extend(items);
        }
        next = answer["next"].as_str().map(str::to_owned);
        if next.is_none() || rows.len() >= wanted {
            return Ok((Value::Array(rows), next));
        }
    }
}

fn more(output: Output, next: Option<&str>) {
    if let Some(next) = next {
        output.talk(&format!("there may be more: --after {next}"));
    }
}

pub(crate) fn place(config: Option<&Path>) -> Result<Place, Failure> {
    let settings = settings(config)?;
    if let Some(here) = running(&settings.data_dir) {
        let token = settings.admin.token.as_ref().map(|token| token.reveal().to_owned());
        return Ok(Place::Daemon(Client::new(&here, token)?));
    }
    let data = &settings.data_dir;
    if !data.join("journal").is_dir() {
        return Err(Failure::Failed(format!("{} holds no data: has anole run with it?", data.display())));
    }
    let clock = Arc::new(SystemClock::new());
    let telemetry = Telemetry::new(Arc::clone(&clock) as _);
    let journal = Embedded::open_read_only(data.join("journal"), Arc::clone(&telemetry))?;
    let state = anole_state::Sqlite::open_read_only(
        &StateOptions::in_folder(data),
        Arc::clone(&telemetry),
        Arc::clone(&clock) as _,
    )?;
    let log = anole_delivery_log::Sqlite::open_read_only(&LogOptions::in_folder(data), telemetry, clock)?;
    Ok(Place::Files(Looks { journal, state, log }))
}

pub(crate) fn wrong(error: QueryError) -> Failure {
    match error {
        QueryError::Look(error) => error.into(),
        wrong => Failure::Wrong(wrong.to_string()),
    }
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(Failure::of)
}

/// A query's fields as they stand in an address; absent ones are left out.
pub(crate) fn query_of<T: Serialize>(query: &T) -> Result<String, Failure> {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    if let Value::Object(fields) = json(query)? {
        for (name, value) in fields {
            match value {
                Value::Null => {}
                Value::String(value) => {
                    text.append_pair(&name, &value);
                }
                value => {
                    text.append_pair(&name, &value.to_string());
                }
            }
        }
    }
    Ok(text.finish())
}

/// A text as one step of an address.
pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

//! `anole send`: an event into the running daemon, and its story until it ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anole_event::{Clock, Seeded, SystemClock, uuid_v7};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::Send;
use crate::client::{Client, collecting, exchange};
use crate::failure::Failure;
use crate::files::load;
use crate::lock::running;
use crate::looking::encoded;
use crate::output::Output;
use crate::show;

/// How often the story is asked for.
const EVERY: Duration = Duration::from_millis(100);

pub(crate) async fn run(config: Option<&Path>, send: &Send, output: Output) -> Result<(), Failure> {
    let loaded = load(config)?;
    let Some(here) = running(&loaded.settings.data_dir) else {
        return Err(Failure::Failed("no daemon runs here: start one with `anole run`".into()));
    };
    let plan = crate::files::one_pipeline(&loaded.pipelines, send.pipeline.as_deref())?;
    let Some(key) = plan.intake.keys.first() else {
        return Err(Failure::Wrong(format!("the pipeline {} has no key: add one under `keys:`", plan.name)));
    };
    let (message_id, event) = event(send)?;
    let token = loaded.settings.admin.token.as_ref().map(|token| token.reveal().to_owned());
    let client = Client::new(&here, token)?;
    // A repetition is answered as the original was, so only what is known before and after tells the two apart.
    let known = if send.message_id.is_some() { stories(&client, &message_id).await? } else { 0 };
    let (http, origin) = collecting(&here)?;
    let url = format!("{origin}/v1/{}", send.event_type);
    let mut request = http.post(url).header("x-write-key", key.key.reveal()).body(event);
    if let Some(visitor) = &send.visitor {
        request = request.header("cookie", format!("kameleoonVisitorCode={visitor}"));
    }
    let answer = exchange(request).await?;
    if answer.status != 200 {
        let why = answer.body["message"].as_str().unwrap_or("without a reason");
        let said = format!("the daemon refused the event with {}: {why}", answer.status);
        // The reason is the nearer one: the code of a refused event only says that it was.
        let codes = ["reason", "code"].into_iter().filter_map(|name| answer.body[name].as_str());
        let known = codes.into_iter().find(|code| anole_codes::page(code).is_some());
        return Err(known.map_or_else(|| Failure::Failed(said.clone()), |code| Failure::coded(code, &said)));
    }
    if known > 0 && stories(&client, &message_id).await? == known {
        output.talk(&format!("known: {message_id} came before, and is not taken a second time; this is its story"));
    } else {
        output.talk(&format!("accepted: {message_id}"));
    }
    follow(&client, &message_id, Duration::from_secs(send.wait), output).await
}

/// How many events with this message id the daemon knows.
async fn stories(client: &Client, message_id: &str) -> Result<usize, Failure> {
    let found = client.find(&format!("/api/events/{}", encoded(message_id))).await?;
    let found: Value =
        found.map(|found| serde_json::from_str(&found)).transpose().map_err(Failure::of)?.unwrap_or_default();
    Ok(found.as_array().map_or(0, Vec::len))
}

/// Asks for the story until every send has ended or the time is up, then shows it.
async fn follow(client: &Client, message_id: &str, wait: Duration, output: Output) -> Result<(), Failure> {
    let clock = SystemClock::new();
    loop {
        let found = client.find(&format!("/api/events/{}", encoded(message_id))).await?;
        let is_over = clock.mono().micros() >= u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        if let Some(stories) = found
            && (is_over || has_ended(&stories))
        {
            return show::stories(output, &stories).map_err(Failure::of);
        }
        if is_over {
            return Err(Failure::Failed(format!(
                "nothing is known of {message_id} yet; ask `anole events show` later"
            )));
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn has_ended(stories: &str) -> bool {
    let stories: Value = serde_json::from_str(stories).unwrap_or_default();
    let lanes = stories.as_array().into_iter().flatten().flat_map(|story| story["lanes"].as_array()).flatten();
    let mut any = false;
    for lane in lanes {
        any = true;
        let sends = lane["sends"].as_array();
        if sends.is_none_or(|sends| sends.is_empty() || sends.iter().any(|send| send["state"] == "waiting")) {
            return false;
        }
    }
    any
}

/// An event as Segment's clients send it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Properties<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traits: Option<Properties<'a>>,
}

/// Raw values, so that `23.50` keeps its digits.
type Properties<'a> = BTreeMap<&'a str, Box<RawValue>>;

/// The event of the arguments, and its message id.
fn event(send: &Send) -> Result<(String, String), Failure> {
    if !["track", "page", "screen", "identify"].contains(&send.event_type.as_str()) {
        let known = "track, page, screen or identify";
        return Err(Failure::Wrong(format!("`{}` is no type of event: write {known}", send.event_type)));
    }
    let is_track = send.event_type == "track";
    if is_track && send.name.is_none() {
        return Err(Failure::Wrong("a track event needs a name: anole send track \"Order Completed\"".into()));
    }
    let clock = SystemClock::new();
    let mut random = Seeded::from_entropy();
    let mut fresh = || uuid_v7(clock.wall(), &mut random).to_string();
    let message_id = send.message_id.clone().unwrap_or_else(&mut fresh);
    let mut properties = Properties::new();
    for property in &send.properties {
        let Some((name, value)) = property.split_once('=') else {
            return Err(Failure::Wrong(format!("`--set {property}`: write it as name=value")));
        };
        let raw = match RawValue::from_string(value.to_owned()) {
            Ok(raw) => raw,
            Err(_) => serde_json::value::to_raw_value(value).map_err(Failure::of)?,
        };
        properties.insert(name, raw);
    }
    let has_traits = send.event_type == "identify";
    let (properties, traits) = if has_traits { (None, Some(properties)) } else { (Some(properties), None) };
    let event = Event {
        message_id: &message_id,
        event: send.name.as_deref().filter(|_| is_track),
        name: send.name.as_deref().filter(|_| !is_track),
        user_id: send.user.as_deref(),
        anonymous_id: send.anonymous.clone().or_else(|| send.user.is_none().then(&mut fresh)),
        properties,
        traits,
    };
    let text = serde_json::to_string(&event).map_err(Failure::of)?;
    Ok((message_id, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_other_words_are_texts() {
        let send = Send {
            event_type: "track".into(),
            name: Some("Order Completed".into()),
            properties: vec!["revenue=23.50".into(), "coupon=WINTER".into(), "gift=true".into()],
            user: Some("u-1".into()),
            anonymous: None,
            visitor: None,
            message_id: Some("m-1".into()),
            pipeline: None,
            wait: 1,
        };
        let (id, text) = event(&send).unwrap();
        assert_eq!(id, "m-1");
        assert_eq!(
            text,
            r#"{"messageId":"m-1","event":"Order Completed","userId":"u-1","properties":{"coupon":"WINTER","gift":true,"revenue":23.50}}"#
        );
        assert!(event(&Send { name: None, ..send }).is_err(), "a track event needs a name");
    }
}

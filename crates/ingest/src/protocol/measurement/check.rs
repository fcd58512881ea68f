//! What is wrong with a request, for those who ask before they send.

use std::sync::Arc;

use anole_event::write_json_str;
use anole_http::body::Body;
use anole_http::reply;
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::value::RawValue;

use super::{Sent, read};
use crate::Ingest;
use crate::answer::Stop;
use crate::ingest::read_text;
use crate::json::{Object, Text};

/// Google's limit; more are taken here, but a sender that asks wants to know.
const MOST_EVENTS: usize = 25;
/// Google's limit of a name, in characters.
const MOST_NAME: usize = 40;

/// Names that Google makes itself. Only those that a sender may come upon by accident stop him there.
const RESERVED: [&str; 15] = [
    "ad_click",
    "ad_exposure",
    "ad_query",
    "ad_reward",
    "app_exception",
    "app_remove",
    "app_update",
    "error",
    "first_open",
    "first_visit",
    "in_app_purchase",
    "os_update",
    "session_start",
    "user_engagement",
    "notification_open",
];

/// Remarks in Google's form.
#[derive(Default)]
struct Remarks(Vec<u8>);

/// Says what is wrong with a request, and stores nothing.
pub(crate) async fn check<B>(ingest: &Arc<Ingest>, parts: &Parts, body: B) -> Result<Response<Body>, Stop>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let bytes = ingest.read(parts, body).await?;
    let mut remarks = Remarks::default();
    match read_text(&bytes).and_then(|json| read(json, MOST_EVENTS)) {
        Ok(sent) => remark(&sent, &mut remarks),
        Err(stop) => remarks.add("", stop.message(), "VALUE_INVALID"),
    }
    let mut body = b"{\"validationMessages\":[".to_vec();
    body.extend_from_slice(&remarks.0);
    body.extend_from_slice(b"]}");
    Ok(reply::json(StatusCode::OK, body))
}

fn remark(sent: &Sent<'_>, remarks: &mut Remarks) {
    let is_text = |key: &str| matches!(sent.root.get(key).map(Text::of), Some(Text::Is(_)));
    if !["client_id", "app_instance_id", "user_id"].into_iter().any(is_text) {
        remarks.add("client_id", "client_id is missing: it names the visitor", "VALUE_REQUIRED");
    }
    if sent.events.list.is_empty() {
        remarks.add("events", "there is no event", "VALUE_REQUIRED");
    }
    if sent.events.over > 0 {
        let text = format!("there are {} events; Google takes {MOST_EVENTS}", MOST_EVENTS + sent.events.over);
        remarks.add("events", &text, "EXCEEDED_MAX_ENTITIES");
    }
    for (index, event) in sent.events.list.iter().enumerate() {
        remark_event(index, event, remarks);
    }
}

fn remark_event(index: usize, raw: &RawValue, remarks: &mut Remarks) {
    let event = Object::of(raw);
    let path = format!("events[{index}].name");
    match event.get("name").map(Text::of) {
        Some(Text::Is(name)) if RESERVED.contains(&&*name) => {
            remarks.add(&path, &format!("\"{name}\" is reserved: Google makes this event itself"), "NAME_RESERVED");
        }
        Some(Text::Is(name)) if !is_name(&name) => {
            let text = "a name has at most 40 letters, digits and underscores, and begins with a letter";
            remarks.add(&path, text, "NAME_INVALID");
        }
        Some(Text::Is(_)) => {}
        Some(Text::Absent) | None => remarks.add(&path, "the event has no name", "VALUE_REQUIRED"),
        Some(Text::Wrong) => remarks.add(&path, "the name is no text", "VALUE_INVALID"),
    }
    if event.get("params").is_some_and(|raw| !crate::json::is_object(raw)) {
        remarks.add(&format!("events[{index}].params"), "params is no object", "VALUE_INVALID");
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= MOST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

// === impl Remarks ===

impl Remarks {
    fn add(&mut self, path: &str, description: &str, code: &str) {
        if !self.0.is_empty() {
            self.0.push(b',');
        }
        for (at, (key, value)) in
            [("fieldPath", path), ("description", description), ("validationCode", code)].into_iter().enumerate()
        {
            self.0.extend_from_slice(if at == 0 { b"{" } else { b"," });
            write_json_str(&mut self.0, key);
            self.0.push(b':');
            write_json_str(&mut self.0, value);
        }
        self.0.push(b'}');
    }
}

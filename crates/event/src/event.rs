//! The canonical event: what the journal stores, what mappings address, what the console shows.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Timestamp;
use crate::outcome::codes;

codes! {
    /// The type of an event.
    EventType {
        /// A page was seen.
        Page = 1 "page",
        /// A screen of an app was seen.
        Screen = 2 "screen",
        /// Something was done.
        Track = 3 "track",
        /// Who the visitor is.
        Identify = 4 "identify",
        /// Which group the user belongs to.
        Group = 5 "group",
        /// Two ids are the same person.
        Alias = 6 "alias",
    }
}

/// An event on its way into the journal, in the canonical form.
///
/// What is not touched is kept as it was written: objects stay raw slices, so `23.50` stays `23.50` and a 20-digit id
/// stays exact. Absent fields are not written.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// The type.
    pub event_type: EventType,
    /// The canonical name; only `track` has one.
    pub event: Option<Cow<'a, str>>,
    /// The message id: the client's, or one that was made.
    pub message_id: Cow<'a, str>,
    /// The visitor.
    pub anonymous_id: Option<Cow<'a, str>>,
    /// The user.
    pub user_id: Option<Cow<'a, str>>,
    /// The group.
    pub group_id: Option<Cow<'a, str>>,
    /// The former id of an alias.
    pub previous_id: Option<Cow<'a, str>>,
    /// `properties`, a JSON object.
    pub properties: Option<Cow<'a, RawValue>>,
    /// `traits`, a JSON object.
    pub traits: Option<Cow<'a, RawValue>>,
    /// `context`, a JSON object.
    pub context: Option<Cow<'a, RawValue>>,
    /// `integrations`, a JSON object.
    pub integrations: Option<Cow<'a, RawValue>>,
    /// The cookies that some blueprint of the pipeline asks for.
    pub cookies: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What the identity map knew when the event came in.
    pub identity: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Consent by category, as far as it is known.
    pub consent: Vec<(Cow<'a, str>, bool)>,
    /// When it happened, corrected for the client's clock.
    pub timestamp: Timestamp,
    /// When it came in.
    pub received_at: Timestamp,
    /// When the client sent it, as the client wrote it.
    pub sent_at: Option<Cow<'a, str>>,
    /// When it happened, as the client wrote it.
    pub original_timestamp: Option<Cow<'a, str>>,
    /// The pipeline.
    pub pipeline: Cow<'a, str>,
    /// The protocol it came by.
    pub protocol: &'static str,
    /// The name under which it came in.
    pub source_name: Option<Cow<'a, str>>,
    /// Root keys that the canonical form does not know, as they were written.
    pub extra: Vec<(Cow<'a, str>, Cow<'a, RawValue>)>,
}

// === impl Event ===

impl Event<'_> {
    /// Appends the canonical JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        text(out, "type", self.event_type.as_str());
        let ids = [
            ("event", &self.event),
            ("anonymous_id", &self.anonymous_id),
            ("user_id", &self.user_id),
            ("group_id", &self.group_id),
            ("previous_id", &self.previous_id),
        ];
        text(out, "message_id", &self.message_id);
        for (name, id) in ids {
            optional(out, name, id.as_deref());
        }
        let objects = [
            ("properties", &self.properties),
            ("traits", &self.traits),
            ("context", &self.context),
            ("integrations", &self.integrations),
        ];
        for (name, object) in objects {
            if let Some(object) = object {
                key(out, name);
                out.extend_from_slice(object.get().as_bytes());
            }
        }
        pairs(out, "cookies", &self.cookies);
        pairs(out, "identity", &self.identity);
        if !self.consent.is_empty() {
            open(out, "consent");
            for (category, granted) in &self.consent {
                key(out, category);
                out.extend_from_slice(if *granted { b"true" } else { b"false" });
            }
            out.push(b'}');
        }
        time(out, "timestamp", self.timestamp);
        time(out, "received_at", self.received_at);
        optional(out, "sent_at", self.sent_at.as_deref());
        optional(out, "original_timestamp", self.original_timestamp.as_deref());
        open(out, "source");
        text(out, "pipeline", &self.pipeline);
        text(out, "protocol", self.protocol);
        optional(out, "name", self.source_name.as_deref());
        out.push(b'}');
        for (name, value) in &self.extra {
            key(out, name);
            out.extend_from_slice(value.get().as_bytes());
        }
        out.push(b'}');
    }
}

fn key(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    write_json_str(out, name);
    out.push(b':');
}

fn open(out: &mut Vec<u8>, name: &str) {
    key(out, name);
    out.push(b'{');
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    key(out, name);
    write_json_str(out, value);
}

fn time(out: &mut Vec<u8>, name: &str, value: Timestamp) {
    key(out, name);
    out.push(b'"');
    value.write(out);
    out.push(b'"');
}

fn optional(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        text(out, name, value);
    }
}

fn pairs(out: &mut Vec<u8>, name: &str, values: &[(Cow<'_, str>, Cow<'_, str>)]) {
    if values.is_empty() {
        return;
    }
    open(out, name);
    for (name, value) in values {
        text(out, name, value);
    }
    out.push(b'}');
}

/// Where the first byte stands that must be escaped. Thirty-two at a time without a branch, which the compiler turns into
/// vector instructions; a search byte by byte was two thirds of the cost of writing an event.
fn escaped_at(bytes: &[u8]) -> Option<usize> {
    let must = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    for (at, chunk) in bytes.chunks(32).enumerate() {
        if chunk.iter().fold(false, |any, byte| any | must(*byte)) {
            return chunk.iter().position(|byte| must(*byte)).map(|within| at * 32 + within);
        }
    }
    None
}

/// Appends a text as a JSON string, quotes and escapes included.
pub fn write_json_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = escaped_at(rest) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digits = [HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Cow<'static, RawValue> {
        Cow::Owned(RawValue::from_string(json.to_owned()).expect("JSON"))
    }

    #[test]
    fn an_event_is_written_with_its_numbers_as_they_came() {
        let event = Event {
            event_type: EventType::Track,
            event: Some("Order Completed".into()),
            message_id: "m-1".into(),
            anonymous_id: None,
            user_id: Some("u \"42\"\n\u{1}".into()),
            group_id: None,
            previous_id: None,
            properties: Some(raw(r#"{"revenue":23.50,"id":12345678901234567890123}"#)),
            traits: None,
            context: None,
            integrations: None,
            cookies: vec![("kameleoonVisitorCode".into(), "245fc8a1b9".into())],
            identity: vec![],
            consent: vec![("analytics".into(), true), ("marketing".into(), false)],
            timestamp: Timestamp::from_millis(1000),
            received_at: Timestamp::from_millis(2000),
            sent_at: None,
            original_timestamp: Some("then".into()),
            pipeline: "shop".into(),
            protocol: "segment",
            source_name: Some("purchase".into()),
            extra: vec![("channel".into(), raw("\"server\""))],
        };
        let mut out = Vec::new();
        event.write_json(&mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(
            text,
            concat!(
                r#"{"type":"track","message_id":"m-1","event":"Order Completed","user_id":"u \"42\"\n\u0001","#,
                r#""properties":{"revenue":23.50,"id":12345678901234567890123},"#,
                r#""cookies":{"kameleoonVisitorCode":"245fc8a1b9"},"consent":{"analytics":true,"marketing":false},"#,
                r#""timestamp":"1970-01-01T00:00:01.000Z","received_at":"1970-01-01T00:00:02.000Z","#,
                r#""original_timestamp":"then","source":{"pipeline":"shop","protocol":"segment","name":"purchase"},"#,
                r#""channel":"server"}"#
            )
        );
        serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON");
    }
}

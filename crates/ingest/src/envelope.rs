//! What a Segment client sends: the outer level of an event, or a batch of them, in one pass over the body.
//!
//! Every value stays the slice that the client wrote; only `context` is opened one level further on the same pass, as
//! two of its keys are filled in later. A typed struct with serde's `flatten` for the unknown keys was rejected: it
//! buffers the whole object and loses raw values.
//!
//! Keys are taken in Segment's spelling (`userId`) and in ours (`user_id`). Unknown keys of the root are kept; those that
//! only the server may say (`received_at`, `source`, `cookies`, `identity`) are passed over, as a client that could set
//! them could pretend to be the identity map.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{Key, Member, Object, has_lone_surrogate, is_deeper, put};

/// How many unknown keys the root of an event may have.
pub(crate) const MAX_EXTRA: usize = 64;

/// A key of the root that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Type,
    Event,
    UserId,
    AnonymousId,
    GroupId,
    PreviousId,
    MessageId,
    Timestamp,
    OriginalTimestamp,
    SentAt,
    Properties,
    Traits,
    Integrations,
    Consent,
    WriteKey,
}

const FIELDS: usize = Field::WriteKey as usize + 1;

/// The outer level of one event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope<'a> {
    fields: [Option<&'a RawValue>; FIELDS],
    /// `context`, one level deep.
    pub(crate) context: Object<'a>,
    /// Keys that we do not know, without those that are `null`.
    pub(crate) extra: Vec<Member<'a>>,
    /// Whether there were more than [`MAX_EXTRA`] of those.
    pub(crate) too_many: bool,
}

/// One element of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Item<'a> {
    /// An event, perhaps a wrong one.
    Event(Box<Envelope<'a>>),
    /// Something that is no object.
    NotObject,
    /// Something that is no JSON.
    NotJson(String),
}

/// A batch of events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch<'a> {
    /// The keys of its root.
    pub(crate) root: Envelope<'a>,
    /// Its events; `None` when there is no array `batch`.
    pub(crate) items: Option<Vec<Item<'a>>>,
    /// How many events it has beyond those that may be.
    pub(crate) over: usize,
}

/// Reads a [`Batch`] of at most so many events; the others are counted and passed over.
pub(crate) struct BatchSeed(pub(crate) usize);

// === impl Field ===

impl Field {
    fn of(key: &str) -> Option<Self> {
        Some(match key {
            "type" => Self::Type,
            "event" => Self::Event,
            "userId" | "user_id" => Self::UserId,
            "anonymousId" | "anonymous_id" => Self::AnonymousId,
            "groupId" | "group_id" => Self::GroupId,
            "previousId" | "previous_id" => Self::PreviousId,
            "messageId" | "message_id" => Self::MessageId,
            "timestamp" => Self::Timestamp,
            "originalTimestamp" | "original_timestamp" => Self::OriginalTimestamp,
            "sentAt" | "sent_at" => Self::SentAt,
            "properties" => Self::Properties,
            "traits" => Self::Traits,
            "integrations" => Self::Integrations,
            "consent" => Self::Consent,
            "writeKey" | "write_key" => Self::WriteKey,
            _ => return None,
        })
    }
}

/// Keys that only the server may say, and the one that makes a batch of it.
fn is_passed_over(key: &str) -> bool {
    matches!(key, "receivedAt" | "received_at" | "source" | "cookies" | "identity" | "batch")
}

// === impl Envelope ===

impl<'a> Envelope<'a> {
    /// The value of a key; `null` counts as not there.
    pub(crate) const fn get(&self, field: Field) -> Option<&'a RawValue> {
        self.fields[field as usize]
    }

    /// An envelope that has one key of this one.
    pub(crate) fn only(&self, field: Field) -> Self {
        let mut only = Self::default();
        only.fields[field as usize] = self.get(field);
        only
    }

    /// How many bytes the event has, without white space between its outer members.
    pub(crate) fn bytes(&self) -> usize {
        let fields: usize = self.fields.iter().flatten().map(|raw| raw.get().len() + 16).sum();
        let extra: usize = self.extra.iter().map(|member| member.key.len() + member.value.get().len() + 4).sum();
        2 + fields + extra + self.context.bytes()
    }

    /// Every value of the outer level, those of `context` one by one.
    fn values(&self) -> impl Iterator<Item = &'a RawValue> {
        let members = self.extra.iter().chain(self.context.members()).map(|member| member.value);
        self.fields.iter().copied().flatten().chain(members)
    }

    /// Whether it nests deeper than this, its own braces included.
    pub(crate) fn is_deeper(&self, most: usize) -> bool {
        // Members of `context` lie one level further in; that a member of the root may be one deeper is no matter.
        self.values().any(|value| is_deeper(value.get(), most - 2))
    }

    /// Whether some text in it holds half of a surrogate pair. Only worth asking when the body holds one.
    pub(crate) fn has_lone_surrogate(&self) -> bool {
        self.values().any(|value| has_lone_surrogate(value.get()))
    }

    fn take<A: MapAccess<'a>>(&mut self, key: Key<'a>, map: &mut A) -> Result<(), A::Error> {
        if let Some(field) = Field::of(&key.0) {
            self.fields[field as usize] = map.next_value()?;
        } else if key.0 == "context" {
            self.context = map.next_value()?;
        } else if is_passed_over(&key.0) {
            map.next_value::<IgnoredAny>()?;
        } else if let Some(value) = map.next_value::<Option<&RawValue>>()? {
            if self.extra.len() < MAX_EXTRA {
                put(&mut self.extra, key.0, value);
            } else {
                self.too_many = true;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor;
        impl<'de> Visitor<'de> for EnvelopeVisitor {
            type Value = Envelope<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event, which is an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(key) = map.next_key()? {
                    envelope.take(key, &mut map)?;
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

// === impl Item ===

impl<'de> Deserialize<'de> for Item<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Box::<Envelope<'de>>::default();
        while let Some(key) = map.next_key()? {
            envelope.take(key, &mut map)?;
        }
        Ok(Item::Event(envelope))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Item::NotObject)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Item::NotObject)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Item::NotObject)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Item::NotObject)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Item::NotObject)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Item::NotObject)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Item::NotObject)
    }
}

// === impl BatchSeed ===

impl<'de> DeserializeSeed<'de> for BatchSeed {
    type Value = Batch<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BatchSeed {
    type Value = Batch<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `batch`, an array of events")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut batch = Batch::default();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            if key.0 == "batch" {
                (batch.items, batch.over) = map.next_value_seed(ItemsSeed(self.0))?;
            } else {
                batch.root.take(key, &mut map)?;
            }
        }
        Ok(batch)
    }

    /// A bare array of events: no client sends one, but people do.
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let (items, over) = ItemsSeed(self.0).visit_seq(seq)?;
        Ok(Batch { root: Envelope::default(), items, over })
    }
}

/// Reads the array of events.
struct ItemsSeed(usize);

impl<'de> DeserializeSeed<'de> for ItemsSeed {
    type Value = (Option<Vec<Item<'de>>>, usize);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemsSeed {
    type Value = (Option<Vec<Item<'de>>>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`batch`, an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::with_capacity(16);
        while items.len() < self.0 {
            match seq.next_element()? {
                Some(item) => items.push(item),
                None => return Ok((Some(items), 0)),
            }
        }
        let mut over = 0;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            over += 1;
        }
        Ok((Some(items), over))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok((None, 0))
    }
}

/// Reads the body of a batch.
///
/// # Errors
/// When it is not JSON, or not a batch.
pub(crate) fn read_batch(json: &str, most: usize) -> Result<Batch<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let batch = BatchSeed(most).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event<'a>(item: &'a Item<'a>) -> &'a Envelope<'a> {
        match item {
            Item::Event(envelope) => envelope,
            other => panic!("no event: {other:?}"),
        }
    }

    #[test]
    fn an_event_is_taken_apart_and_its_values_stay_as_they_were_written() {
        let json = r#"{"type":"track","userId":42,"properties":{"revenue":23.50},"channel":"server","category":null,
            "context":{"page":{"url":"u"},"locale":"de"},"receivedAt":"x","identity":{"k":"v"},"anonymousId":null}"#;
        let envelope: Envelope<'_> = serde_json::from_str(json).expect("JSON");
        assert_eq!(envelope.get(Field::UserId).map(RawValue::get), Some("42"));
        assert_eq!(envelope.get(Field::Properties).map(RawValue::get), Some(r#"{"revenue":23.50}"#));
        assert!(envelope.get(Field::AnonymousId).is_none());
        assert_eq!(envelope.context.get("locale").map(RawValue::get), Some("\"de\""));
        assert_eq!(envelope.extra.len(), 1, "nulls and what only the server may say are passed over");
        assert_eq!(envelope.extra[0].key, "channel");
    }

    #[test]
    fn the_last_of_two_equal_keys_stands_whatever_its_spelling() {
        let json = r#"{"user_id":"a","userId":"b","x":1,"x":2}"#;
        let envelope: Envelope<'_> = serde_json::from_str(json).expect("JSON");
        assert_eq!(envelope.get(Field::UserId).map(RawValue::get), Some("\"b\""));
        assert_eq!(envelope.extra[0].value.get(), "2");
    }

    #[test]
    fn a_batch_is_read_whatever_the_order_of_its_keys_and_one_wrong_item_costs_only_itself() {
        let json = r#"{"batch":[{"type":"page"},7,null,[1],{"type":"track"}],"sentAt":"then","writeKey":"wk"}"#;
        let batch = read_batch(json, 500).expect("JSON");
        let items = batch.items.expect("items");
        assert_eq!(items.len(), 5);
        assert_eq!(event(&items[4]).get(Field::Type).map(RawValue::get), Some("\"track\""));
        assert!(items[1..4].iter().all(|item| matches!(item, Item::NotObject)));
        assert_eq!(batch.root.get(Field::WriteKey).map(RawValue::get), Some("\"wk\""));
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted() {
        let batch = read_batch(r#"{"batch":[{},{},{},{}]}"#, 3).expect("JSON");
        assert_eq!((batch.items.map(|items| items.len()), batch.over), (Some(3), 1));
    }

    #[test]
    fn a_bare_array_is_a_batch_and_other_things_are_none() {
        assert_eq!(read_batch("[{}]", 9).expect("JSON").items.map(|items| items.len()), Some(1));
        assert!(read_batch("{}", 9).expect("JSON").items.is_none());
        for wrong in ["\"x\"", "7", r#"{"batch":{}}"#, r#"{"batch":[]} x"#, "", r#"{"batch":[NaN]}"#] {
            read_batch(wrong, 9).expect_err(wrong);
        }
    }

    #[test]
    fn more_unknown_keys_than_allowed_are_noticed() {
        let json = format!("{{{}\"z\":1}}", (0..MAX_EXTRA).map(|n| format!("\"k{n}\":0,")).collect::<String>());
        let envelope: Envelope<'_> = serde_json::from_str(&json).expect("JSON");
        assert!(envelope.too_many);
    }
}

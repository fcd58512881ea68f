//! The walk: a serde seed that goes where the trie goes.
//!
//! serde_json reads a number into an `f64` when it does not know what comes, and fails for one such as `1e999` even where
//! nobody asked for it. Such an event is a good one, so a walk that fails is taken again carefully: raw slices first, and
//! down only into what begins like an object or a list. The common walk is spared the second look.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Node, Range, ReadError};

/// Walks the body and fills in where each slot's value stands.
pub(super) fn walk(root: &Node, body: &str, ranges: &mut [Range]) -> Result<(), ReadError> {
    if !body.trim_ascii_start().starts_with('{') {
        return Err(ReadError::NotObject);
    }
    if attempt(root, body, ranges, false).is_ok() {
        return Ok(());
    }
    ranges.fill(Range::default());
    attempt(root, body, ranges, true).map_err(|error| ReadError::Json(error.to_string()))
}

fn attempt(root: &Node, body: &str, ranges: &mut [Range], careful: bool) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let base = body.as_ptr().addr();
    deserializer.deserialize_map(Walk { node: root, base, ranges, careful })?;
    deserializer.end()
}

/// Walks a value of any kind, carefully.
pub(super) fn element(node: &Node, raw: &str, ranges: &mut [Range]) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let base = raw.as_ptr().addr();
    Walk { node, base, ranges, careful: true }.deserialize(&mut deserializer)
}

struct Walk<'w> {
    node: &'w Node,
    base: usize,
    ranges: &'w mut [Range],
    careful: bool,
}

/// Finds the node that a key leads to.
struct Child<'w>(&'w Node);

// === impl Walk ===

impl Walk<'_> {
    fn keep(&mut self, raw: &str) {
        if let Some(slot) = self.node.slot {
            let start = raw.as_ptr().addr() - self.base;
            let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            self.ranges[slot as usize] = Range { start: place(start), end: place(start + raw.len()) };
        }
    }

    /// The walk of a child. What an earlier equal key gave is forgotten.
    fn child<'c>(&'c mut self, node: &'c Node) -> Walk<'c> {
        for slot in &node.below {
            self.ranges[*slot as usize] = Range::default();
        }
        Walk { node, base: self.base, ranges: self.ranges, careful: self.careful }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        let leaf = self.node.children.is_empty();
        if !leaf && !self.careful && self.node.slot.is_none() {
            return deserializer.deserialize_any(self);
        }
        let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
        self.keep(raw.get());
        if leaf || !raw.get().starts_with(['{', '[']) {
            return Ok(());
        }
        let mut inner = serde_json::Deserializer::from_str(raw.get());
        inner.deserialize_any(self).map_err(Error::custom)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let node = self.node;
        while let Some(child) = map.next_key_seed(Child(node))? {
            match child {
                Some(child) => map.next_value_seed(self.child(child))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let node = self.node;
        for index in 0_usize.. {
            let place = |key: &str| key.parse() == Ok(index);
            let child = node.children.iter().find(|(key, _)| place(key)).map(|(_, child)| child);
            let more = match child {
                Some(child) => list.next_element_seed(self.child(child))?.is_some(),
                None => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

// === impl Child ===

impl<'de, 'w> DeserializeSeed<'de> for Child<'w> {
    type Value = Option<&'w Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Child<'w> {
    type Value = Option<&'w Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.children.iter().find(|(name, _)| **name == *key).map(|(_, child)| child))
    }
}

//! What a pipeline takes out of events, or makes unreadable, before anything is kept.
//!
//! A path names a value and all below it. Where it meets a list it goes for each entry, as personal data in a list has no
//! fixed place: `properties.passengers.email` reaches every passenger, `properties.passengers.0.email` only the first. Paths
//! of mappings do not do that, as one field has one value; here too much is a smaller mistake than too little.
//!
//! A path into `traits` holds for `context.traits` too: clients say a user's traits in both, and one of them would stay.
//!
//! Dropping takes a key away; an entry of a list becomes `null`, so that the others keep their places. Hashing replaces each
//! text, number and boolean below by its hash, and leaves `null` and the empty text. Whatever no path names keeps its bytes.
//! Of equal keys each is treated, as another reader might take the other one.

use std::borrow::Cow;
use std::fmt;

use anole_event::write_json_str;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::read::unquote;
use crate::{Normaliser, Path};

/// What is done with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Redact {
    /// It is taken away.
    Drop,
    /// It is replaced by its hash.
    Hash(Normaliser),
}

/// What became of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redacted {
    /// It stays as it is.
    Same,
    /// It is taken away.
    Gone,
    /// It is replaced.
    Now(String),
}

/// What a pipeline redacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    root: Node,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    act: Option<Redact>,
    children: Vec<(Box<str>, Node)>,
}

// === impl Privacy ===

impl Privacy {
    /// Redacts these paths. Of two acts on one path dropping holds.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = (Path, Redact)>) -> Self {
        let mut root = Node::default();
        for (path, act) in rules {
            let steps: Vec<&str> = path.steps().iter().map(|step| &**step).collect();
            root.add(&steps, act);
            if path.root() == "traits" {
                let below: Vec<&str> = std::iter::once("context").chain(steps).collect();
                root.add(&below, act);
            }
        }
        Self { root }
    }

    /// Whether nothing is redacted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root.children.is_empty()
    }

    /// What becomes of the JSON value of a field of the event's root.
    #[must_use]
    pub fn json(&self, field: &str, json: &str) -> Redacted {
        let Some(node) = self.root.child(field) else { return Redacted::Same };
        let hash = match node.act {
            Some(Redact::Drop) => return Redacted::Gone,
            Some(Redact::Hash(normaliser)) => Some(normaliser),
            None if !node.may_touch(json) => return Redacted::Same,
            None => None,
        };
        let mut out = Vec::with_capacity(json.len());
        if !rewrite(Some(node), hash, json, &mut out) {
            return Redacted::Same;
        }
        // What was written is what was text, JSON's own characters, and hashes.
        String::from_utf8(out).map_or(Redacted::Gone, Redacted::Now)
    }

    /// What becomes of a text of the event, such as `user_id` or a cookie.
    #[must_use]
    pub fn text(&self, path: &[&str], text: &str) -> Redacted {
        let mut node = &self.root;
        let mut act = None;
        for step in path {
            let Some(child) = node.child(step) else { break };
            act = child.act.or(act);
            node = child;
        }
        match act {
            None => Redacted::Same,
            Some(Redact::Drop) => Redacted::Gone,
            Some(Redact::Hash(normaliser)) => Redacted::Now(normaliser.hash(text)),
        }
    }
}

// === impl Node ===

impl Node {
    fn add(&mut self, steps: &[&str], act: Redact) {
        let Some((step, rest)) = steps.split_first() else {
            if self.act != Some(Redact::Drop) {
                self.act = Some(act);
            }
            return;
        };
        let at = self.children.iter().position(|(key, _)| **key == **step).unwrap_or_else(|| {
            self.children.push(((*step).into(), Self::default()));
            self.children.len() - 1
        });
        self.children[at].1.add(rest, act);
    }

    fn child(&self, key: &str) -> Option<&Self> {
        self.children.iter().find(|(name, _)| **name == *key).map(|(_, child)| child)
    }

    /// What goes for one entry of a list: its place over all entries.
    fn over(&self, place: &Self) -> Self {
        let mut both = Self { act: None, children: self.children.clone() };
        both.merge(place);
        both
    }

    fn merge(&mut self, other: &Self) {
        if self.act != Some(Redact::Drop) {
            self.act = other.act.or(self.act);
        }
        for (key, child) in &other.children {
            match self.children.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => known.merge(child),
                None => self.children.push((key.clone(), child.clone())),
            }
        }
    }

    /// Whether it is worth looking: a key stands in the text as it is, unless the text has escapes or the step is a place.
    fn may_touch(&self, json: &str) -> bool {
        let is_there = |key: &str| key.bytes().all(|byte| byte.is_ascii_digit()) || json.contains(key);
        json.contains('\\') || self.children.iter().any(|(key, _)| is_there(key))
    }
}

/// Writes a value as it is to be; says whether that differs. `hash` is what all that no path names becomes.
fn rewrite(node: Option<&Node>, hash: Option<Normaliser>, json: &str, out: &mut Vec<u8>) -> bool {
    let goes_on = hash.is_some() || node.is_some_and(|node| !node.children.is_empty());
    match json.as_bytes().first() {
        Some(b'{') if goes_on => object(node, hash, json, out),
        Some(b'[') if goes_on => list(node, hash, json, out),
        _ => match hash.and_then(|hash| hashed(hash, json)) {
            Some(hashed) => {
                write_json_str(out, &hashed);
                true
            }
            None => {
                out.extend_from_slice(json.as_bytes());
                false
            }
        },
    }
}

/// What the named child of a node makes of a value; `None` when it takes it away.
fn below(child: Option<&Node>, hash: Option<Normaliser>, json: &str, out: &mut Vec<u8>) -> Option<bool> {
    match child.and_then(|child| child.act) {
        Some(Redact::Drop) => None,
        Some(Redact::Hash(own)) => Some(rewrite(child, Some(own), json, out)),
        None => Some(rewrite(child, hash, json, out)),
    }
}

fn object(node: Option<&Node>, hash: Option<Normaliser>, json: &str, out: &mut Vec<u8>) -> bool {
    let Some(members) = members(json) else { return unreadable(out) };
    let mut changed = false;
    out.push(b'{');
    let start = out.len();
    for (key, value) in members {
        let before = out.len();
        if before > start {
            out.push(b',');
        }
        write_json_str(out, &key);
        out.push(b':');
        match below(node.and_then(|node| node.child(&key)), hash, value.get(), out) {
            Some(other) => changed |= other,
            None => {
                out.truncate(before);
                changed = true;
            }
        }
    }
    out.push(b'}');
    changed
}

fn list(node: Option<&Node>, hash: Option<Normaliser>, json: &str, out: &mut Vec<u8>) -> bool {
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(json) else { return unreadable(out) };
    let mut changed = false;
    out.push(b'[');
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        // What names the place lies over what goes for all entries.
        let written = match node.and_then(|node| Some(node.over(node.child(&index.to_string())?))) {
            Some(both) => below(Some(&both), hash, element.get(), out),
            None => Some(rewrite(node, hash, element.get(), out)),
        };
        match written {
            Some(other) => changed |= other,
            None => {
                out.extend_from_slice(b"null");
                changed = true;
            }
        }
    }
    out.push(b']');
    changed
}

/// What cannot be taken apart cannot be redacted, so it is not kept at all.
fn unreadable(out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(b"null");
    true
}

/// The hash of a value that is no object and no list; `None` for what stays.
fn hashed(normaliser: Normaliser, json: &str) -> Option<String> {
    let text = match json.as_bytes().first()? {
        b'n' => return None,
        b'"' => unquote(json).unwrap_or(Cow::Borrowed(json)),
        _ => Cow::Borrowed(json),
    };
    if text.is_empty() { None } else { Some(normaliser.hash(&text)) }
}

/// The members of an object, all of them: of equal keys too.
fn members(json: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            // As a raw value a key is borrowed also where it has escapes.
            while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                let key = unquote(key.get()).unwrap_or(Cow::Borrowed(key.get()));
                members.push((key, value));
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Members).ok()
}

#[cfg(test)]
mod tests;

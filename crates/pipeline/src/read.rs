//! Reading an event once for all lanes of its pipeline.
//!
//! All paths that the lanes ask for form a trie. One pass over the canonical JSON walks objects only where the trie goes,
//! keeps where each asked value stands in the body, and passes over the rest. Nothing is decoded and nothing is copied: a
//! value is the slice that the client wrote, so its digits survive. Of equal keys the last one holds, with all below it.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use crate::Path;

mod walk;

/// A path of a plan and where its value stands in [`Values`].
#[derive(Clone, Debug)]
pub struct Slot {
    path: Arc<Path>,
    text: Arc<str>,
    index: u32,
}

/// Collects the paths of a pipeline while its plan is made.
#[derive(Clone, Debug)]
pub struct Paths(Vec<Slot>);

/// Collects what a list's `each` asks of an element.
#[derive(Clone, Debug, Default)]
pub struct ItemPaths(Vec<Slot>);

/// The trie of all paths.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    root: Node,
    slots: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    slot: Option<u32>,
    /// All slots here and below, to be cleared when an equal key comes again.
    below: Vec<u32>,
    children: Vec<(Box<str>, Node)>,
}

/// What a pipeline's lanes ask of one event. Owns its body, and is cheap to make and to share.
#[derive(Clone, Debug)]
pub struct Values {
    /// Checked once: a value is a slice of it.
    body: ByteString,
    ranges: Box<[Range]>,
}

/// Where a value stands in the body. An end of 0 means that it is not there: no value begins where the body does.
#[derive(Clone, Copy, Debug, Default)]
struct Range {
    start: u32,
    end: u32,
}

/// A body that is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is no UTF-8.
    #[error("the event is not UTF-8")]
    Text,
    /// It is no JSON object.
    #[error("the event is not a JSON object")]
    NotObject,
    /// It is no JSON.
    #[error("the event is not JSON: {0}")]
    Json(String),
    /// It has no message id, which every event in a journal has.
    #[error("the event has no message_id")]
    NoMessageId,
    /// It is larger than 4 GiB.
    #[error("the event is too large to be read")]
    TooLarge,
}

const MESSAGE_ID: usize = 0;
const ANONYMOUS_ID: usize = 1;
const USER_ID: usize = 2;
/// The paths that every plan asks for, at these places.
const ALWAYS: [&str; 3] = ["message_id", "anonymous_id", "user_id"];

// === impl Slot ===

impl Slot {
    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path as it is written.
    #[must_use]
    pub const fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The slot of a path among these, which it joins when it is not there.
    fn among(all: &mut Vec<Self>, path: &Path) -> Self {
        if let Some(known) = all.iter().find(|slot| *slot.path == *path) {
            return known.clone();
        }
        let slot = Self::new(path.clone(), all.len());
        all.push(slot.clone());
        slot
    }

    fn new(path: Path, index: usize) -> Self {
        let text = path.to_string().into();
        Self { path: Arc::new(path), text, index: u32::try_from(index).unwrap_or(u32::MAX) }
    }
}

/// The same path is the same slot: its place depends on what other lanes ask for, and must not show in a lane's hash.
impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Slot {}

impl Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}

// === impl Paths ===

impl Paths {
    /// The paths of a pipeline that asks for nothing but ids yet.
    #[must_use]
    pub fn new() -> Self {
        let always = ALWAYS.iter().enumerate();
        Self(always.filter_map(|(index, path)| Some(Slot::new(Path::parse(path).ok()?, index))).collect())
    }

    /// The slot of a path, the same one whenever it is asked for.
    pub fn slot(&mut self, path: &Path) -> Slot {
        Slot::among(&mut self.0, path)
    }

    /// All paths that are asked for, also those that every pipeline asks for.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(Slot::path)
    }

    pub(crate) fn trie(&self) -> Trie {
        Trie::of(&self.0)
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self::new()
    }
}

// === impl ItemPaths ===

impl ItemPaths {
    /// The slot of a path, the same one whenever it is asked for. Its root is `item`, the element itself.
    pub fn slot(&mut self, path: &Path) -> Slot {
        Slot::among(&mut self.0, path)
    }
}

// === impl Trie ===

impl Trie {
    /// The trie of these slots, whose indexes count up from 0 but may repeat.
    pub(crate) fn of(all: &[Slot]) -> Self {
        let mut root = Node::default();
        for slot in all {
            let mut node = &mut root;
            for step in slot.path.steps() {
                let at = node.children.iter().position(|(key, _)| key == step).unwrap_or_else(|| {
                    node.children.push((step.clone(), Node::default()));
                    node.children.len() - 1
                });
                node = &mut node.children[at].1;
                node.below.push(slot.index);
            }
            node.slot = Some(slot.index);
        }
        Self { root, slots: all.iter().map(|slot| slot.index as usize + 1).max().unwrap_or(0) }
    }

    /// Reads an element of a list, which may be any value. Nothing when it is no JSON.
    pub(crate) fn element(&self, raw: &str) -> Option<Values> {
        // The path of an element begins with `item`, which is the element itself.
        let Some((_, node)) = self.root.children.first() else {
            return Some(Values { body: ByteString::new(), ranges: Box::default() });
        };
        let mut ranges = vec![Range::default(); self.slots].into_boxed_slice();
        walk::element(node, raw, &mut ranges).ok()?;
        Some(Values { body: ByteString::from(raw), ranges })
    }

    pub(crate) fn read(&self, body: Bytes) -> Result<Values, ReadError> {
        u32::try_from(body.len()).map_err(|_| ReadError::TooLarge)?;
        let body = ByteString::try_from(body).map_err(|_| ReadError::Text)?;
        let mut ranges = vec![Range::default(); self.slots].into_boxed_slice();
        walk::walk(&self.root, &body, &mut ranges)?;
        let values = Values { body, ranges };
        match values.text(MESSAGE_ID) {
            Some(id) if !id.is_empty() => Ok(values),
            _ => Err(ReadError::NoMessageId),
        }
    }
}

// === impl Values ===

impl Values {
    /// The event's canonical JSON.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.body.as_bytes()
    }

    /// The message id.
    #[must_use]
    pub fn message_id(&self) -> Cow<'_, str> {
        self.text(MESSAGE_ID).unwrap_or_default()
    }

    /// The visitor, when there is one.
    #[must_use]
    pub fn anonymous_id(&self) -> Option<Cow<'_, str>> {
        self.text(ANONYMOUS_ID)
    }

    /// The user, when there is one.
    #[must_use]
    pub fn user_id(&self) -> Option<Cow<'_, str>> {
        self.text(USER_ID)
    }

    /// The raw JSON of a slot.
    pub(crate) fn get(&self, slot: &Slot) -> Option<&str> {
        self.raw(slot.index as usize)
    }

    fn raw(&self, index: usize) -> Option<&str> {
        let range = self.ranges.get(index).filter(|range| range.end > 0)?;
        self.body.get(range.start as usize..range.end as usize)
    }

    fn text(&self, index: usize) -> Option<Cow<'_, str>> {
        self.raw(index).and_then(scalar)
    }
}

/// The text of a JSON text or number; nothing for others. An id that was written as a number is its digits.
pub(crate) fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => unquote(raw),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

/// The text of a JSON string; nothing when it holds half a character.
pub(crate) fn unquote(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

#[cfg(test)]
mod tests;

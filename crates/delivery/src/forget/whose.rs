//! Which events and sends are a person's. No I/O: it judges what it is shown, and notes what it has seen.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anole_delivery_log::Whose;
use anole_event::{Head, Kind, LaneId, Marks, Record, SendRecord, Timestamp};
use anole_pipeline::{Applied, Made, PipelinePlan};
use anole_state::{Identity, IdentityOf};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::forget::Links;
use crate::forget::order::Asked;

/// Somebody, by an id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Person {
    /// An anonymous id, or a visitor code.
    Visitor(String),
    /// A user id.
    User(String),
}

/// What was seen of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// The message ids of their events, by pipeline.
    pub(crate) messages: BTreeMap<String, BTreeSet<String>>,
    /// Who stands beside them.
    pub(crate) links: Links,
    /// When the newest of their events came in that is to be erased.
    pub(crate) newest: Timestamp,
}

/// Judges.
pub(crate) struct Judge {
    people: Vec<Person>,
    pipeline: Option<String>,
    plans: BTreeMap<Box<str>, Arc<PipelinePlan>>,
    /// What came in later is new, and not meant.
    until: Timestamp,
    found: Mutex<Found>,
}

/// What of an event's body says whose it is.
#[derive(Default)]
struct Ids {
    message: Option<String>,
    anonymous: Option<String>,
    user: Option<String>,
    previous: Option<String>,
    cookies: Vec<String>,
    identity: Vec<String>,
}

// === impl Person ===

impl Person {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Visitor(id) | Self::User(id) => id,
        }
    }
}

// === impl Ids ===

impl Ids {
    /// A key that comes twice counts with its last value, as mapping has it.
    fn of(body: &str) -> Option<Self> {
        let root: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(body).ok()?;
        let one = |key: &str| root.get(key).and_then(|raw| text(raw));
        let all = |key: &str| {
            let object: BTreeMap<Cow<'_, str>, &RawValue> =
                root.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
            object.values().filter_map(|raw| text(raw)).collect()
        };
        Some(Self {
            message: one("message_id"),
            anonymous: one("anonymous_id"),
            user: one("user_id"),
            previous: one("previous_id"),
            cookies: all("cookies"),
            identity: all("identity"),
        })
    }
}

// === impl Judge ===

impl Judge {
    pub(crate) fn new(asked: &Asked, plans: BTreeMap<Box<str>, Arc<PipelinePlan>>, until: Timestamp) -> Arc<Self> {
        let (people, pipeline) = (asked.people.clone(), asked.pipeline.clone());
        Arc::new(Self { people, pipeline, plans, until, found: Mutex::new(asked.found.clone()) })
    }

    /// What was seen by now.
    pub(crate) fn found(&self) -> Found {
        self.locked().clone()
    }

    /// Takes in what another judge of the same order has seen.
    pub(crate) fn learn(&self, seen: Found) {
        let mut found = self.locked();
        for (pipeline, messages) in seen.messages {
            found.messages.entry(pipeline).or_default().extend(messages);
        }
        seen.links.visitors.iter().for_each(|id| self.link(&mut found, id, true));
        seen.links.users.iter().for_each(|id| self.link(&mut found, id, false));
        found.newest = found.newest.max(seen.newest);
    }

    /// How many of their events were seen by now.
    pub(crate) fn messages(&self) -> usize {
        self.locked().messages.values().map(BTreeSet::len).sum()
    }

    /// The ids, each once.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.people.iter().map(|person| person.id().to_owned()).collect()
    }

    /// Whether this is one of them.
    pub(crate) fn is_of(&self, id: &IdentityOf) -> bool {
        match id {
            IdentityOf::Anonymous(id) => self.is_visitor(id),
            IdentityOf::User(id) => self.is_user(id),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn concerns(&self, pipeline: &str) -> bool {
        self.pipeline.as_deref().is_none_or(|wanted| wanted == pipeline)
    }

    fn is_visitor(&self, id: &str) -> bool {
        self.people.iter().any(|person| matches!(person, Person::Visitor(theirs) if theirs == id))
    }

    fn is_user(&self, id: &str) -> bool {
        self.people.iter().any(|person| matches!(person, Person::User(theirs) if theirs == id))
    }

    /// Whether a record of the journal is theirs. It is asked of every record that is read while an erasure lasts, so most are
    /// passed over without being parsed: their bytes hold the id nowhere, and nothing that could be another way of writing it.
    pub(crate) fn record(&self, head: &Head<'_>, body: &[u8]) -> bool {
        if head.kind != Kind::Event || !self.concerns(head.pipeline) {
            return false;
        }
        // What is no text is no event, and nobody's.
        let Ok(text) = std::str::from_utf8(body) else { return false };
        let holds = || self.people.iter().any(|person| text.contains(person.id()));
        if !text.contains('\\') && !holds() {
            return false;
        }
        // Nobody can do anything with what cannot be read, so it may go when it holds the id at all.
        let Some(ids) = Ids::of(text) else { return holds() };
        let is_theirs = self.is_named(&ids) || self.is_sent_as(head, body);
        if is_theirs {
            self.note(head, &ids);
        }
        is_theirs
    }

    /// Whether a record that the state holds is theirs, and meant.
    pub(crate) fn kept(&self, record: &Record) -> bool {
        let Ok((head, body)) = Head::split(record.bytes()) else { return false };
        self.is_meant(head.received_at) && self.record(&head, body)
    }

    /// The clock may have been set back since: what the journal has erased is meant in any case.
    fn is_meant(&self, received_at: Timestamp) -> bool {
        received_at <= self.until || received_at <= self.locked().newest
    }

    fn is_named(&self, ids: &Ids) -> bool {
        let visitors = ids.anonymous.iter().chain(&ids.previous).chain(&ids.cookies).chain(&ids.identity);
        visitors.into_iter().any(|id| self.is_visitor(id))
            || ids.user.iter().chain(&ids.previous).any(|id| self.is_user(id))
    }

    /// Whether a lane would send it under a visitor code that is theirs.
    fn is_sent_as(&self, head: &Head<'_>, body: &[u8]) -> bool {
        if !self.people.iter().any(|person| matches!(person, Person::Visitor(_))) {
            return false;
        }
        let Some(plan) = self.plans.get(head.pipeline) else { return false };
        let Ok(values) = plan.read(Bytes::copy_from_slice(body)) else { return false };
        let code = |made: &Made| match made {
            Made::Send(send) => send.visitor_code.as_deref().is_some_and(|code| self.is_visitor(code)),
            Made::Ended(ended) => ended.visitor_code.as_deref().is_some_and(|code| self.is_visitor(code)),
        };
        plan.lanes.iter().any(|lane| match lane.apply(head, &values) {
            Applied::Made(made) => made.iter().any(code),
            _ => false,
        })
    }

    fn note(&self, head: &Head<'_>, ids: &Ids) {
        let mut found = self.locked();
        if let Some(id) = &ids.message {
            found.messages.entry(head.pipeline.to_owned()).or_default().insert(id.clone());
        }
        ids.anonymous.iter().chain(&ids.identity).for_each(|id| self.link(&mut found, id, true));
        ids.user.iter().for_each(|id| self.link(&mut found, id, false));
        found.newest = found.newest.max(head.received_at);
    }

    fn link(&self, found: &mut Found, id: &str, visitor: bool) {
        if id.is_empty() || (visitor && self.is_visitor(id)) || (!visitor && self.is_user(id)) {
            return;
        }
        let links = if visitor { &mut found.links.visitors } else { &mut found.links.users };
        if !links.contains(id) {
            links.insert(id.to_owned());
        }
    }

    /// Whether a send of the delivery log is theirs, and meant.
    pub(crate) fn send(&self, lane: &LaneId, send: &SendRecord) -> bool {
        if !self.concerns(lane.pipeline()) || !self.is_meant(send.received_at) || send.marks.contains(Marks::ERASED) {
            return false;
        }
        let visitors = || [&send.anonymous_id, &send.visitor_code].into_iter().flatten();
        let is_named =
            visitors().any(|id| self.is_visitor(id)) || send.user_id.as_deref().is_some_and(|id| self.is_user(id));
        let mut found = self.locked();
        let messages = found.messages.get(lane.pipeline());
        let is_known = messages.is_some_and(|messages| messages.contains(&*send.message_id));
        if is_named && !is_known && !send.message_id.is_empty() {
            // Other lanes may have sent the event without that id.
            found.messages.entry(lane.pipeline().to_owned()).or_default().insert(send.message_id.to_string());
        }
        if is_named {
            visitors().for_each(|id| self.link(&mut found, id, true));
            send.user_id.iter().for_each(|id| self.link(&mut found, id, false));
        }
        is_named || is_known
    }

    /// Takes in what the identity map holds of one of them.
    pub(crate) fn identity(&self, identity: &Identity) {
        if !self.concerns(&identity.key.pipeline) {
            return;
        }
        let mut found = self.locked();
        self.link(&mut found, &identity.value, true);
        match &identity.key.id {
            IdentityOf::Anonymous(id) => self.link(&mut found, id, true),
            IdentityOf::User(id) => self.link(&mut found, id, false),
        }
    }

    /// Whether an entry of the identity map is theirs: by whose it is, or by what it is.
    pub(crate) fn is_their_identity(&self, identity: &Identity) -> bool {
        self.concerns(&identity.key.pipeline) && (self.is_visitor(&identity.value) || self.is_of(&identity.key.id))
    }

    /// The question for the delivery log, as far as is known by now.
    pub(crate) fn whose(self: &Arc<Self>) -> Whose {
        let found = self.found();
        let mut values: BTreeSet<Box<str>> = self.people.iter().map(|person| person.id().into()).collect();
        values.extend(found.messages.values().flatten().map(|id| Box::from(id.as_str())));
        let this = Arc::clone(self);
        Whose {
            values: values.into_iter().collect::<Vec<_>>().into(),
            matches: Arc::new(move |lane, send| this.send(lane, send)),
        }
    }
}

/// The text of a JSON text or number; an id that was written as a number is its digits.
fn text(raw: &RawValue) -> Option<String> {
    let raw = raw.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'-' | b'0'..=b'9' => Some(raw.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

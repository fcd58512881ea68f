//! The identity map, from both sides: what an event says of its visitor is remembered, and what it does not say is
//! looked up.
//!
//! What is remembered is told to the state *before* the look-ups and before the append. So a later event of the same
//! batch is known by an earlier one, and what an append that then fails has left behind does no harm: it is true of the
//! visitor all the same. A look-up that fails costs the event a rung of its visitor code, never the event.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use anole_event::Event;
use anole_pipeline::{Intake, Path, Remember, find};
use anole_state::{Identity, IdentityKey, IdentityOf, State};
use anole_telemetry::{IdentityLookupFailed, Telemetry};
use serde_json::value::RawValue;

use crate::draft::Draft;
use crate::json::Text;

/// The longest value that is remembered, in bytes: what is longer is no id.
const MAX_VALUE: usize = 1000;

/// Which draft asks for which rule's value, and under which keys it may be found.
struct Question {
    draft: usize,
    name: Arc<str>,
    /// At most one for the anonymous id and one for the user's.
    keys: [Option<usize>; 2],
}

/// Remembers what the events say and fills in what they do not.
pub(crate) async fn resolve(state: &dyn State, telemetry: &Telemetry, intake: &Intake, drafts: &mut [Draft<'_>]) {
    if intake.remember.is_empty() {
        return;
    }
    let mut learnt = Vec::new();
    let mut keys = Keys::default();
    let mut questions = Vec::new();
    for (draft, Draft { event, .. }) in drafts.iter().enumerate() {
        for rule in &intake.remember {
            let ids = ids(intake, rule, event);
            match said(rule, event) {
                Some(value) => learnt.extend(ids.map(|key| Identity {
                    key,
                    value: value.as_ref().into(),
                    received_at: event.received_at,
                })),
                None => {
                    let mut places = [None; 2];
                    for (place, key) in places.iter_mut().zip(ids) {
                        *place = Some(keys.index(key));
                    }
                    questions.push(Question { draft, name: Arc::clone(&rule.name), keys: places });
                }
            }
        }
    }
    if !learnt.is_empty() {
        state.remember(learnt);
    }
    if questions.is_empty() {
        return;
    }
    // The keys are needed again only where an event names both the visitor and the user.
    let joins = questions.iter().any(|question| question.keys[1].is_some());
    let list = if joins { keys.list.clone() } else { Vec::new() };
    match state.identities(keys.list).await {
        Ok(mut answers) => {
            let learnt = fill_in(drafts, &questions, &mut answers, &list);
            if !learnt.is_empty() {
                state.remember(learnt);
            }
        }
        Err(error) => telemetry.emit(IdentityLookupFailed { error }),
    }
}

/// Puts the answers into the events. An event that names both the visitor and the user joins them: what is known of one
/// is from now on known of the other, also for the events behind it in the batch.
fn fill_in(
    drafts: &mut [Draft<'_>],
    questions: &[Question],
    answers: &mut [Option<String>],
    list: &[IdentityKey],
) -> Vec<Identity> {
    let mut learnt = Vec::new();
    for Question { draft, name, keys } in questions {
        let known = keys.iter().flatten().find_map(|key| answers.get(*key).cloned().flatten());
        let (Some(known), Some(draft)) = (known, drafts.get_mut(*draft)) else { continue };
        for at in keys.iter().flatten().copied() {
            if let (Some(answer @ None), Some(key)) = (answers.get_mut(at), list.get(at)) {
                *answer = Some(known.clone());
                let (value, received_at) = (known.as_str().into(), draft.event.received_at);
                learnt.push(Identity { key: key.clone(), value, received_at });
            }
        }
        draft.event.identity.push((Cow::Owned(name.to_string()), Cow::Owned(known)));
    }
    learnt
}

/// Keys that are asked for, each once: the events of a batch are often one visitor's.
#[derive(Default)]
struct Keys {
    list: Vec<IdentityKey>,
    places: HashMap<IdentityKey, usize>,
}

impl Keys {
    fn index(&mut self, key: IdentityKey) -> usize {
        let next = self.list.len();
        if next == 0 {
            self.list.push(key);
            return 0;
        }
        // Most requests ask for one or two keys; a map is made only for more.
        if next < 8 {
            return self.list.iter().position(|known| *known == key).unwrap_or_else(|| {
                self.list.push(key);
                next
            });
        }
        if self.places.is_empty() {
            self.places.extend(self.list.iter().cloned().enumerate().map(|(at, key)| (key, at)));
        }
        *self.places.entry(key).or_insert_with_key(|key| {
            self.list.push(key.clone());
            next
        })
    }
}

/// Under which keys an event's visitor is known: by the anonymous id first, as it is the visitor's own browser.
fn ids<'a>(intake: &'a Intake, rule: &'a Remember, event: &'a Event<'_>) -> impl Iterator<Item = IdentityKey> + 'a {
    let anonymous = event.anonymous_id.as_deref().map(|id| IdentityOf::Anonymous(id.into()));
    let user = event.user_id.as_deref().map(|id| IdentityOf::User(id.into()));
    anonymous.into_iter().chain(user).map(|id| IdentityKey {
        pipeline: Arc::clone(&intake.pipeline),
        name: Arc::clone(&rule.name),
        id,
    })
}

/// What an event says itself: the first source that gives a clean value.
fn said<'a>(rule: &Remember, event: &'a Event<'_>) -> Option<Cow<'a, str>> {
    rule.sources.iter().find_map(|path| {
        let value = at(path, event)?;
        let clean = rule.clean.clean(&value).map(Cow::into_owned)?;
        (clean.len() <= MAX_VALUE).then_some(Cow::Owned(clean))
    })
}

/// The text at a path of an event.
fn at<'a>(path: &Path, event: &'a Event<'_>) -> Option<Cow<'a, str>> {
    let (root, rest) = (path.root(), path.rest());
    let object = match (root, rest) {
        ("cookies", [name]) => {
            return event.cookies.iter().find(|(key, _)| **key == **name).map(|(_, value)| Cow::Borrowed(&**value));
        }
        ("user_id", []) => return event.user_id.as_deref().map(Cow::Borrowed),
        ("anonymous_id", []) => return event.anonymous_id.as_deref().map(Cow::Borrowed),
        ("group_id", []) => return event.group_id.as_deref().map(Cow::Borrowed),
        ("properties", _) => event.properties.as_deref(),
        ("traits", _) => event.traits.as_deref(),
        ("context", _) => event.context.as_deref(),
        _ => event.extra.iter().find(|(key, _)| key == root).map(|(_, value)| &**value),
    };
    Text::of_json(find(object.filter(|raw| may_have(raw, rest))?.get(), rest)?).ok()
}

/// Whether it is worth looking: a key stands in the text as it is, unless the text has escapes.
fn may_have(raw: &RawValue, rest: &[Box<str>]) -> bool {
    let json = raw.get();
    rest.first().is_none_or(|key| json.contains(&**key)) || json.contains('\\')
}

#[cfg(test)]
mod tests;

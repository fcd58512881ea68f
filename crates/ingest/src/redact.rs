//! What a pipeline says to drop or to hash is dropped or hashed here, before anything else sees the event: the identity
//! map, the window of de-duplication, the journal, the tap. So the clear text is in no file, and in no backup of one.

use std::borrow::Cow;

use anole_event::Event;
use anole_pipeline::{Privacy, Redacted};
use serde_json::value::RawValue;

use crate::draft::Draft;

/// Redacts the events of a request.
pub(crate) fn redact(privacy: &Privacy, drafts: &mut [Draft<'_>]) {
    if privacy.is_empty() {
        return;
    }
    for Draft { event, .. } in drafts {
        of_event(privacy, event);
    }
}

fn of_event(privacy: &Privacy, event: &mut Event<'_>) {
    for (name, id) in [
        ("anonymous_id", &mut event.anonymous_id),
        ("user_id", &mut event.user_id),
        ("group_id", &mut event.group_id),
        ("previous_id", &mut event.previous_id),
    ] {
        let Some(text) = id.as_deref() else { continue };
        match privacy.text(&[name], text) {
            Redacted::Same => {}
            Redacted::Gone => *id = None,
            Redacted::Now(text) => *id = Some(Cow::Owned(text)),
        }
    }
    for (name, object) in [
        ("properties", &mut event.properties),
        ("traits", &mut event.traits),
        ("context", &mut event.context),
        ("integrations", &mut event.integrations),
    ] {
        if let Some(json) = object.take() {
            *object = of_json(privacy, name, json);
        }
    }
    event.cookies.retain_mut(|(name, value)| match privacy.text(&["cookies", name], value) {
        Redacted::Same => true,
        Redacted::Gone => false,
        Redacted::Now(text) => {
            *value = Cow::Owned(text);
            true
        }
    });
    let extra = std::mem::take(&mut event.extra);
    event.extra =
        extra.into_iter().filter_map(|(key, json)| Some((key.clone(), of_json(privacy, &key, json)?))).collect();
}

/// What cannot be written as JSON again, which does not happen, is dropped rather than kept in the clear.
fn of_json<'a>(privacy: &Privacy, field: &str, json: Cow<'a, RawValue>) -> Option<Cow<'a, RawValue>> {
    match privacy.json(field, json.get()) {
        Redacted::Same => Some(json),
        Redacted::Gone => None,
        Redacted::Now(json) => RawValue::from_string(json).ok().map(Cow::Owned),
    }
}

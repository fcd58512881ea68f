//! An event's `context`: what the client said, what its batch said for all, and what only the server can see.
//!
//! - First-level keys that Segment writes in camelCase and that the canonical form names get its spelling (`userAgent`,
//!   `userAgentData`, `groupId`). Everything below stays the slice that the client wrote, `page` above all.
//! - What the batch says goes for each of its events; where both say it, the event's stands.
//! - `ip` and `user_agent` are filled in for browsers, and where the client asks for it with `context.direct`. Not for
//!   others: a back end's own address would pass for its visitor's.
//! - `bot` is `true` for a robot where the pipeline flags them, whatever the client says there.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::value::RawValue;

use crate::json::{Object, Part, Parts};

/// What the server sees of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// Its address.
    pub(crate) ip: IpAddr,
    /// Its `User-Agent`.
    pub(crate) user_agent: Option<&'a str>,
    /// Whether it is a browser.
    pub(crate) browser: bool,
    /// Whether it is a robot whose events are to be marked.
    pub(crate) bot: bool,
}

/// The mark of a robot.
const BOT: &str = "bot";

/// The canonical spelling of a first-level key.
fn canonical(key: &str) -> Option<&'static str> {
    Some(match key {
        "userAgent" => "user_agent",
        "userAgentData" => "user_agent_data",
        "groupId" => "group_id",
        _ => return None,
    })
}

/// The members of a context that are written as they are.
pub(crate) fn compose<'a>(
    own: &Object<'a>,
    batch: &Object<'a>,
    page: Vec<(&'static str, &'a RawValue)>,
    seen: &Seen<'a>,
) -> Parts<'a> {
    let mut parts = Parts(Vec::with_capacity(own.members().len() + batch.members().len() + 3));
    for object in [own, batch] {
        let mine = parts.0.len();
        for member in object.members() {
            let key = canonical(&member.key).map_or_else(|| member.key.clone(), Cow::Borrowed);
            // Within one object keys differ already, but for two spellings of one; those of the batch must not come twice.
            let taken = (mine > 0 || key != member.key) && parts.has(&key) || (seen.bot && key == BOT);
            if !taken {
                parts.push(key, Part::Raw(member.value));
            }
        }
    }
    if !page.is_empty() && !parts.has("page") {
        let members = page.into_iter().map(|(key, value)| (Cow::Borrowed(key), Part::Raw(value))).collect();
        parts.push("page", Part::Object(Parts(members)));
    }
    if seen.bot {
        parts.push(BOT, Part::Bool(true));
    }
    if seen.browser || is_direct(own) || is_direct(batch) {
        if !parts.has("ip") {
            parts.push("ip", Part::Text(seen.ip.to_string().into()));
        }
        if let Some(user_agent) = seen.user_agent.filter(|_| !parts.has("user_agent")) {
            parts.push("user_agent", Part::Text(user_agent.into()));
        }
    }
    parts
}

fn is_direct(context: &Object<'_>) -> bool {
    context.get("direct").is_some_and(|raw| raw.get() == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(own: &str, batch: &str, browser: bool) -> String {
        let (own, batch) = (serde_json::from_str(own).expect("JSON"), serde_json::from_str(batch).expect("JSON"));
        let seen = Seen { ip: [203, 0, 113, 7].into(), user_agent: Some("Firefox \"1\""), browser, bot: false };
        compose(&own, &batch, vec![], &seen).to_raw().expect("JSON").get().to_owned()
    }

    #[test]
    fn a_browsers_address_and_agent_are_filled_in_unless_it_says_them_itself() {
        assert_eq!(composed("null", "null", true), r#"{"ip":"203.0.113.7","user_agent":"Firefox \"1\""}"#);
        let said = composed(r#"{"userAgent":"own","ip":"192.0.2.1","locale":"de"}"#, "{}", true);
        assert_eq!(said, r#"{"user_agent":"own","ip":"192.0.2.1","locale":"de"}"#);
    }

    #[test]
    fn a_back_ends_address_is_not_its_visitors_unless_it_says_so() {
        assert_eq!(composed(r#"{"library":{"name":"x"}}"#, "null", false), r#"{"library":{"name":"x"}}"#);
        let direct = composed(r#"{"direct":true}"#, "null", false);
        assert_eq!(direct, r#"{"direct":true,"ip":"203.0.113.7","user_agent":"Firefox \"1\""}"#);
    }

    #[test]
    fn the_batchs_context_goes_for_each_event_and_the_events_own_stands() {
        let merged =
            composed(r#"{"locale":"de","userAgent":"a"}"#, r#"{"locale":"fr","user_agent":"b","ip":"i"}"#, false);
        assert_eq!(merged, r#"{"locale":"de","user_agent":"a","ip":"i"}"#);
    }

    #[test]
    fn a_robot_is_marked_whatever_it_says_itself() {
        let own = serde_json::from_str(r#"{"bot":false,"locale":"de"}"#).expect("JSON");
        let seen = Seen { ip: [203, 0, 113, 7].into(), user_agent: None, browser: false, bot: true };
        let marked = compose(&own, &Object::Absent, vec![], &seen).to_raw().expect("JSON");
        assert_eq!(marked.get(), r#"{"locale":"de","bot":true}"#);
    }

    #[test]
    fn what_lies_deeper_is_not_touched() {
        let own = r#"{"page":{"userAgent": 1.50,  "url":"u"},"user_agent":"x","userAgent":"y"}"#;
        assert_eq!(composed(own, "null", false), r#"{"page":{"userAgent": 1.50,  "url":"u"},"user_agent":"x"}"#);
    }
}

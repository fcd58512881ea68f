//! Which rule an event falls under.
//!
//! A rule matches a name, a type, or everything (`*`). The most specific one wins: name before type before `*`. An event has
//! two names, the canonical one and the one under which it came in (`purchase` for `Order Completed`); a rule may be for
//! either. When there is a rule for both, the one of the pipeline wins over the one of the preset, then the canonical name.

use std::collections::HashMap;
use std::sync::Arc;

use anole_event::{EventType, Head};

use crate::{Expression, SendPlan};

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Its name: the key under which it stands.
    pub name: Arc<str>,
    /// What it matches: names of events, types, or `*`.
    pub matches: Vec<Box<str>>,
    /// Whether the pipeline wrote it, or laid something over it.
    pub own: bool,
    /// What must hold of the event, or it is filtered: a less specific rule does not take its place.
    pub when: Option<Expression>,
    /// What it does.
    pub action: Action,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The event is filtered.
    Off,
    /// These sends are made of it, in this order.
    Send(Vec<SendPlan>),
}

/// So many names are looked through one by one.
const FEW: usize = 16;

/// The rules of a lane, ready to be looked up.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Few names are found faster one by one than by a hash.
    few: Vec<(Box<str>, usize)>,
    by_name: HashMap<Box<str>, usize>,
    by_type: [Option<usize>; EventType::ALL.len()],
    any: Option<usize>,
}

// === impl Rules ===

impl Rules {
    /// Makes the look-up. Where two rules match the same, the pipeline's own comes before the preset's, then the later.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut made = Self::default();
        for own in [false, true] {
            for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.own == own) {
                for matched in &rule.matches {
                    match EventType::from_code(matched) {
                        Some(event_type) => made.by_type[place(event_type)] = Some(index),
                        None if **matched == *"*" => made.any = Some(index),
                        None => drop(made.by_name.insert(matched.clone(), index)),
                    }
                }
            }
        }
        if made.by_name.len() <= FEW {
            made.few = std::mem::take(&mut made.by_name).into_iter().collect();
        }
        made.rules = rules;
        made
    }

    /// All rules, as they were given.
    #[must_use]
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// The same rules with other sends.
    pub(crate) fn mapped(&self, send: impl Fn(&SendPlan) -> SendPlan) -> Self {
        let mut mapped = self.clone();
        for rule in &mut mapped.rules {
            if let Action::Send(sends) = &mut rule.action {
                *sends = sends.iter().map(&send).collect();
            }
        }
        mapped
    }

    /// The rule that an event falls under.
    #[must_use]
    pub fn find(&self, head: &Head<'_>) -> Option<&Rule> {
        let named = |name: &str| {
            if name.is_empty() {
                return None;
            }
            let few = self.few.iter().find(|(known, _)| **known == *name).map(|(_, index)| *index);
            few.or_else(|| if self.by_name.is_empty() { None } else { self.by_name.get(name).copied() })
        };
        let canonical = named(head.name);
        let source = if head.source_name == head.name { None } else { named(head.source_name) };
        let by_name = match (canonical, source) {
            (Some(canonical), Some(source)) if self.rules[source].own && !self.rules[canonical].own => Some(source),
            (canonical, source) => canonical.or(source),
        };
        by_name.or(self.by_type[place(head.event_type)]).or(self.any).map(|index| &self.rules[index])
    }
}

fn place(event_type: EventType) -> usize {
    usize::from(event_type.number()).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use anole_event::{Fingerprint, Kind, OrderKey, Timestamp};

    use super::*;

    fn head(event_type: EventType, name: &'static str, source_name: &'static str) -> Head<'static> {
        Head {
            kind: Kind::Event,
            event_type,
            protocol: "segment",
            received_at: Timestamp::default(),
            order_key: OrderKey(0),
            fingerprint: Fingerprint(0),
            pipeline: "shop",
            name,
            source_name,
        }
    }

    fn rule(name: &str, matches: &[&str], own: bool) -> Rule {
        let matches = matches.iter().map(|matched| Box::from(*matched)).collect();
        Rule { name: name.into(), matches, own, when: None, action: Action::Off }
    }

    fn found(rules: &Rules, head: &Head<'_>) -> Option<String> {
        rules.find(head).map(|rule| rule.name.to_string())
    }

    #[test]
    fn a_name_beats_a_type_and_a_type_beats_everything() {
        let rules = Rules::new(vec![
            rule("all", &["*"], true),
            rule("tracks", &["track"], true),
            rule("orders", &["Order Completed", "Order Updated"], false),
        ]);
        let named = |name| found(&rules, &head(EventType::Track, name, name));
        assert_eq!(named("Order Completed").as_deref(), Some("orders"));
        assert_eq!(named("Order Updated").as_deref(), Some("orders"));
        assert_eq!(named("order completed").as_deref(), Some("tracks"), "names are exact");
        assert_eq!(found(&rules, &head(EventType::Page, "", "")).as_deref(), Some("all"));
        let some = Rules::new(vec![rule("page", &["page"], false)]);
        assert_eq!(found(&some, &head(EventType::Page, "", "page_view")).as_deref(), Some("page"));
        assert_eq!(found(&some, &head(EventType::Track, "page", "page")), None, "an event's name is no type");
        assert_eq!(found(&some, &head(EventType::Alias, "", "")), None);
    }

    #[test]
    fn either_name_matches_and_the_pipelines_own_rule_wins() {
        let event = head(EventType::Track, "Order Completed", "purchase");
        let canonical = || rule("canonical", &["Order Completed"], false);
        let by_source = Rules::new(vec![rule("source", &["purchase"], false)]);
        assert_eq!(found(&by_source, &event).as_deref(), Some("source"));
        let both = Rules::new(vec![rule("source", &["purchase"], false), canonical()]);
        assert_eq!(found(&both, &event).as_deref(), Some("canonical"));
        let own = Rules::new(vec![rule("source", &["purchase"], true), canonical()]);
        assert_eq!(found(&own, &event).as_deref(), Some("source"));
        let same = Rules::new(vec![rule("own", &["Order Completed"], true), canonical()]);
        assert_eq!(found(&same, &event).as_deref(), Some("own"));
    }
}

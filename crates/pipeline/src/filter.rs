//! Which events a destination gets at all, whatever its rules say.
//!
//! In this order: the sample, then the events that are dropped, then those that are the only ones let through. Which of an
//! event's values the destination may see is decided when the plan is made ([`crate::Narrow`]).
//!
//! The sample is drawn by the message id alone: the same events are in it at every destination, after a restart and in a
//! replay, and what is in a sample of 10 % is in one of 20 %.

use anole_event::{Head, Reason};
use xxhash_rust::xxh3::xxh3_64;

use crate::Values;

/// The parts of a whole in which samples are counted: hundredths of a percent.
pub const WHOLE: u32 = 10_000;

/// What a destination gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    /// How many of [`WHOLE`] events it gets; all when not given.
    pub sample: Option<u32>,
    /// Names and types of events that it does not get.
    pub drop: Vec<Box<str>>,
    /// Names and types of the only events that it gets; all when there are none.
    pub only: Vec<Box<str>>,
}

fn is_sampled(sample: u32, message_id: &str) -> bool {
    xxh3_64(message_id.as_bytes()) % u64::from(WHOLE) < u64::from(sample)
}

// === impl Filters ===

impl Filters {
    /// Why an event is kept back; nothing when it is not.
    pub(crate) fn keeps_back(&self, head: &Head<'_>, values: &Values) -> Option<Reason> {
        if self.sample.is_some_and(|sample| !is_sampled(sample, &values.message_id())) {
            return Some(Reason::Sampled);
        }
        if self.drop.is_empty() && self.only.is_empty() {
            return None;
        }
        let names = [head.name, head.source_name, head.event_type.as_str()];
        let listed = |list: &[Box<str>]| list.iter().any(|word| !word.is_empty() && names.contains(&&**word));
        let kept_back = listed(&self.drop) || (!self.only.is_empty() && !listed(&self.only));
        kept_back.then_some(Reason::Listed)
    }
}

#[cfg(test)]
mod tests {
    use anole_event::{EventType, Fingerprint, Kind, OrderKey, Timestamp};

    use super::*;

    fn head(event_type: EventType, name: &'static str) -> Head<'static> {
        Head {
            kind: Kind::Event,
            event_type,
            protocol: "segment",
            received_at: Timestamp::default(),
            order_key: OrderKey(0),
            fingerprint: Fingerprint(0),
            pipeline: "shop",
            name,
            source_name: name,
        }
    }

    fn values() -> Values {
        let plan = crate::PipelinePlan::new(crate::Intake::new("shop"), Vec::new(), &[], crate::Paths::new());
        plan.read(r#"{"message_id":"m"}"#.into()).expect("an event")
    }

    #[test]
    fn a_sample_is_its_share_and_a_larger_one_holds_it() {
        let kept = |sample| {
            let ids = (0..10_000).map(|number| format!("m-{number}"));
            ids.filter(|id| is_sampled(sample, id)).collect::<Vec<_>>()
        };
        let (ten, twenty) = (kept(1_000), kept(2_000));
        assert!((900..1_100).contains(&ten.len()), "{}", ten.len());
        assert!(ten.iter().all(|id| twenty.contains(id)));
        assert_eq!(kept(0).len(), 0);
        assert_eq!(kept(WHOLE).len(), 10_000);
        let none = Filters { sample: Some(0), ..Filters::default() };
        assert_eq!(none.keeps_back(&head(EventType::Page, ""), &values()), Some(Reason::Sampled));
    }

    #[test]
    fn lists_are_of_names_and_types() {
        let words = |words: &[&str]| words.iter().map(|word| Box::from(*word)).collect::<Vec<Box<str>>>();
        let filters = Filters { drop: words(&["Heartbeat", "screen"]), ..Filters::default() };
        assert_eq!(filters.keeps_back(&head(EventType::Track, "Heartbeat"), &values()), Some(Reason::Listed));
        assert_eq!(filters.keeps_back(&head(EventType::Screen, ""), &values()), Some(Reason::Listed));
        assert_eq!(filters.keeps_back(&head(EventType::Track, "Other"), &values()), None);
        let only = Filters { only: words(&["page"]), ..Filters::default() };
        assert_eq!(only.keeps_back(&head(EventType::Page, ""), &values()), None);
        assert_eq!(only.keeps_back(&head(EventType::Track, "Other"), &values()), Some(Reason::Listed));
    }
}

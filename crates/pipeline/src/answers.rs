//! How a vendor's answers are read.
//!
//! An exact status comes before its class (`4xx`), and that before the defaults: 2xx is delivered; 408, 425, 429 and 5xx
//! but 501 are tried again, as they speak of the moment; other 4xx and 501 speak of what was sent, so the batch is split
//! until the refused send is found; a redirect means that the address is wrong, so the lane pauses.
//!
//! An answer may say of each item what became of it ([`ItemVerdicts`]). Then the item's own status is judged by the same table,
//! and the answer's only where the body does not say.

use std::sync::Arc;

use anole_event::Decision;

use crate::object::elements;
use crate::{Path, find};

/// What to do on an answer, and what to tell a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// What to do.
    pub decision: Decision,
    /// What is known of the cause, and what helps.
    pub hint: Option<Arc<str>>,
}

/// A request's answers table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Answers {
    exact: Vec<(u16, Verdict)>,
    classes: Vec<(u8, Verdict)>,
    items: Vec<(Range, ItemVerdicts)>,
}

/// A status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Range {
    Status(u16),
    Class(u8),
}

/// Where an answer's body says of each item what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ItemVerdicts {
    /// Where the list stands, one element for each item in their order; nothing when the body is the list.
    pub list: Option<Path>,
    /// Where an element holds the item's status, a number as in HTTP.
    pub status: Path,
}

// === impl Answers ===

impl Answers {
    /// The table with a verdict on one status.
    #[must_use]
    pub fn with_status(mut self, status: u16, verdict: Verdict) -> Self {
        self.exact.retain(|(known, _)| *known != status);
        self.exact.push((status, verdict));
        self
    }

    /// The table with a verdict on a class of them: 4 for `4xx`.
    #[must_use]
    pub fn with_class(mut self, class: u8, verdict: Verdict) -> Self {
        self.classes.retain(|(known, _)| *known != class);
        self.classes.push((class, verdict));
        self
    }

    /// The table with per-item verdicts in the body of answers with this status.
    #[must_use]
    pub fn with_items_of_status(mut self, status: u16, items: ItemVerdicts) -> Self {
        self.items.push((Range::Status(status), items));
        self
    }

    /// The table with per-item verdicts in the body of answers of this class.
    #[must_use]
    pub fn with_items_of_class(mut self, class: u8, items: ItemVerdicts) -> Self {
        self.items.push((Range::Class(class), items));
        self
    }

    /// Whether some answers say of each item what became of it.
    #[must_use]
    pub fn reads_items(&self) -> bool {
        !self.items.is_empty()
    }

    /// The status of each of so many items, when the body of this answer says so for all of them.
    #[must_use]
    pub fn statuses(&self, status: u16, body: &[u8], items: usize) -> Option<Vec<u16>> {
        let of = |range: Range| self.items.iter().find(|(known, _)| *known == range).map(|(_, items)| items);
        let class = u8::try_from(status / 100).ok()?;
        let verdicts = of(Range::Status(status)).or_else(|| of(Range::Class(class)))?;
        verdicts.read(std::str::from_utf8(body).ok()?).filter(|statuses| statuses.len() == items)
    }

    /// The verdict on a status.
    #[must_use]
    pub fn judge(&self, status: u16) -> Verdict {
        let exact = self.exact.iter().find(|(known, _)| *known == status).map(|(_, verdict)| verdict);
        let class =
            || self.classes.iter().find(|(known, _)| u16::from(*known) == status / 100).map(|(_, verdict)| verdict);
        match exact.or_else(class) {
            Some(verdict) => verdict.clone(),
            None => Verdict { decision: by_default(status), hint: None },
        }
    }
}

// === impl ItemVerdicts ===

impl ItemVerdicts {
    fn read(&self, body: &str) -> Option<Vec<u16>> {
        let list = match &self.list {
            Some(list) => find(body, list.steps())?,
            None => body.trim(),
        };
        let status = |element: &&str| {
            let status: u16 = find(element, self.status.steps())?.trim_matches('"').parse().ok()?;
            (100..=599).contains(&status).then_some(status)
        };
        elements(list)?.iter().map(status).collect()
    }
}

fn by_default(status: u16) -> Decision {
    match status {
        200..=299 => Decision::Delivered,
        300..=399 => Decision::Pause,
        408 | 425 | 429 => Decision::Retry,
        501 | 400..=499 => Decision::Split,
        // 5xx, and what is no status of HTTP: a broken proxy, which mends.
        _ => Decision::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(decision: Decision, hint: &str) -> Verdict {
        Verdict { decision, hint: Some(hint.into()) }
    }

    #[test]
    fn an_exact_status_beats_its_class_and_that_the_default() {
        let answers = Answers::default()
            .with_class(4, verdict(Decision::Park, "class"))
            .with_status(404, verdict(Decision::Pause, "region"))
            .with_class(5, verdict(Decision::Retry, "any"));
        assert_eq!(answers.judge(404), verdict(Decision::Pause, "region"));
        assert_eq!(answers.judge(429), verdict(Decision::Park, "class"));
        assert_eq!(answers.judge(501), verdict(Decision::Retry, "any"));
        assert_eq!(answers.judge(204), Verdict { decision: Decision::Delivered, hint: None });
    }

    #[test]
    fn unnamed_statuses_have_a_default() {
        for (decision, statuses) in [
            (Decision::Delivered, vec![200, 204, 299]),
            (Decision::Retry, vec![408, 425, 429, 500, 502, 503, 504, 599]),
            (Decision::Split, vec![400, 401, 403, 404, 413, 422, 499, 501]),
            (Decision::Pause, vec![301, 302, 304, 307]),
        ] {
            for status in statuses {
                assert_eq!(Answers::default().judge(status).decision, decision, "{status}");
            }
        }
    }

    #[test]
    fn a_body_says_of_each_item_what_became_of_it() {
        let path = |text| Path::parse(text).expect("a path");
        let items = ItemVerdicts { list: Some(path("data.results")), status: path("status") };
        let answers = Answers::default().with_items_of_status(207, items);
        let body = br#"{"data":{"results":[{"status":200},{"status":"422","why":"x"},{"status":503}]}}"#;
        assert_eq!(answers.statuses(207, body, 3), Some(vec![200, 422, 503]));
        assert_eq!(answers.statuses(207, body, 2), None, "not one for each");
        assert_eq!(answers.statuses(200, body, 3), None, "another answer");
        for bad in [
            &b"{}"[..],
            b"{\"data\":{\"results\":[{\"status\":200}",
            b"[1,2,3]",
            b"\xff",
            b"{\"data\":{\"results\":[{\"status\":9}]}}",
        ] {
            assert_eq!(answers.statuses(207, bad, 1), None);
        }
        let whole = Answers::default().with_items_of_class(2, ItemVerdicts { list: None, status: path("code") });
        assert_eq!(whole.statuses(201, br#" [{"code":201}] "#, 1), Some(vec![201]));
    }
}

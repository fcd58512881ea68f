//! How a vendor's answers are read.
//!
//! An exact status comes before its class (`4xx`), and that before the defaults: 2xx is delivered; 408, 425, 429 and 5xx
//! but 501 are tried again, as they speak of the moment; other 4xx and 501 speak of what was sent, so the batch is split
//! until the refused send is found; a redirect means that the address is wrong, so the lane pauses.

use std::sync::Arc;

use anole_event::Decision;

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
}

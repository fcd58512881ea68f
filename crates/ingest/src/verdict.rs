//! Why one event was refused.

use std::borrow::Cow;

use anole_event::Reason;

use crate::code::{RefusalCode, Rule};

/// Why one event was refused, in the words that its sender reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The closed code.
    pub(crate) code: RefusalCode,
    /// What a program can use: which rule it broke.
    pub(crate) reason: Rule,
    /// What a person should read: what is wrong, where, and what would be right.
    pub(crate) message: Cow<'static, str>,
}

/// A refused event of a request.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// Where it stands in the batch, from 0.
    pub(crate) index: usize,
    /// Its message id, where it has one that can be read.
    pub(crate) message_id: Option<String>,
    /// Why.
    pub(crate) verdict: Verdict,
}

// === impl Verdict ===

impl Verdict {
    /// A malformed event.
    pub(crate) fn invalid(reason: Rule, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: RefusalCode::InvalidEvent, reason, message: message.into() }
    }

    /// An event over the limit.
    pub(crate) fn too_large(bytes: usize, limit: usize) -> Self {
        let message = format!("the event has {bytes} bytes, the limit is {limit} bytes");
        Self { code: RefusalCode::EventTooLarge, reason: Rule::TooLarge, message: message.into() }
    }

    /// The reason by which it is counted.
    pub(crate) fn counted_as(&self) -> Reason {
        if self.code == RefusalCode::EventTooLarge { Reason::TooLarge } else { Reason::InvalidEvent }
    }
}

//! Why one event was refused.

use std::borrow::Cow;

use anole_event::Reason;

/// Why one event was refused, in the words that its sender reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The closed code.
    pub(crate) code: &'static str,
    /// What a program can use: which rule it broke.
    pub(crate) reason: &'static str,
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
    /// The code of an event that is malformed.
    pub(crate) const INVALID: &'static str = "invalid_event";
    /// The code of an event that is too large.
    pub(crate) const TOO_LARGE: &'static str = "event_too_large";

    /// A malformed event.
    pub(crate) fn invalid(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Self::INVALID, reason, message: message.into() }
    }

    /// An event over the limit.
    pub(crate) fn too_large(bytes: usize, limit: usize) -> Self {
        let message = format!("the event has {bytes} bytes, the limit is {limit} bytes");
        Self { code: Self::TOO_LARGE, reason: "too_large", message: message.into() }
    }

    /// The reason by which it is counted.
    pub(crate) fn counted_as(&self) -> Reason {
        if self.code == Self::TOO_LARGE { Reason::TooLarge } else { Reason::InvalidEvent }
    }
}

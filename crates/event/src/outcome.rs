//! Where a send ended, and why: the closed list of names that code, config, metrics and console share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Writes an enum whose variants each have one stable code, its text form, and its way back from text.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $code:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $number),+ }

        impl $name {
            /// Every value, in the order of its numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable code, as metrics, files and the console write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The value of a code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// The number that stores keep. Numbers are never given to another meaning.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The value of a stored number.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use codes;

codes! {
    /// The named states of a send.
    State {
        /// The vendor took it.
        Delivered = 1 "delivered",
        /// A rule, a filter or the lack of a rule kept it back.
        Filtered = 2 "filtered",
        /// The visitor had not consented to what the destination needs.
        NoConsent = 3 "no_consent",
        /// A robot made it, and the pipeline drops robots.
        Bot = 4 "bot",
        /// It was too old to be of use before it could be delivered.
        Expired = 5 "expired",
        /// A person, or a retention that a person stated, gave it up.
        Discarded = 6 "discarded",
        /// A person's data was erased.
        Erased = 7 "erased",
        /// Journal damage or `drop_oldest` took it.
        Lost = 8 "lost",
        /// It waits for a person.
        Parked = 9 "parked",
        /// It was set aside and will be tried again.
        Deferred = 10 "deferred",
        /// It was refused before the journal.
        Rejected = 11 "rejected",
        /// It was already in the journal.
        Duplicate = 12 "duplicate",
    }
}

codes! {
    /// Why a send ended where it did. Closed, so that metrics can carry it; a [`Outcome::detail`] says more.
    Reason {
        /// The vendor answered with a success.
        Accepted = 1 "accepted",
        /// No rule names this event.
        Unmapped = 2 "unmapped",
        /// A rule of the pipeline says `off` for this event.
        Off = 3 "off",
        /// The destination is disabled.
        Disabled = 4 "disabled",
        /// A condition of the destination or the rule was not met.
        Condition = 5 "condition",
        /// A drop or allow list kept it back.
        Listed = 6 "listed",
        /// It was not in the sample.
        Sampled = 7 "sampled",
        /// Consent was asked and denied.
        Denied = 8 "denied",
        /// Consent is not known, and the pipeline treats that as denied.
        Unknown = 9 "unknown",
        /// The User-Agent is a robot's.
        UserAgent = 10 "user_agent",
        /// It was not delivered within the time after which the vendor has no use for it.
        TooOld = 11 "too_old",
        /// A field that the vendor requires is missing.
        MissingField = 12 "missing_field",
        /// A field has a value that the vendor would lose without saying so.
        InvalidField = 13 "invalid_field",
        /// No rung gave a visitor code, and the destination parks those.
        NoVisitor = 14 "no_visitor",
        /// The vendor refused it.
        Refused = 15 "refused",
        /// Alone it is larger than the vendor takes.
        TooLarge = 16 "too_large",
        /// The journal was damaged where it stood.
        JournalDamage = 17 "journal_damage",
        /// The journal was full and drops the oldest.
        DropOldest = 18 "drop_oldest",
        /// A person asked for it.
        Requested = 19 "requested",
        /// A stated retention ran out.
        Retention = 20 "retention",
        /// It fails whenever it is sent, while others go through.
        FailsAlone = 21 "fails_alone",
        /// The record is in a form that this version cannot read.
        Unreadable = 22 "unreadable",
        /// It is not an event: the body or a required field is malformed.
        InvalidEvent = 23 "invalid_event",
        /// Its message id was seen within the window.
        SeenBefore = 24 "seen_before",
        /// A field could not be rendered as its blueprint says.
        Mapping = 25 "mapping",
        /// A condition failed, which counts as not met: what it needs is missing or of another type.
        ConditionFailed = 26 "condition_failed",
    }
}

/// Where a send ended, why, and what an operator should know or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The named state.
    pub state: State,
    /// The closed code of why.
    pub reason: Reason,
    /// What a person should read: the vendor's hint, the missing field. Never secrets.
    pub detail: Option<String>,
}

/// Remarks on a send that do not change where it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks(u8);

// === impl State ===

impl State {
    /// Whether nothing more will happen to the send by itself. `parked` waits for a person and `deferred` for time.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Parked | Self::Deferred)
    }
}

// === impl Outcome ===

impl Outcome {
    /// An outcome without detail.
    #[must_use]
    pub const fn new(state: State, reason: Reason) -> Self {
        Self { state, reason, detail: None }
    }

    /// The same with a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

// === impl Marks ===

impl Marks {
    /// No remark.
    pub const NONE: Self = Self(0);
    /// The visitor code is a fallback: the vendor cannot tie the send to the visitor that its own tag knows.
    pub const FALLBACK_VISITOR: Self = Self(1);
    /// Later sends of the same order key may have overtaken it.
    pub const REORDERED: Self = Self(2);
    /// It was sent again because a person asked for it.
    pub const REPLAYED: Self = Self(4);
    /// Its ids were erased because a person asked for it.
    pub const ERASED: Self = Self(8);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits that stores keep.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set of stored bits; unknown ones are kept, as a newer version may have written them.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The names of the remarks that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (Self::FALLBACK_VISITOR, "fallback_visitor"),
            (Self::REORDERED, "reordered"),
            (Self::REPLAYED, "replayed"),
            (Self::ERASED, "erased"),
        ]
        .into_iter()
        .filter(move |(mark, _)| self.contains(*mark))
        .map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_number_leads_back_to_its_value() {
        for state in State::ALL {
            assert_eq!(State::from_code(state.as_str()), Some(*state));
            assert_eq!(State::from_number(state.number()), Some(*state));
            assert_eq!(serde_json::to_string(state).expect("a code"), format!("\"{state}\""));
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.as_str()), Some(*reason));
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
        }
        assert_eq!(State::from_number(0), None);
    }

    #[test]
    fn marks_add_up_and_are_named() {
        let marks = Marks::FALLBACK_VISITOR.with(Marks::REPLAYED);
        assert_eq!(marks.names().collect::<Vec<_>>(), ["fallback_visitor", "replayed"]);
        assert_eq!(Marks::from_bits(marks.bits()), marks);
        assert!(!marks.contains(Marks::REORDERED));
    }
}

//! What is said about an event, and what follows from it.

use std::borrow::Cow;

use serde::Serialize;

/// What Kameleoon would make of an event, as far as a strict reader of its documents can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Accepted,
    /// It may be taken, in part or as a whole, or not: the documents do not say, or contradict each other.
    Doubtful,
    /// The same event came before, under the same nonce: a retry.
    Duplicate,
    /// Another event came before under the same nonce: one of the two would be dropped.
    Error,
    /// The real endpoint would answer 204 and drop it without a word.
    Lost,
}

/// How much a reason weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Good to know; changes no verdict.
    Note,
    /// Makes the event doubtful.
    Doubt,
    /// Makes the event lost.
    Loss,
}

/// One thing that is said about an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// How much it weighs.
    pub weight: Weight,
    /// The word for programs. A closed set, so that it may be counted.
    pub code: &'static str,
    /// The sentence for people.
    pub text: Cow<'static, str>,
}

/// The reasons of one event while they are being found.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Reason>);

// === impl Verdict ===

impl Verdict {
    /// All of them, mildest first.
    pub const ALL: [Self; 5] = [Self::Accepted, Self::Doubtful, Self::Duplicate, Self::Error, Self::Lost];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Doubtful => "doubtful",
            Self::Duplicate => "duplicate",
            Self::Error => "error",
            Self::Lost => "lost",
        }
    }

    /// The verdict of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

// === impl Findings ===

impl Findings {
    pub(crate) fn note(&mut self, code: &'static str, text: impl Into<Cow<'static, str>>) {
        self.0.push(Reason { weight: Weight::Note, code, text: text.into() });
    }

    pub(crate) fn doubt(&mut self, code: &'static str, text: impl Into<Cow<'static, str>>) {
        self.0.push(Reason { weight: Weight::Doubt, code, text: text.into() });
    }

    pub(crate) fn loss(&mut self, code: &'static str, text: impl Into<Cow<'static, str>>) {
        self.0.push(Reason { weight: Weight::Loss, code, text: text.into() });
    }

    pub(crate) fn heaviest(&self) -> Option<Weight> {
        self.0.iter().map(|reason| reason.weight).max()
    }

    pub(crate) fn first_loss(&self) -> Option<&Reason> {
        self.0.iter().find(|reason| reason.weight == Weight::Loss)
    }

    pub(crate) fn has(&self, code: &str) -> bool {
        self.0.iter().any(|reason| reason.code == code)
    }

    pub(crate) fn into_reasons(self) -> Box<[Reason]> {
        self.0.into_boxed_slice()
    }
}

//! Where a code is told.

/// Where a code is told. Pages are grouped by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `anole check`, a start, a reload.
    Configuration,
    /// The error answers of the collection endpoint.
    Refusal,
    /// The `reason` in those, and in verdicts on single events.
    Rule,
    /// The states of sends.
    State,
    /// Why a send ended as it did.
    Reason,
    /// What a send is marked with.
    Mark,
    /// What was decided on an attempt.
    Decision,
    /// How far a request came.
    Reached,
    /// Whose fault a failed attempt is.
    Fault,
    /// Why a lane is paused.
    Pause,
    /// What the embedded blueprint for Kameleoon says of a status.
    Kameleoon,
    /// Why an append to the journal failed.
    Append,
    /// What `anole journal verify` finds.
    Finding,
    /// Why a store or the data folder cannot be used.
    Store,
    /// The error answers of the admin API.
    Api,
}

// === impl Place ===

impl Place {
    /// Every place, in the order of the index.
    pub const ALL: &'static [Self] = &[
        Self::Configuration,
        Self::Refusal,
        Self::Rule,
        Self::State,
        Self::Reason,
        Self::Mark,
        Self::Decision,
        Self::Reached,
        Self::Fault,
        Self::Pause,
        Self::Kameleoon,
        Self::Append,
        Self::Finding,
        Self::Store,
        Self::Api,
    ];

    /// What a code of this place is, as its page says it.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Configuration => "Problem of the configuration",
            Self::Refusal => "Error of the collection endpoint",
            Self::Rule => "Reason of a refused request or event",
            Self::State => "State of a send",
            Self::Reason => "Reason of a state",
            Self::Mark => "Mark of a send",
            Self::Decision => "Decision on an attempt",
            Self::Reached => "Reach of an attempt",
            Self::Fault => "Source of a failed attempt",
            Self::Pause => "Cause of a paused lane",
            Self::Kameleoon => "Status of Kameleoon's answer",
            Self::Append => "Failure of the journal",
            Self::Finding => "Finding in the journal's files",
            Self::Store => "Failure of a store",
            Self::Api => "Error of the admin API",
        }
    }

    /// Where it is met, in a sentence.
    #[must_use]
    pub const fn met(self) -> &'static str {
        match self {
            Self::Configuration => "`anole check` prints them in brackets, `--json` and the API as `code`.",
            Self::Refusal => {
                "`code` of the error answers of `collect.listen`, and of the verdicts in a batch's answer; label `code` of \
                 `anole_requests_refused_total`."
            }
            Self::Rule => "`reason` beside that `code`, and of `/readyz`.",
            Self::State => "Where each send ends: delivery log, console, label `state` of `anole_outcomes_total`.",
            Self::Reason => {
                "Beside the state; also of parked sends, and label `reason` of `anole_outcomes_total` and \
                 `anole_events_refused_total`."
            }
            Self::Mark => "Beside the state where there is something to know that changes nothing.",
            Self::Decision => "What followed from an attempt: `anole deliveries list`.",
            Self::Reached => "How far an attempt came that failed: `anole deliveries show`.",
            Self::Fault => "Whose fault a failed attempt is: `anole deliveries show`.",
            Self::Pause => "`pause_code` of a lane in `/api/lanes` and `anole lanes list --json`.",
            Self::Kameleoon => "What the answer's status means, by the blueprint that comes with anole.",
            Self::Append => {
                "`reason` of a 503 of the collection endpoint and of `/readyz`; label `code` of \
                 `anole_journal_append_errors_total`."
            }
            Self::Finding => "`flaw` in `anole journal verify`.",
            Self::Store => {
                "Why a daemon does not start or a verb cannot look: the last line on standard error names it."
            }
            Self::Api => "`code` of the error answers of `admin.listen`.",
        }
    }

    /// The place of a noun.
    #[must_use]
    pub fn from_noun(noun: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|place| place.noun() == noun)
    }
}

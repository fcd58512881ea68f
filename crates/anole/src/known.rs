//! Codes that a person types: what there is stands in the error.

use anole_event::{Reason, State};

/// A state's code.
pub(crate) fn state(text: &str) -> Result<State, String> {
    State::from_code(text).ok_or_else(|| no("state", text, State::ALL.iter().map(|state| state.as_str())))
}

/// A reason's code.
pub(crate) fn reason(text: &str) -> Result<Reason, String> {
    Reason::from_code(text).ok_or_else(|| no("reason", text, Reason::ALL.iter().map(|reason| reason.as_str())))
}

fn no(what: &str, text: &str, known: impl Iterator<Item = &'static str>) -> String {
    format!("`{text}` is no {what}; there are: {}", known.collect::<Vec<_>>().join(", "))
}

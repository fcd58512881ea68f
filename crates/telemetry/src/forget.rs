//! Signals of forgetting a person. None of them names an id.

use std::fmt::Display;
use std::path::PathBuf;

use crate::{Signal, Telemetry};

/// Somebody was forgotten.
#[derive(Debug)]
pub struct Forgotten<'a> {
    /// Events of the journal.
    pub events: u64,
    /// Parked and deferred sends.
    pub kept: u64,
    /// Entries of the identity map.
    pub identities: u64,
    /// Sends of the delivery log.
    pub sends: u64,
    /// Copies that may still hold them.
    pub left: &'a [PathBuf],
}

/// Somebody could not be forgotten yet; it is tried again.
#[derive(Debug)]
pub struct ForgettingFailed<E> {
    /// Why.
    pub error: E,
}

impl Signal for Forgotten<'_> {
    fn emit(self, _: &Telemetry) {
        let Self { events, kept, identities, sends, left } = self;
        tracing::info!(events, kept, identities, sends, "a person was forgotten: journal, state and delivery log");
        for file in left {
            tracing::warn!(file = %file.display(), "this copy may still hold who was forgotten: remove it");
        }
    }
}

impl<E: Display> Signal for ForgettingFailed<E> {
    fn emit(self, _: &Telemetry) {
        tracing::error!(error = %self.error, "a person could not be forgotten yet; it is tried again, also by the next start");
    }
}

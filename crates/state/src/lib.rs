//! What must never be lost beside the journal: progress, parked, deferred, lanes, identities.

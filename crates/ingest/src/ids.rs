//! Ids that are made here.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use anole_event::{Random, Timestamp, uuid_v7};
use uuid::Uuid;

/// Makes ids: message ids where the client sent none, and visitors' where there is no cookie yet.
pub(crate) struct Ids(Mutex<Box<dyn Random>>);

// === impl Ids ===

impl Ids {
    pub(crate) fn new(random: Box<dyn Random>) -> Self {
        Self(Mutex::new(random))
    }

    /// A message id, which sorts by the time it was made.
    pub(crate) fn message_id(&self, at: Timestamp) -> String {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uuid_v7(at, &mut **random).to_string()
    }

    /// A visitor's id. Random throughout: a cookie should not say when its owner came first.
    pub(crate) fn visitor(&self) -> Uuid {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = [0_u8; 16];
        bytes[..8].copy_from_slice(&random.next().to_le_bytes());
        bytes[8..].copy_from_slice(&random.next().to_le_bytes());
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids").finish_non_exhaustive()
    }
}

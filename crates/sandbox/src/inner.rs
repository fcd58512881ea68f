//! What the endpoints share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anole_http::{Clock, Shutdown};
use http::StatusCode;
use tokio::sync::watch;

use crate::fault::Faults;
use crate::judge::Judge;
use crate::options::Options;
use crate::store::Store;
use crate::token::Tokens;

/// What the endpoints share.
pub(crate) struct Inner {
    pub(crate) strict: bool,
    pub(crate) refuse_lost: bool,
    pub(crate) require_token: bool,
    pub(crate) sink: bool,
    pub(crate) success: StatusCode,
    pub(crate) sites: Option<BTreeSet<String>>,
    pub(crate) judge: Judge,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: Shutdown,
    /// Counts up with everything that changes what a caller may look at.
    pub(crate) changed: watch::Sender<u64>,
    /// Counts up when faults are healed; hanging requests wait for it.
    pub(crate) healed: watch::Sender<u64>,
    requests: AtomicU64,
    state: Mutex<State>,
}

/// What changes.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    pub(crate) tokens: Tokens,
}

// === impl Inner ===

impl Inner {
    pub(crate) fn new(options: &Options, success: StatusCode, stop: Shutdown) -> Self {
        Self {
            strict: options.strict,
            refuse_lost: options.refuse_lost,
            require_token: options.require_token,
            sink: options.sink,
            success,
            sites: options.sites.clone(),
            judge: Judge::new(options),
            clock: Arc::clone(&options.clock),
            stop,
            changed: watch::Sender::new(0),
            healed: watch::Sender::new(0),
            requests: AtomicU64::new(0),
            state: Mutex::new(State {
                store: Store::new(options.keep_bytes, options.keep_events),
                faults: Faults::default(),
                tokens: Tokens::new(options.client.clone(), options.token_life),
            }),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves counters at worst one short; the stand-in goes on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn tell_changed(&self) {
        self.changed.send_modify(|revision| *revision += 1);
    }

    pub(crate) fn heal(&self, id: Option<u64>) -> bool {
        let found = {
            let mut state = self.state();
            match id {
                Some(id) => state.faults.heal(id),
                None => {
                    state.faults.heal_all();
                    true
                }
            }
        };
        self.healed.send_modify(|revision| *revision += 1);
        self.tell_changed();
        found
    }

    /// Waits until faults are healed or the sandbox stops.
    pub(crate) async fn until_healed(&self) {
        let mut healed = self.healed.subscribe();
        tokio::select! {
            // An error would mean that the sender is gone, which `self` holds.
            _changed = healed.changed() => {}
            () = self.stop.wait() => {}
        }
    }
}

//! What an endpoint may be asked: silence, and the breaker as its policy says it, written down a second time.

use std::time::Duration;

use anole_delivery::RequestId;
use anole_event::Mono;

/// Failures in a row after which a breaker is open.
const IN_A_ROW: u32 = 5;
/// The longest step of its waits.
const LAST: u64 = 60;
/// For so long after a 429 requests are spaced.
const SPACED: Duration = Duration::from_secs(10 * 60);

/// One endpoint in one life.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) silent_until: Mono,
    /// Failures in a row of requests that were made while it was closed.
    in_a_row: u32,
    open: Option<Open>,
    /// When its breaker was open last, or requests were spaced.
    held_until: Mono,
}

#[derive(Debug)]
struct Open {
    /// How often it has opened in a row.
    times: u32,
    since: Mono,
    probe: Option<RequestId>,
}

// === impl Health ===

impl Health {
    pub(crate) fn new(silent_until: Mono) -> Self {
        Self { silent_until, in_a_row: 0, open: None, held_until: Mono::default() }
    }

    /// A request is made.
    pub(crate) fn sends(&mut self, now: Mono, request: RequestId) -> Result<(), String> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.probe.is_some() {
            return Err("a second request is made while a breaker's probe is under way".to_owned());
        }
        let step = Duration::from_secs((1 << (open.times - 1).min(6)).min(LAST));
        let waited = now.since(open.since);
        if waited < step / 2 {
            return Err(format!("a breaker that opened for the {}. time is probed after {waited:?}", open.times));
        }
        open.probe = Some(request);
        Ok(())
    }

    /// A request has ended.
    pub(crate) fn hears(&mut self, now: Mono, request: RequestId, (is_429, is_deferred): (bool, bool), is_retry: bool) {
        let is_neutral = is_429 || (is_deferred && is_retry);
        if is_429 {
            self.held_until = self.held_until.max(now.after(SPACED));
        }
        match &mut self.open {
            None if is_neutral => {}
            None => self.in_a_row = if is_retry { self.in_a_row + 1 } else { 0 },
            Some(open) if open.probe == Some(request) => {
                open.probe = None;
                if is_retry {
                    // What is neutral lets it wait for as long as before.
                    (open.times, open.since) = (open.times + u32::from(!is_neutral), now);
                }
            }
            Some(_) => {}
        }
    }

    /// After an answer: the machine says that its breaker has moved.
    pub(crate) fn moved(&mut self, now: Mono, open: bool) -> Result<(), String> {
        match (&self.open, open) {
            (None, true) => self.open = Some(Open { times: 1, since: now, probe: None }),
            (Some(Open { probe: None, .. }), false) => {
                (self.open, self.held_until) = (None, self.held_until.max(now));
            }
            (was, is) => return Err(format!("a breaker is said to be open: {is}, and was {was:?}")),
        }
        self.in_a_row = 0;
        Ok(())
    }

    /// After what the machine said to an answer: whether it has opened when it had to.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.open.is_none() && self.in_a_row >= IN_A_ROW {
            return Err(format!("{} failures in a row, and the breaker is closed", self.in_a_row));
        }
        Ok(())
    }

    /// Whether a batch that failed then may have waited for more than its ladder.
    pub(crate) fn held_since(&self, at: Mono) -> bool {
        self.open.is_some() || self.held_until >= at
    }
}

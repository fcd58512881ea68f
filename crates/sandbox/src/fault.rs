//! Faults on request: how the sandbox imitates a vendor on a bad day.
//!
//! Faults are set by `POST /_sandbox/faults` (one object, or a list), listed by `GET`, and healed by `DELETE` (all) or
//! `DELETE /_sandbox/faults?id=N` (one). They are looked at in the order they were set: delays add up, and the first
//! one that decides the answer ends the search. A fault that does nothing, or two deciding things at once, is refused.
//!
//! ```json
//! {"status": 503, "retry_after": 5, "times": 3}
//! {"status": 429, "retry_after": "Wed, 21 Oct 2026 07:28:00 GMT", "site": "f17c21u1ag"}
//! {"delay_ms": 2000}
//! {"hang": true, "times": 1}
//! {"reset": "head", "processed": true}
//! {"poison": {"goals": [36151], "fraction": 0.01}}
//! {"rate": 10, "retry_after": 1}
//! {"lose": true}
//! {"status": 500, "on": "token"}
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `status` | answer this status, 300 to 599; with `poison` 400 and with `rate` 429 unless given |
//! | `retry_after` | the header of that name: seconds, or any text |
//! | `delay_ms` | wait before the answer |
//! | `hang` | take the request and never answer; healing closes the connection |
//! | `reset` | `head`: close before the answer; `body`: close in the middle of its body |
//! | `lose` | answer success and lose the events, as the real endpoint does with what it cannot use |
//! | `poison` | refuse batches with a marked event: `nonces`, `goals`, `visitors`, or a `fraction` of all nonces, always the same ones |
//! | `rate` | requests per second that may pass, per token or else per address; a second's worth at once |
//! | `processed` | take the events in before the fault: the answer is lost, not the work |
//! | `site` | only requests of this site code |
//! | `on` | `events` (default), `token` or `all` |
//! | `times` | how many requests it hits before it is gone; until healed when absent |

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use anole_http::Clock;
use serde::{Deserialize, Serialize};

/// Callers whose rate is remembered; beyond it all start anew.
const CALLERS: usize = 10_000;

/// Faults that may be set at once.
const MOST: usize = 100;

/// A fault. `Fault { status: Some(500), ..Fault::default() }` answers 500 until it is healed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Answer this status, 300 to 599.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `Retry-After` of that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<RetryAfter>,
    /// Wait so long before the answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Never answer.
    #[serde(skip_serializing_if = "is_false")]
    pub hang: bool,
    /// Close the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
    /// Answer success and lose the events.
    #[serde(skip_serializing_if = "is_false")]
    pub lose: bool,
    /// Refuse batches that hold a marked event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
    /// Let so many requests per second pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Take the events in before the fault strikes.
    #[serde(skip_serializing_if = "is_false")]
    pub processed: bool,
    /// Only requests of this site code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Which endpoint.
    #[serde(skip_serializing_if = "is_events")]
    pub on: On,
    /// How many requests it hits before it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// The value of a `Retry-After` header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u64),
    /// An HTTP date, or whatever nonsense is to be tested.
    Text(String),
}

/// Where the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// Before the answer.
    Head,
    /// In the middle of the answer's body.
    Body,
}

/// Which events poison their batch: those that match any of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Poison {
    /// Nonces.
    pub nonces: BTreeSet<String>,
    /// Goal ids.
    pub goals: BTreeSet<i64>,
    /// Visitor codes.
    pub visitors: BTreeSet<String>,
    /// This part of all nonces, 0 to 1, chosen by hash: a poisoned event stays poisoned when it is sent again.
    pub fraction: f64,
}

/// Which endpoint a fault is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The events endpoint.
    #[default]
    Events,
    /// The token endpoint.
    Token,
    /// Both.
    All,
}

/// A fault that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultError(String);

/// A fault that is set.
#[derive(Clone, Debug, Serialize)]
pub struct ActiveFault {
    /// Its number, for healing it alone.
    pub id: u64,
    /// How many requests it has hit.
    pub hits: u64,
    /// How many more it will hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// What it does.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What is asked about a request.
pub(crate) struct Question<'a> {
    pub(crate) on: On,
    pub(crate) site: Option<&'a str>,
    /// The token, or else the address.
    pub(crate) caller: &'a str,
    /// Nonce, goal and visitor code of each event.
    pub(crate) marks: &'a dyn Fn() -> Vec<Mark>,
}

/// What poison looks at.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    pub(crate) nonce: Option<String>,
    pub(crate) goal: Option<i64>,
    pub(crate) visitor: Option<String>,
}

/// What the faults make of a request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) end: Option<End>,
    /// Whether the events are taken in all the same.
    pub(crate) processed: bool,
}

/// How a fault ends a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Status(u16, Option<RetryAfter>),
    Hang,
    Reset(Reset),
    Lose,
}

/// The faults that are set.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<Active>,
    next: u64,
}

#[derive(Debug)]
struct Active {
    shown: ActiveFault,
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: anole_http::Mono,
}

// === impl Fault ===

impl Fault {
    /// Whether it makes sense.
    ///
    /// # Errors
    ///
    /// A sentence that says why it does not.
    pub fn check(&self) -> Result<(), FaultError> {
        let wrong = |text: &str| Err(FaultError(text.to_owned()));
        if self.status.is_some_and(|status| !(300..600).contains(&status)) {
            return wrong("status must be from 300 to 599: for a success that loses the events, set lose");
        }
        if let Some(poison) = &self.poison {
            if !(0.0..=1.0).contains(&poison.fraction) {
                return wrong("poison.fraction must be from 0 to 1");
            }
            if *poison == Poison::default() {
                return wrong("poison names no event: give nonces, goals, visitors or a fraction");
            }
        }
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return wrong("rate must be above 0: requests per second");
        }
        if self.times == Some(0) {
            return wrong("times must be at least 1; leave it out for a fault that stays");
        }
        let ways = [self.status.is_some(), self.hang, self.reset.is_some(), self.lose];
        match ways.iter().filter(|way| **way).count() {
            0 if self.poison.is_none() && self.rate.is_none() && self.delay_ms.is_none() => {
                wrong("the fault does nothing: give status, delay_ms, hang, reset, lose, poison or rate")
            }
            0 | 1 => Ok(()),
            _ => wrong("status, hang, reset and lose exclude each other"),
        }
    }

    /// How it ends a request that it hits; `None` when it only delays.
    fn end(&self) -> Option<End> {
        if self.hang {
            Some(End::Hang)
        } else if let Some(reset) = self.reset {
            Some(End::Reset(reset))
        } else if self.lose {
            Some(End::Lose)
        } else {
            let implied = if self.rate.is_some() {
                Some(429)
            } else if self.poison.is_some() {
                Some(400)
            } else {
                None
            };
            self.status.or(implied).map(|status| End::Status(status, self.retry_after.clone()))
        }
    }
}

// === impl Poison ===

impl Poison {
    fn marks(&self, event: &Mark) -> bool {
        let named = |names: &BTreeSet<String>, name: &Option<String>| name.as_ref().is_some_and(|n| names.contains(n));
        named(&self.nonces, &event.nonce)
            || named(&self.visitors, &event.visitor)
            || event.goal.is_some_and(|goal| self.goals.contains(&goal))
            || event.nonce.as_ref().is_some_and(|nonce| part(nonce) < self.fraction)
    }
}

/// A place from 0 to 1 that belongs to a nonce.
fn part(nonce: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    nonce.hash(&mut hasher);
    // 32 bits are fine enough for a fraction, and exact in a float.
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

// === impl Faults ===

impl Faults {
    pub(crate) fn set(&mut self, fault: Fault) -> Result<u64, FaultError> {
        fault.check()?;
        if self.active.len() >= MOST {
            return Err(FaultError(format!("{MOST} faults are set already: heal some")));
        }
        self.next += 1;
        let shown = ActiveFault { id: self.next, hits: 0, left: fault.times, fault };
        self.active.push(Active { shown, buckets: HashMap::new() });
        Ok(self.next)
    }

    /// Heals one fault; false when there is none of this number.
    pub(crate) fn heal(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|active| active.shown.id != id);
        self.active.len() < before
    }

    pub(crate) fn heal_all(&mut self) {
        self.active.clear();
    }

    pub(crate) fn list(&self) -> Vec<ActiveFault> {
        self.active.iter().map(|active| active.shown.clone()).collect()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// What becomes of a request.
    pub(crate) fn plan(&mut self, question: &Question<'_>, clock: &dyn Clock) -> Plan {
        let mut plan = Plan::default();
        for active in &mut self.active {
            if !active.concerns(question) || !active.strikes(question, clock) {
                continue;
            }
            active.shown.hits += 1;
            if let Some(left) = &mut active.shown.left {
                *left -= 1;
            }
            let fault = &active.shown.fault;
            plan.delay += Duration::from_millis(fault.delay_ms.unwrap_or(0));
            if let Some(end) = fault.end() {
                plan.processed = fault.processed || end == End::Lose;
                plan.end = Some(end);
                break;
            }
        }
        self.active.retain(|active| active.shown.left != Some(0));
        plan
    }
}

// === impl Active ===

impl Active {
    fn concerns(&self, question: &Question<'_>) -> bool {
        let fault = &self.shown.fault;
        (fault.on == On::All || fault.on == question.on)
            && fault.site.as_deref().is_none_or(|site| question.site == Some(site))
    }

    fn strikes(&mut self, question: &Question<'_>, clock: &dyn Clock) -> bool {
        let poison = self.shown.fault.poison.as_ref();
        if poison.is_some_and(|poison| !(question.marks)().iter().any(|event| poison.marks(event))) {
            return false;
        }
        match self.shown.fault.rate {
            Some(rate) => !self.passes(question.caller, rate, clock),
            None => true,
        }
    }

    fn passes(&mut self, caller: &str, rate: f64, clock: &dyn Clock) -> bool {
        if self.buckets.len() >= CALLERS && !self.buckets.contains_key(caller) {
            self.buckets.clear();
        }
        let (now, size) = (clock.mono(), rate.max(1.0));
        let bucket = self.buckets.entry(caller.to_owned()).or_insert(Bucket { tokens: size, filled: now });
        bucket.tokens = (bucket.tokens + now.since(bucket.filled).as_secs_f64() * rate).min(size);
        bucket.filled = now;
        let passes = bucket.tokens >= 1.0;
        if passes {
            bucket.tokens -= 1.0;
        }
        passes
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_events(on: &On) -> bool {
    *on == On::Events
}

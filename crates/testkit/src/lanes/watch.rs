//! Looks at every request that a lane makes in one life, and at what it does while it makes none.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anole_delivery::{Outgoing, RequestId};
use anole_event::{Mono, Now, Timestamp};
use anole_pipeline::EndpointKey;

use super::halves::Searches;
use super::health::Health;
use super::ledger::Ledger;
use super::plan::{Version, endpoint, endpoint_of, item, read_item};
use super::script::{Script, SendId};

/// The ladder's last step.
const LONGEST_LADDER: Duration = Duration::from_secs(5 * 60);
/// The most sends of a probe.
const PROBE: usize = 10;
/// Single sends refused in a row, none accepted, after which a lane pauses.
const REFUSED_IN_A_ROW: usize = 8;
/// Failures after which a batch may be halved.
const FAILURES: u32 = 5;
/// A batch that is due may find its place taken, by a part of another one, for as long as a request may take.
const TAKEN: Duration = Duration::from_secs(31);
/// More bytes than any item has that fits.
const LARGEST_ITEM: usize = 130;

/// Why a lane stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Person,
    Answer,
    Refusals,
}

/// What an answer means by the plan's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Taken,
    Refused,
    Retry,
    Pause,
    Auth,
}

#[derive(Debug)]
struct Sent {
    sends: Vec<SendId>,
    probe: bool,
    /// The pauses that there had been.
    pauses: u64,
    answer: Option<(Kind, Mono)>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    cause: Cause,
    since: Mono,
    last_probe: Option<Mono>,
}

/// What was seen of one life.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) life: u32,
    inflight: usize,
    probe_every: Duration,
    paused: Option<Pause>,
    pub(crate) person: bool,
    pauses: u64,
    pub(crate) draining: bool,
    /// What is known of each endpoint.
    pub(crate) endpoints: Vec<Health>,
    /// Nothing expires before this.
    pub(crate) suspended_until: Mono,
    requests: HashMap<RequestId, Sent>,
    pub(crate) flights: BTreeMap<RequestId, u64>,
    last_request: HashMap<SendId, RequestId>,
    pub(crate) offered_at: HashMap<SendId, Mono>,
    refused_in_a_row: usize,
    pub(crate) searches: Searches,
    /// How often each send was in a request that failed.
    failures: HashMap<SendId, u32>,
    /// Requests with sends that had been in one before.
    again: u64,
    /// How many of those there may be.
    allowed: u64,
}

/// What a check must know beside what it has seen.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) script: &'a Script,
    pub(crate) version: &'a Version,
    pub(crate) received: &'a [Timestamp],
}

// === impl Kind ===

impl Kind {
    pub(crate) const fn of(status: Option<u16>) -> Self {
        match status {
            Some(200..=299) => Self::Taken,
            Some(401) => Self::Auth,
            Some(403 | 404 | 300..=399) => Self::Pause,
            Some(400 | 422) => Self::Refused,
            _ => Self::Retry,
        }
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(life: u32, script: &Script, silences: &[Mono]) -> Self {
        Self {
            life,
            inflight: script.options.inflight,
            probe_every: script.options.probe_every,
            paused: None,
            person: false,
            pauses: 0,
            draining: false,
            endpoints: silences.iter().map(|until| Health::new(*until)).collect(),
            suspended_until: Mono::default(),
            requests: HashMap::new(),
            flights: BTreeMap::new(),
            last_request: HashMap::new(),
            offered_at: HashMap::new(),
            refused_in_a_row: 0,
            searches: Searches::default(),
            failures: HashMap::new(),
            again: 0,
            allowed: 0,
        }
    }

    /// A request is made. Gives back its sends.
    pub(crate) fn request(
        &mut self,
        now: Now,
        known: Known<'_>,
        ledger: &mut Ledger,
        outgoing: &Outgoing,
    ) -> Result<Vec<SendId>, String> {
        let sends = self.read(known, ledger, outgoing)?;
        let endpoint = endpoint_of(outgoing.address.id, self.endpoints.len());
        let probe = self.may_send(now.mono, sends.len(), endpoint)?;
        self.endpoints[endpoint].sends(now.mono, outgoing.request)?;
        let address = usize::try_from(outgoing.address.id).unwrap_or_default();
        for &send in &sends {
            let spec = &known.script.sends[send];
            if spec.address != address {
                return Err(format!("send {send} goes to address {address}"));
            }
            let expires_at = ledger.expires_at(known.received[spec.event], send, known.script);
            if expires_at.is_some_and(|at| at <= now.wall) && now.mono >= self.suspended_until {
                return Err(format!("send {send} goes out, and has expired"));
            }
        }
        for other in self.flights.keys() {
            let has_key = |send: &SendId| {
                let key = known.script.sends[*send].key;
                self.requests[other].sends.iter().any(|there| known.script.sends[*there].key == key)
            };
            if let Some(send) = sends.iter().find(|send| has_key(send)) {
                return Err(format!("the order key of send {send} is in request {other} already, which is under way"));
            }
        }
        if !matches!(sends[..], [send] if ledger.is_set_aside(send)) {
            self.succeeds(now.mono, known, outgoing, &sends)?;
        }
        self.again += u64::from(sends.iter().any(|send| self.last_request.contains_key(send)));
        if self.again > self.allowed {
            return Err(format!("{} requests are repetitions, and {} had a cause", self.again, self.allowed));
        }
        for &send in &sends {
            self.last_request.insert(send, outgoing.request);
        }
        let sent = Sent { sends: sends.clone(), probe, pauses: self.pauses, answer: None };
        self.requests.insert(outgoing.request, sent);
        self.flights.insert(outgoing.request, outgoing.address.id);
        Ok(sends)
    }

    /// The body is what the plan made, within its limits, in order.
    fn read(&self, known: Known<'_>, ledger: &mut Ledger, outgoing: &Outgoing) -> Result<Vec<SendId>, String> {
        let items: Vec<&str> = serde_json::from_slice(&outgoing.body).map_err(|error| format!("the body: {error}"))?;
        let limits = known.version.limits;
        if items.is_empty() || items.len() > limits.events || outgoing.body.len() > limits.bytes {
            return Err(format!("a request has {} sends and {} bytes", items.len(), outgoing.body.len()));
        }
        let mut sends = Vec::with_capacity(items.len());
        let mut last: HashMap<u64, SendId> = HashMap::new();
        for text in items {
            let (send, nonce) = read_item(text).ok_or_else(|| format!("{text} is no item"))?;
            ledger.goes_out(send, nonce, self.life, known.script)?;
            let spec = known.script.sends.get(send).ok_or("a send that nobody offered")?;
            if item(send, spec, known.version.number) != format!("\"{text}\"") {
                return Err(format!("send {send} goes out as {text}, which is not what the plan made"));
            }
            if last.insert(spec.key, send).is_some_and(|before| before >= send) {
                return Err(format!("send {send} stands behind a later one of its order key"));
            }
            sends.push(send);
        }
        Ok(sends)
    }

    /// Whether anything may be sent now; gives back whether it is a probe.
    fn may_send(&mut self, now: Mono, sends: usize, endpoint: usize) -> Result<bool, String> {
        if self.draining {
            return Err("a request is made while the lane ends".to_owned());
        }
        let silent_until = self.endpoints[endpoint].silent_until;
        if now < silent_until {
            let early = silent_until.since(now);
            return Err(format!("a request is made {early:?} before the time that the vendor has named"));
        }
        if self.person {
            return Err("a request is made while a person has paused the lane".to_owned());
        }
        let there = self.flights.values().filter(|id| endpoint_of(**id, self.endpoints.len()) == endpoint).count();
        if there >= self.inflight {
            return Err(format!("{there} requests to an endpoint are under way, and one more is made"));
        }
        let under_way = self.flights.len();
        let Some(pause) = &mut self.paused else { return Ok(false) };
        let most = if pause.cause == Cause::Refusals { 1 } else { PROBE };
        let due = pause.last_probe.unwrap_or(pause.since).after(self.probe_every);
        if sends > most || now < due || under_way > 0 {
            return Err(format!(
                "a request of {sends} while the lane is paused ({:?}), {:?} too early, {under_way} under way",
                pause.cause,
                due.since(now)
            ));
        }
        pause.last_probe = Some(now);
        // One that brings the batch of the probe to an end, if the probe did not.
        self.allowed += 1;
        Ok(true)
    }

    /// What was sent before comes again whole, or in parts if it was refused; what is new was due.
    fn succeeds(&self, now: Mono, known: Known<'_>, outgoing: &Outgoing, sends: &[SendId]) -> Result<(), String> {
        let before: Vec<_> = sends.iter().map(|send| self.last_request.get(send).copied()).collect();
        for request in before.iter().flatten() {
            match self.requests[request].answer {
                Some((Kind::Taken, _)) => return Err(format!("what request {request} delivered is sent again")),
                Some(_) => {}
                None => return Err(format!("what is under way in request {request} is sent again")),
            }
        }
        let Some(first) = before[0] else { return self.is_due(now, known, outgoing, sends) };
        let last = &self.requests[&first];
        let Some((kind, at)) = last.answer else { return Ok(()) };
        // A pause cuts batches short and puts them together again, and people may let a lane wait.
        if last.pauses != self.pauses || self.paused.is_some() || last.probe {
            return Ok(());
        }
        if before.iter().any(|request| *request != Some(first)) {
            return Err(format!("what request {first} held travels with others"));
        }
        let is_smaller = sends.len() < last.sends.len();
        let is_right = match kind {
            Kind::Retry if self.may_halve(&last.sends) && is_smaller && !known.script.has_expiry => {
                last.sends.windows(sends.len()).any(|part| part == sends)
            }
            // What has expired meanwhile is left out.
            _ if known.script.has_expiry => {
                let mut there = last.sends.iter();
                (kind != Kind::Refused || is_smaller || sends.len() == 1)
                    && sends.iter().all(|send| there.any(|known| known == send))
            }
            Kind::Refused => is_smaller && last.sends.windows(sends.len()).any(|part| part == sends),
            _ => last.sends == sends,
        };
        if !is_right {
            return Err(format!("request {first} ({kind:?}) had {:?} and comes again as {sends:?}", last.sends));
        }
        let endpoint = &self.endpoints[endpoint_of(outgoing.address.id, self.endpoints.len())];
        let latest = at.after(LONGEST_LADDER).max(endpoint.silent_until);
        // What is to be halved waits for its turn.
        let takes_turns = self.may_halve(&last.sends);
        if kind == Kind::Retry && !takes_turns && !endpoint.held_since(at) && now > latest.after(TAKEN) {
            return Err(format!("request {first} comes again {:?} too late", now.since(latest)));
        }
        Ok(())
    }

    /// Whether a batch has failed so often that it may be halved.
    fn may_halve(&self, sends: &[SendId]) -> bool {
        sends.iter().all(|send| self.failures.get(send).is_some_and(|failures| *failures >= FAILURES))
    }

    /// A batch that is new is full, or has waited as long as it may.
    fn is_due(&self, now: Mono, known: Known<'_>, outgoing: &Outgoing, sends: &[SendId]) -> Result<(), String> {
        let limits = known.version.limits;
        let is_full = sends.len() >= limits.events || outgoing.body.len() + LARGEST_ITEM > limits.bytes;
        let has_waited = sends
            .iter()
            .any(|send| self.offered_at.get(send).is_some_and(|offered| now.since(*offered) >= limits.wait));
        if is_full || has_waited || self.pauses > 0 || known.script.has_expiry {
            return Ok(());
        }
        Err(format!("a batch of {} goes out that is not full and has not waited", sends.len()))
    }

    /// A request has ended.
    pub(crate) fn answered(
        &mut self,
        now: Now,
        request: RequestId,
        (status, silent_until): (Option<u16>, Mono),
        ledger: &mut Ledger,
    ) -> Result<Kind, String> {
        let kind = Kind::of(status);
        if let Some(address) = self.flights.remove(&request) {
            let endpoint = endpoint_of(address, self.endpoints.len());
            let endpoint = &mut self.endpoints[endpoint];
            endpoint.silent_until = endpoint.silent_until.max(silent_until);
            let sends = self.requests.get(&request).map(|sent| &sent.sends[..]).unwrap_or_default();
            let is_deferred = matches!(sends, [send] if ledger.is_deferred(*send, self.life));
            endpoint.hears(now.mono, request, (status == Some(429), is_deferred), kind == Kind::Retry);
        }
        let Some(sent) = self.requests.get_mut(&request) else { return Ok(kind) };
        sent.answer = Some((kind, now.mono));
        if kind == Kind::Retry && status != Some(429) {
            for send in &sent.sends {
                *self.failures.entry(*send).or_default() += 1;
            }
            if let [send] = sent.sends[..] {
                ledger.failed_alone(send);
            }
        }
        let halves = sent.sends.len() > 1
            && sent.sends.iter().all(|send| self.failures.get(send).is_some_and(|failures| *failures >= FAILURES));
        self.allowed += match kind {
            Kind::Retry if halves => 2,
            Kind::Taken => 0,
            Kind::Refused if sent.sends.len() > 1 => 2,
            // A single send that is refused by a probe is kept, and one that failed comes again.
            Kind::Refused => u64::from(sent.probe),
            _ => 1,
        };
        let is_kept = sent.probe && self.paused.is_some_and(|pause| pause.cause == Cause::Refusals);
        match kind {
            Kind::Taken => self.refused_in_a_row = 0,
            Kind::Refused if is_kept => return Ok(kind),
            Kind::Refused => {
                if let [send] = sent.sends[..] {
                    ledger.refused_alone(send);
                    // A probe lets the lane go on, or is one more when a person has paused it meanwhile.
                    // What was deferred was found by failures, and says nothing of the mapping.
                    self.refused_in_a_row += usize::from(!sent.probe && !ledger.is_set_aside(send));
                }
            }
            _ => return Ok(kind),
        }
        if self.refused_in_a_row >= REFUSED_IN_A_ROW + self.inflight * self.endpoints.len() {
            return Err(format!("{} sends were refused in a row, and the lane goes on", self.refused_in_a_row));
        }
        // What has failed as often as that is halved for it, as a probe is cut short.
        let is_cut = sent.probe || halves || self.failures.get(&sent.sends[0]).is_some_and(|times| *times >= FAILURES);
        self.searches.decided(&sent.sends, kind == Kind::Refused, is_cut)?;
        Ok(kind)
    }

    /// The machine says that an endpoint's breaker opened or closed.
    pub(crate) fn breaker_moved(&mut self, now: Mono, key: &EndpointKey, open: bool) -> Result<(), String> {
        let number = (0..self.endpoints.len()).find(|number| endpoint(*number) == *key);
        self.endpoints[number.ok_or("a breaker of an unknown endpoint")?].moved(now, open)
    }

    pub(crate) fn paused(&mut self, now: Mono, cause: Cause) {
        self.pauses += 1;
        self.paused = Some(Pause { cause, since: now, last_probe: None });
    }

    /// The lane goes on. `asked`: a person has said so.
    pub(crate) fn resumed(&mut self, asked: bool) -> Result<(), String> {
        self.pauses += 1;
        self.refused_in_a_row = 0;
        self.paused = None;
        if self.person && !asked {
            return Err("the lane goes on by itself, and a person had paused it".to_owned());
        }
        Ok(())
    }

    /// A person lets it go on, whether it was paused or not.
    pub(crate) const fn asked_to_go_on(&mut self) {
        self.person = false;
        self.refused_in_a_row = 0;
    }

    pub(crate) const fn is_paused(&self) -> bool {
        self.paused.is_some()
    }
}

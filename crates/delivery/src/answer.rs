//! What a lane does with a vendor's answer. The policy stands in [`crate::machine`].

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use anole_event::{Attempt, Decision, DeliveryError, ErrorSource, MAX_ANSWER_BODY, Now, Outcome, Reason, State};
use anole_pipeline::{EndpointKey, Verdict};

use crate::batcher::{Batch, Item};
use crate::breaker::Health;
use crate::lane::{Answered, Command, RequestId};
use crate::machine::{Flight, Machine, PauseCause};
use crate::retry::retry_after;

/// Single sends refused in a row, none accepted, after which it is the mapping.
const REFUSED_IN_A_ROW: u32 = 8;
/// Tokens refused in a row for one batch, after which it is the credentials.
const TOKENS_REFUSED: u32 = 3;

// === impl Machine ===

impl Machine {
    pub(crate) fn answer(&mut self, now: Now, request: RequestId, answered: Answered, commands: &mut Vec<Command>) {
        let Some(flight) = self.flights.remove(&request) else { return };
        let of_items = item_ends(&flight.batch, &answered);
        let verdict = judge(&flight.batch, &answered);
        let decided = of_items.is_none().then_some(verdict.decision);
        self.note_health(now, &flight, &answered, decided, commands);
        if let Some(ends) = of_items {
            return self.answer_each(now, flight, answered, &ends, commands);
        }
        let Flight { mut batch, probe, of_refusals, .. } = flight;
        let mut decision = decide(verdict.decision, &batch);
        let detail = detail(&verdict, &answered);
        let is_429 = answered.status == Some(429);
        let fails_alone = decision == Decision::Retry && !is_429 && self.fails_alone(&mut batch);
        if fails_alone && batch.items.len() > 1 {
            decision = Decision::Split;
        }
        let attempt = attempt(&batch, answered, decision, &detail);
        let ends = match decision {
            Decision::Retry if fails_alone => Some(Self::fails_alone_as(&batch, &detail)),
            _ => ends(decision, &batch, &detail),
        };
        // A probe of a lane that is paused because everything is refused must not park what it is sent with.
        let keep = of_refusals && matches!(decision, Decision::Park | Decision::Split);
        let ends = if keep { None } else { ends };
        self.settle_attempt(now, &batch, attempt, &|item: &Item| end_of(item, ends.as_ref()), commands);
        if keep {
            self.endpoints.push_front(batch);
            return;
        }
        if probe && matches!(decision, Decision::Delivered | Decision::Split | Decision::Park) {
            self.resume(commands);
        }
        match decision {
            Decision::Delivered => {
                self.refused_in_a_row = 0;
                self.end(now, &batch);
            }
            Decision::Park => {
                self.end(now, &batch);
                // What was deferred says nothing of the mapping: it was found by failures.
                if !batch.is_deferred() {
                    self.count_refusal(now, commands);
                }
            }
            Decision::Split => self.split(batch),
            Decision::Retry if fails_alone => self.end(now, &batch),
            Decision::Retry => {
                batch.failed += u32::from(!is_429);
                self.retry(now, batch);
            }
            Decision::RefreshAuth => self.refresh(now, batch, &detail, commands),
            Decision::Pause => {
                let cause = (PauseCause::Answer, Some(batch.address.endpoint.clone()));
                self.endpoints.push_front(batch);
                self.pause(now, cause, detail.into(), commands);
            }
        }
    }

    /// An answer that says of each item what became of it: what was taken or refused has ended, the rest is sent again. A
    /// send that is sent again may have been overtaken by later ones of its order key: the vendor has taken those already.
    fn answer_each(
        &mut self,
        now: Now,
        Flight { mut batch, probe, of_refusals, .. }: Flight,
        answered: Answered,
        ends: &[Option<Outcome>],
        commands: &mut Vec<Command>,
    ) {
        let ends = &*self.bounded(&mut batch, ends);
        let count = |reason| ends.iter().flatten().filter(|outcome| outcome.reason == reason).count();
        let (delivered, refused) = (count(Reason::Accepted), count(Reason::Refused));
        let paused_by_refusals = self.paused.as_ref().is_some_and(|paused| paused.cause == PauseCause::Refusals);
        let keep = (of_refusals || paused_by_refusals) && delivered == 0;
        let decision = match (refused, delivered + refused == ends.len()) {
            _ if keep => Decision::Park,
            (_, false) => Decision::Retry,
            (0, true) => Decision::Delivered,
            (_, true) => Decision::Park,
        };
        let detail = format!("{delivered} taken, {refused} refused of {}", ends.len());
        let attempt = attempt(&batch, answered, decision, &detail);
        // It is asked of the items in their order, which is that of the ends.
        let turn = Cell::new(0);
        let end = |item: &Item| {
            let at = turn.replace(turn.get() + 1);
            if keep { None } else { end_of(item, ends.get(at)?.as_ref()) }
        };
        self.settle_attempt(now, &batch, attempt, &end, commands);
        if keep {
            self.endpoints.push_front(batch);
            return;
        }
        if probe && delivered + refused > 0 {
            self.resume(commands);
        }
        let mut rest = Vec::new();
        for (item, end) in std::mem::take(&mut batch.items).into_iter().zip(ends) {
            match end {
                Some(_) => self.batcher.release(now.mono, item.subject.order_key, &mut self.closed),
                None => rest.push(item),
            }
        }
        if delivered > 0 {
            self.refused_in_a_row = 0;
        } else {
            (0..refused).for_each(|_| self.count_refusal(now, commands));
        }
        if rest.is_empty() {
            if batch.part {
                self.next_part(&batch.address.endpoint);
            }
            return;
        }
        batch.items = rest;
        if self.paused.as_ref().is_some_and(|paused| paused.cause == PauseCause::Refusals) {
            self.endpoints.push_front(batch);
            return;
        }
        self.retry(now, batch);
    }

    /// How sends end by an answer that says it of each: not more are parked than may be, and what is always to be sent again is
    /// set aside in the end.
    fn bounded<'e>(&mut self, batch: &mut Batch, ends: &'e [Option<Outcome>]) -> Cow<'e, [Option<Outcome>]> {
        let delivers = ends.iter().flatten().any(|outcome| outcome.state == State::Delivered);
        self.endpoints.of(&batch.address.endpoint).delivered += u64::from(delivers);
        if ends.iter().all(Option::is_none) && self.fails_alone(batch) {
            let end =
                Self::fails_alone_as(batch, "the vendor says of each send of its request that it is to be sent again");
            return vec![Some(end); ends.len()].into();
        }
        self.within_the_row(ends)
    }

    /// Where nothing was taken, no more are parked than make a row: if it is the mapping, the others are not to blame.
    fn within_the_row<'e>(&self, ends: &'e [Option<Outcome>]) -> Cow<'e, [Option<Outcome>]> {
        if ends.iter().flatten().any(|outcome| outcome.state == State::Delivered) {
            return Cow::Borrowed(ends);
        }
        let mut room = REFUSED_IN_A_ROW.saturating_sub(self.refused_in_a_row);
        let bounded = ends.iter().map(|end| {
            let parks = end.is_some() && room > 0;
            room -= u32::from(parks);
            end.clone().filter(|_| parks)
        });
        bounded.collect()
    }

    /// Goes on with the next part of the batch that is being split, or with the next batch that waits for it.
    pub(crate) fn next_part(&mut self, key: &EndpointKey) {
        let endpoint = self.endpoints.of(key);
        let Some(parts) = &mut endpoint.split else { return };
        match parts.pop() {
            Some(part) => endpoint.ready.push_front(part),
            None => {
                endpoint.split = None;
                if let Some(batch) = endpoint.to_split.pop_front() {
                    self.split(batch);
                }
            }
        }
    }

    /// What an answer says of its endpoint, whatever becomes of the batch. `Retry-After` speaks for the endpoint too.
    fn note_health(
        &mut self,
        now: Now,
        flight: &Flight,
        answered: &Answered,
        decided: Option<Decision>,
        commands: &mut Vec<Command>,
    ) {
        let key = &flight.batch.address.endpoint;
        let endpoint = self.endpoints.of(key);
        endpoint.flying = endpoint.flying.saturating_sub(1);
        endpoint.delivered += u64::from(decided == Some(Decision::Delivered));
        if matches!(answered.status, Some(429 | 503)) {
            let header = answered.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
            if let Some(wait) = header.and_then(|(_, value)| retry_after(value, now.wall)) {
                endpoint.silent_until = endpoint.silent_until.max(now.mono.after(wait));
            }
        }
        let is_429 = answered.status == Some(429);
        let health = match decided {
            _ if is_429 || answered.blocked => Health::Neutral,
            // It fails alone: that is known.
            Some(Decision::Retry) if flight.batch.is_deferred() => Health::Neutral,
            Some(Decision::Retry) => Health::Failed,
            _ => Health::Alive,
        };
        let made = (flight.sent, flight.of_breaker);
        if let Some(open) = endpoint.hears(now.mono, (health, is_429), made, &mut self.random) {
            commands.push(Command::Breaker { endpoint: key.clone(), open });
            if open {
                self.gather(key);
            }
        }
    }

    /// A batch waits for another try: by its own ladder, unless its endpoint has a time of its own. A vendor that names one has
    /// thought about it, and while the breaker is open the endpoint has failed and not the batch.
    fn retry(&mut self, now: Now, mut batch: Batch) {
        let endpoint = self.endpoints.of(&batch.address.endpoint);
        if endpoint.silent_until > now.mono || endpoint.breaker.is_open() {
            endpoint.ready.push_front(batch);
            return;
        }
        endpoint.retrying += 1;
        let wait = batch.ladder.next(&mut self.random);
        self.retrying.push((now.mono.after(wait), batch));
    }

    fn refresh(&mut self, now: Now, mut batch: Batch, detail: &str, commands: &mut Vec<Command>) {
        batch.unauthorised += 1;
        if batch.unauthorised >= TOKENS_REFUSED {
            batch.unauthorised = 0;
            let cause = (PauseCause::Answer, Some(batch.address.endpoint.clone()));
            self.endpoints.push_front(batch);
            self.pause(now, cause, detail.into(), commands);
            return;
        }
        commands.push(Command::RefreshAuth(Arc::clone(&batch.address)));
        self.retry(now, batch);
    }

    fn split(&mut self, mut batch: Batch) {
        let key = batch.address.endpoint.clone();
        let endpoint = self.endpoints.of(&key);
        if endpoint.split.is_some() && !batch.part {
            endpoint.to_split.push_back(batch);
            return;
        }
        let second = batch.split_off(batch.items.len().div_ceil(2), true);
        let first = batch.split_off(0, true);
        let parts = endpoint.split.get_or_insert_default();
        parts.push(second);
        parts.push(first);
        self.next_part(&key);
    }

    /// All sends of a batch have ended: their order keys are free.
    fn end(&mut self, now: Now, batch: &Batch) {
        for item in &batch.items {
            self.batcher.release(now.mono, item.subject.order_key, &mut self.closed);
        }
        if batch.part {
            self.next_part(&batch.address.endpoint);
        }
    }

    fn count_refusal(&mut self, now: Now, commands: &mut Vec<Command>) {
        self.refused_in_a_row += 1;
        if self.refused_in_a_row >= REFUSED_IN_A_ROW {
            let hint = format!(
                "{REFUSED_IN_A_ROW} sends in a row were refused and none accepted: it is the mapping and not the events. \
                 They are parked, the rest waits: correct the blueprint or the pipeline, then resume the lane and replay"
            );
            self.pause(now, (PauseCause::Refusals, None), hint.into(), commands);
        }
    }
}

fn judge(batch: &Batch, answered: &Answered) -> Verdict {
    match answered.status {
        // A status whose body never ended is an answer all the same, but only a success counts: it was processed.
        Some(status) => batch.plan.requests[batch.address.request].answers.judge(status),
        None if answered.blocked => Verdict { decision: Decision::Pause, hint: None },
        None => Verdict { decision: Decision::Retry, hint: None },
    }
}

/// How each send of a batch ends by what the answer's body says of it; nothing for one that is to be sent again. `None` when
/// the body does not say, or not for all.
fn item_ends(batch: &Batch, answered: &Answered) -> Option<Vec<Option<Outcome>>> {
    let answers = &batch.plan.requests[batch.address.request].answers;
    let status = answered.status?;
    let statuses = answers.statuses(status, &answered.body, batch.items.len())?;
    let end = |of_item: u16| {
        let verdict = answers.judge(of_item);
        match verdict.decision {
            Decision::Delivered => Some(Outcome::new(State::Delivered, Reason::Accepted)),
            Decision::Park | Decision::Split => {
                let hint = verdict.hint.map_or_else(String::new, |hint| format!(": {hint}"));
                let detail = format!("the vendor answered {status}, and {of_item} for this send{hint}");
                Some(Outcome::new(State::Parked, Reason::Refused).with_detail(detail))
            }
            Decision::Retry | Decision::RefreshAuth | Decision::Pause => None,
        }
    };
    Some(statuses.into_iter().map(end).collect())
}

/// A refusal of a single send parks it; a parking of many finds out which.
fn decide(decision: Decision, batch: &Batch) -> Decision {
    match (decision, batch.items.len()) {
        (Decision::Split, 1) => Decision::Park,
        (Decision::Park, 2..) => Decision::Split,
        (decision, _) => decision,
    }
}

fn ends(decision: Decision, batch: &Batch, detail: &str) -> Option<Outcome> {
    match decision {
        Decision::Delivered => Some(Outcome::new(State::Delivered, Reason::Accepted)),
        Decision::Park if batch.items.len() == 1 => {
            Some(Outcome::new(State::Parked, Reason::Refused).with_detail(detail))
        }
        _ => None,
    }
}

/// How a send ends with its batch. A delivered one may have something to be said: that its visitor code is a fallback.
fn end_of(item: &Item, ends: Option<&Outcome>) -> Option<Outcome> {
    let mut outcome = ends?.clone();
    if outcome.detail.is_none() {
        outcome.detail = item.send.hint.as_deref().map(str::to_owned);
    }
    Some(outcome)
}

/// What a person should read of an answer: the status, and the blueprint's hint.
fn detail(verdict: &Verdict, answered: &Answered) -> String {
    match (answered.status, &verdict.hint, &answered.error) {
        (Some(status), Some(hint), _) => format!("{status}: {hint}"),
        (Some(status), None, _) => format!("the vendor answered {status}"),
        (None, _, Some(error)) => error.message.clone(),
        (None, _, None) => "no answer came".to_owned(),
    }
}

/// What is kept of a request and its answer. No secret of the lane is in it, whether it was part of the payload or the vendor
/// sent it back.
fn attempt(batch: &Batch, answered: Answered, decision: Decision, detail: &str) -> Attempt {
    let shown = |text: String| String::from_utf8_lossy(&batch.plan.without_secrets(text.into())).into_owned();
    let error = match (answered.error, answered.status, decision) {
        (Some(error), ..) => Some(error),
        (None, Some(_), Decision::Delivered) => None,
        (None, ..) => Some(DeliveryError { source_of: ErrorSource::Vendor, message: detail.to_owned() }),
    };
    Attempt {
        url: batch.address.masked_url.clone(),
        method: batch.address.method.to_string(),
        reached: answered.reached,
        status: answered.status,
        duration_us: u64::try_from(answered.took.as_micros()).unwrap_or(u64::MAX),
        request_body: batch.plan.without_secrets(answered.request_body),
        answer_headers: answered.headers.into_iter().map(|(name, value)| (name, shown(value))).collect(),
        // First masked, then cut: a secret must not be cut in two.
        answer_body: {
            let body = batch.plan.without_secrets(answered.body);
            body.slice(..body.len().min(MAX_ANSWER_BODY))
        },
        answer_bytes: answered.body_bytes,
        error,
        decision,
    }
}

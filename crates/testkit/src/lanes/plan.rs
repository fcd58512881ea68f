//! What the lane makes of an event: a pure function of the event and of the plan's version, as the real plan is.

use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{Again, Offer, Replayed, Subject};
use anole_event::{
    Decision, EventType, Fingerprint, Head, Kind, LaneId, Marks, OrderKey, Outcome, Position, Reason, Record, State,
    Timestamp,
};
use anole_pipeline::{
    Address, Answers, Auth, BatchLimits, BodyKind, Call, Ended, EndpointKey, LaneParts, LanePlan, Made, Piece,
    RequestPlan, Send, Template, Verdict,
};
use anole_state::SendKey;
use bytes::Bytes;

use super::script::{EventSpec, Fate, Script, SendId, SendSpec};

/// How far positions are apart: they are opaque, and not dense.
pub(crate) const STEP: u64 = 10;

/// The lane's plan in one version.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) plan: Arc<LanePlan>,
    pub(crate) addresses: [Arc<Address>; 2],
    pub(crate) limits: BatchLimits,
}

// === impl Version ===

impl Version {
    pub(crate) fn new(number: u32, events: usize, bytes: usize, wait: Duration, endpoints: usize) -> Self {
        let limits = BatchLimits { events, bytes, wait };
        let verdict = |decision| Verdict { decision, hint: Some("as the blueprint says".into()) };
        let request = RequestPlan {
            name: "events".into(),
            body: BodyKind::Array,
            batch: limits,
            answers: Answers::default()
                .with_status(401, verdict(Decision::RefreshAuth))
                .with_status(403, verdict(Decision::Pause))
                .with_status(404, verdict(Decision::Pause))
                .with_status(422, verdict(Decision::Park)),
            auth: Auth::None,
        };
        let text = format!("http://127.0.0.1:9/v{number}");
        let call = Call { method: "POST".into(), url: Template(vec![Piece::Text(text.into())]), headers: Vec::new() };
        let mut parts = LaneParts::new(LaneId::new("shop", "kameleoon"));
        parts.requests = vec![(request, call)];
        let plan = Arc::new(LanePlan::new(parts).expect("the plan is sound"));
        Self { number, plan, addresses: [address(0, endpoints), address(1, endpoints)], limits }
    }
}

/// The endpoint of an address, when there are so many.
pub(crate) const fn endpoint_of(address: u64, endpoints: usize) -> usize {
    address as usize % endpoints
}

/// What a lane knows an endpoint by.
pub(crate) fn endpoint(number: usize) -> EndpointKey {
    EndpointKey { origin: format!("http://127.0.0.1:{}", 9 + number).into(), account: None, credentials: 0 }
}

fn address(id: u64, endpoints: usize) -> Arc<Address> {
    Arc::new(Address {
        id,
        request: 0,
        method: "POST".into(),
        url: format!("http://127.0.0.1:9/{id}"),
        masked_url: format!("http://127.0.0.1:9/{id}"),
        headers: Vec::new(),
        endpoint: endpoint(endpoint_of(id, endpoints)),
    })
}

/// The nonce of a send: of the event and the rule, never of the plan's version or the attempt.
fn nonce(send: SendId) -> u64 {
    (send as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The item as the vendor gets it: send, nonce, version, padding.
pub(crate) fn item(send: SendId, spec: &SendSpec, version: u32) -> String {
    let padding = if spec.fate == Fate::TooLarge { 5_000 } else { spec.padding };
    format!("\"{send}/{:016x}/v{version}/{:x<padding$}\"", nonce(send), "")
}

/// Reads send and nonce back.
pub(crate) fn read_item(text: &str) -> Option<(SendId, u64)> {
    let mut parts = text.splitn(3, '/');
    Some((parts.next()?.parse().ok()?, u64::from_str_radix(parts.next()?, 16).ok()?))
}

/// The send that a row of the books is about.
pub(crate) fn send_of(script: &Script, position: Position, ordinal: u16) -> Option<SendId> {
    let event = script.events.get((position.offset / STEP) as usize)?;
    let send = event.sends.start + usize::from(ordinal);
    event.sends.contains(&send).then_some(send)
}

/// The event as the lane's reader offers it.
pub(crate) fn offer(script: &Script, at: usize, received_at: Timestamp, version: &Version) -> Offer {
    let event: &EventSpec = &script.events[at];
    let position = at as u64 * STEP;
    let message_id = format!("m-{at}");
    let head = Head {
        kind: Kind::Event,
        event_type: EventType::Track,
        protocol: "segment",
        received_at,
        order_key: OrderKey(event.key),
        fingerprint: Fingerprint::of("shop", &message_id),
        pipeline: "shop",
        name: "Order Completed",
        source_name: "",
    };
    let subject = Subject {
        position: Position::at(position),
        record: Record::new(&head, b"{}"),
        message_id: message_id.into(),
        event: "Order Completed".into(),
        anonymous_id: None,
        user_id: None,
        lookups: Vec::new(),
        received_at,
        order_key: OrderKey(event.key),
    };
    let made = event.sends.clone().map(|send| make(send, &script.sends[send], version)).collect();
    Offer { subject: Arc::new(subject), next: Position::at(position + STEP), made, plan: Arc::clone(&version.plan) }
}

/// A deferred send as the driver gives it when it is due.
pub(crate) fn again(script: &Script, at: usize, key: SendKey, received_at: Timestamp, version: &Version) -> Replayed {
    let Offer { subject, made, plan, .. } = offer(script, at, received_at, version);
    let made = made.into_iter().skip(usize::from(key.ordinal)).take(1).collect();
    Replayed { of: Again::Deferred(key), ordinal: key.ordinal, subject, made, plan }
}

fn make(send: SendId, spec: &SendSpec, version: &Version) -> Made {
    let outcome = match spec.fate {
        Fate::Sent | Fate::Poison | Fate::TooLarge => {
            return Made::Send(Send {
                ordinal: spec.ordinal,
                rule: "Order Completed".into(),
                address: Arc::clone(&version.addresses[spec.address]),
                nonce: Some(format!("{:016x}", nonce(send)).into()),
                item: Bytes::from(item(send, spec, version.number)),
                visitor_code: None,
                rung: None,
                marks: Marks::NONE,
                hint: None,
                expires: spec.expires,
            });
        }
        Fate::Filtered => Outcome::new(State::Filtered, Reason::Unmapped),
        Fate::Unmappable => Outcome::new(State::Parked, Reason::MissingField),
    };
    Made::Ended(Ended {
        ordinal: spec.ordinal,
        rule: "Order Completed".into(),
        visitor_code: None,
        rung: None,
        outcome,
    })
}

//! What a lane makes of an event: a pure function of the event, as the real plan is.

use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{Offer, Subject};
use anole_event::{
    EventType, Fingerprint, Head, Kind, LaneId, Marks, OrderKey, Outcome, Position, Reason, Record, State, Timestamp,
};
use anole_pipeline::{
    Address, Answers, Auth, BatchLimits, BodyKind, Call, Ended, EndpointKey, LaneParts, LanePlan, Made, Piece,
    RequestPlan, Send, Template,
};
use bytes::Bytes;

/// How far positions are apart: they are opaque, and not dense.
pub(crate) const STEP: u64 = 10;

/// What becomes of a send before any vendor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is sent.
    Sent,
    /// It is sent, and the vendor refuses it more often than not.
    Poison,
    /// A filter ends it.
    Filtered,
    /// The mapping cannot make it.
    Unmappable,
}

/// An event of the model.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) position: u64,
    pub(crate) key: u64,
    pub(crate) sends: Vec<Fate>,
}

/// The lane's plan: one request, an array of texts.
pub(crate) fn lane(name: &str, events: usize) -> Arc<LanePlan> {
    let request = RequestPlan {
        name: "events".into(),
        body: BodyKind::Array,
        batch: BatchLimits { events, bytes: 10_000, wait: Duration::from_millis(300) },
        answers: Answers::default(),
        auth: Auth::None,
    };
    let url = Template(vec![Piece::Text("http://127.0.0.1:9/".into())]);
    let call = Call { method: "POST".into(), url, headers: Vec::new() };
    let mut parts = LaneParts::new(LaneId::new("shop", name));
    parts.requests = vec![(request, call)];
    Arc::new(LanePlan::new(parts).expect("the plan is sound"))
}

/// Where its requests go.
pub(crate) fn address() -> Arc<Address> {
    Arc::new(Address {
        id: 0,
        request: 0,
        method: "POST".into(),
        url: "http://127.0.0.1:9/".into(),
        masked_url: "http://127.0.0.1:9/".into(),
        headers: Vec::new(),
        endpoint: EndpointKey { origin: "http://127.0.0.1:9".into(), account: None, credentials: 0 },
    })
}

/// The item of a send as the vendor gets it: position, ordinal and nonce.
pub(crate) fn item(position: u64, ordinal: u16) -> String {
    format!("\"{position}/{ordinal}/nonce-{position}-{ordinal}\"")
}

/// Reads an item back.
pub(crate) fn read_item(text: &str) -> Option<(u64, u16, &str)> {
    let mut parts = text.splitn(3, '/');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?))
}

/// The event as the lane's reader offers it.
pub(crate) fn offer(event: &Event, received_at: Timestamp, plan: &Arc<LanePlan>, address: &Arc<Address>) -> Offer {
    let message_id = format!("m-{}", event.position);
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
        position: Position::at(event.position),
        record: Record::new(&head, b"{}"),
        message_id: message_id.into(),
        event: "Order Completed".into(),
        anonymous_id: None,
        user_id: None,
        lookups: Vec::new(),
        received_at,
        order_key: OrderKey(event.key),
    };
    let made = (0_u16..).zip(&event.sends).map(|(ordinal, fate)| make(event.position, ordinal, *fate, address));
    Offer {
        subject: Arc::new(subject),
        next: Position::at(event.position + STEP),
        made: made.collect(),
        plan: Arc::clone(plan),
    }
}

fn make(position: u64, ordinal: u16, fate: Fate, address: &Arc<Address>) -> Made {
    let outcome = match fate {
        Fate::Sent | Fate::Poison => {
            let text = item(position, ordinal);
            return Made::Send(Send {
                ordinal,
                rule: "Order Completed".into(),
                address: Arc::clone(address),
                nonce: Some(text.as_str().into()),
                item: Bytes::from(text),
                visitor_code: None,
                rung: None,
                marks: Marks::NONE,
                hint: None,
                expires: None,
            });
        }
        Fate::Filtered => Outcome::new(State::Filtered, Reason::Unmapped),
        Fate::Unmappable => Outcome::new(State::Parked, Reason::MissingField),
    };
    Made::Ended(Ended { ordinal, rule: "Order Completed".into(), visitor_code: None, rung: None, outcome })
}

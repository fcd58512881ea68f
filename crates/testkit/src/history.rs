//! Outcomes as a shop has them, for the delivery log: what the bench and the torture of history write and ask for.

use std::sync::Arc;

use anole_event::{
    Attempt, AttemptId, Decision, DeliveryError, Entry, ErrorSource, LaneId, Marks, Outcome, Position, Random, Reached,
    Reason, Seeded, SendRecord, State, Timestamp, uuid_v7,
};
use bytes::Bytes;

pub mod kill;

/// The lanes, and which part of a hundred entries is theirs.
const LANES: [(&str, u64); 5] =
    [("shop/kameleoon-eu", 50), ("shop/crm", 20), ("app/kameleoon-na", 20), ("blog/kameleoon-eu", 9), ("app/crm", 1)];
/// Event names, and which part of a hundred sends is theirs.
const EVENTS: [(&str, u64); 6] = [
    ("page", 58),
    ("Product Viewed", 25),
    ("Order Completed", 8),
    ("Product Added", 6),
    ("identify", 2),
    ("Signed Up", 1),
];
/// Visitors, and users among them, who come again.
const VISITORS: u64 = 1_500_000;
const USERS: u64 = 100_000;

/// Makes entries. The same seed makes the same.
pub struct Source {
    random: Seeded,
    /// How many sends were made.
    sends: u64,
    now: Timestamp,
    rules: Vec<Arc<str>>,
    rung: Arc<str>,
    order_id: Arc<str>,
    lanes: Vec<LaneId>,
}

// === impl Source ===

impl Source {
    /// Makes entries that were decided from `start` on.
    #[must_use]
    pub fn new(seed: u64, start: Timestamp) -> Self {
        Self {
            random: Seeded::new(seed),
            sends: 0,
            now: start,
            rules: EVENTS.iter().map(|(name, _)| Arc::from(*name)).collect(),
            rung: Arc::from("cookies.kameleoonVisitorCode"),
            order_id: Arc::from("order_id"),
            lanes: LANES.iter().map(|(lane, _)| LaneId::from_text(lane)).collect(),
        }
    }

    /// Lets time pass, in microseconds.
    pub fn pass(&mut self, micros: i64) {
        self.now = Timestamp::from_micros(self.now.micros() + micros);
    }

    fn uuid(&mut self) -> Box<str> {
        let (high, low) = (self.random.next(), self.random.next());
        let bits = u128::from(high) << 64 | u128::from(low);
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string().into()
    }

    /// An id that belongs to a number.
    fn uuid_of(number: u64) -> Box<str> {
        let mut random = Seeded::new(number);
        let bits = u128::from(random.next()) << 64 | u128::from(random.next());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string().into()
    }

    fn pick(&mut self, of: &[(&str, u64)]) -> usize {
        let mut drawn = self.random.below(of.iter().map(|(_, part)| part).sum());
        of.iter().position(|(_, part)| drawn.checked_sub(*part).map(|left| drawn = left).is_none()).unwrap_or(0)
    }

    fn send(&mut self, outcome: Option<Outcome>) -> SendRecord {
        self.sends += 1;
        let event = self.pick(&EVENTS);
        let is_order = EVENTS[event].0 == "Order Completed";
        let visitor = self.random.below(VISITORS);
        let message_id = self.uuid();
        let behind = self.random.below(3_000_000).cast_signed();
        SendRecord {
            nonce: Some(message_id.clone()),
            message_id,
            event: EVENTS[event].0.into(),
            anonymous_id: Some(Self::uuid_of(visitor)),
            user_id: (is_order || visitor.is_multiple_of(10)).then(|| format!("u-{}", visitor % USERS).into()),
            lookups: if is_order {
                vec![(Arc::clone(&self.order_id), format!("ORD-{}", self.sends).into())]
            } else {
                Vec::new()
            },
            position: Position::at(self.sends * 1300),
            received_at: Timestamp::from_micros(self.now.micros() - 1_000_000 - behind),
            ordinal: 0,
            rule: Arc::clone(&self.rules[event]),
            visitor_code: Some(format!("{:016x}", visitor.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into()),
            rung: Some(Arc::clone(&self.rung)),
            marks: Marks::NONE,
            outcome,
        }
    }

    /// An entry of so many sends: mostly delivered ones; now and then a try that failed, a batch with parked or expired sends,
    /// or sends that ended without a request.
    pub fn entry(&mut self, size: usize) -> Entry {
        let (lane, kind) = (self.pick(&LANES), self.random.below(1000));
        let delivered = || Some(Outcome::new(State::Delivered, Reason::Accepted));
        let (status, decision, without) = match kind {
            0..40 => (None, None, true),
            40..50 => (Some(503), Some(Decision::Retry), false),
            50..53 => (Some(400), Some(Decision::Split), false),
            _ => (Some(204), Some(Decision::Delivered), false),
        };
        let mut sends = Vec::with_capacity(size);
        for number in 0..size {
            let outcome = match (kind, number) {
                (0..30, _) => Some(Outcome::new(State::Filtered, Reason::Unmapped)),
                (30..38, _) => Some(Outcome::new(State::NoConsent, Reason::Denied)),
                (38..40, _) => Some(Outcome::new(State::Expired, Reason::TooOld)),
                (40..53, _) => None,
                // A batch that passed a check before it went out: one of its events was parked.
                (53..70, 0) => {
                    let detail = "the goalId is missing: send the property kameleoon_goal_id";
                    Some(Outcome::new(State::Parked, Reason::MissingField).with_detail(detail))
                }
                _ => delivered(),
            };
            sends.push(self.send(outcome));
        }
        let attempt = decision.filter(|_| !without).map(|decision| self.attempt(status, decision, &sends));
        let id = AttemptId(uuid_v7(self.now, &mut self.random));
        Entry { id, at: self.now, lane: self.lanes[lane].clone(), plan: 7, attempt, sends }
    }

    fn attempt(&mut self, status: Option<u16>, decision: Decision, sends: &[SendRecord]) -> Attempt {
        use std::fmt::Write as _;
        let mut body = String::with_capacity(sends.len() * 170);
        for send in sends {
            let (nonce, code) = (&*send.message_id, send.visitor_code.as_deref().unwrap_or_default());
            let product = self.random.below(5000);
            let written = if send.lookups.is_empty() {
                write!(
                    body,
                    "{{\"nonce\":\"{nonce}\",\"eventType\":\"PAGE\",\"visitorCode\":\"{code}\",\
                     \"href\":\"https://example.com/shop/product-{product}\",\"title\":\"Product {product}\"}},"
                )
            } else {
                write!(
                    body,
                    "{{\"nonce\":\"{nonce}\",\"eventType\":\"CONVERSION\",\"visitorCode\":\"{code}\",\
                     \"goalId\":36151,\"revenue\":{product}.50}},"
                )
            };
            written.expect("a string takes everything");
        }
        let failed = decision != Decision::Delivered;
        let slowness = self.random.below(12);
        let error =
            DeliveryError { source_of: ErrorSource::Vendor, message: "the vendor answered with an error".into() };
        Attempt {
            url: "https://eu-data.kameleoon.io/visit/events?siteCode=f17c21u1ag&json=true".into(),
            method: "POST".into(),
            reached: Reached::Body,
            status,
            duration_us: 8_000 + self.random.below(1 << (8 + slowness)),
            request_body: body.into(),
            answer_headers: vec![("date".into(), "Sun, 22 Nov 2026 10:00:05 GMT".into())],
            answer_body: if failed { Bytes::from_static(b"{\"error\":\"bad day\"}") } else { Bytes::new() },
            answer_bytes: if failed { 19 } else { 0 },
            error: failed.then_some(error),
            decision,
        }
    }
}

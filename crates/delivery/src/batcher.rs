//! Which sends travel together, and in what order.
//!
//! Sends of one order key are never in two requests at once and keep their order; different keys go in parallel. Two
//! things are enough for that: one open batch per address, and for each key a count of its sends in closed batches. A
//! send whose key is in a closed batch, or in the open batch of another address, waits behind its key; when the last send
//! of the key has ended, what waits is placed again, in order. A send whose key is in the open batch of its own address
//! simply joins it: within a batch, order is the order of the body.
//!
//! An open batch is closed by the number of sends, by the exact bytes of its serialised body, or when its first send has
//! waited long enough, whichever comes first.
//!
//! Rejected: a queue per order key with a scheduler over them. It gives the same order but costs a queue for each visitor
//! of a busy site, most of which hold one send.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use anole_event::{Mono, OrderKey, Timestamp};
use anole_pipeline::{Address, BatchLimits, LanePlan, Send};

use crate::lane::{Again, Subject};
use crate::replaying::Origin;
use crate::retry::Ladder;

/// A send in a lane's hands.
#[derive(Debug)]
pub(crate) struct Item {
    /// Where it came from.
    pub(crate) origin: Origin,
    /// Its event.
    pub(crate) subject: Arc<Subject>,
    /// What the plan made.
    pub(crate) send: Send,
    /// When the vendor has no more use for it.
    pub(crate) expires_at: Option<Timestamp>,
}

/// Sends that travel in one request.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The plan that mapped them: one per batch.
    pub(crate) plan: Arc<LanePlan>,
    /// Where they go.
    pub(crate) address: Arc<Address>,
    /// The sends, in order.
    pub(crate) items: Vec<Item>,
    /// Its own ladder of waits.
    pub(crate) ladder: Ladder,
    /// Whether it is a part of a batch that was split.
    pub(crate) part: bool,
    /// How many times its token was refused in a row.
    pub(crate) unauthorised: u32,
    /// How many times it failed.
    pub(crate) failed: u32,
    /// How many of these count against it and not against its endpoint.
    pub(crate) failed_alone: u32,
    /// How many requests its endpoint had delivered when it was sent first, or failed last.
    pub(crate) delivered_before: u64,
}

#[derive(Debug)]
struct Open {
    batch: Batch,
    limits: BatchLimits,
    bytes: usize,
    due: Mono,
}

#[derive(Debug, Default)]
struct Key {
    /// Sends in closed batches.
    held: u32,
    /// The address in whose open batch it has sends.
    open: Option<u64>,
    /// Sends that wait for the key, with their plans.
    waiting: VecDeque<(Item, Arc<LanePlan>)>,
}

/// Open batches, and what waits for its order key.
#[derive(Debug, Default)]
pub(crate) struct Batcher {
    open: HashMap<u64, Open>,
    keys: HashMap<OrderKey, Key>,
}

/// Tells the open batch of replayed sends from that of live sends of the same address.
const REPLAYED: u64 = 0x9e37_79b9_7f4a_7c15;

// === impl Item ===

impl Item {
    /// Which open batch it may join: that of its address. Replayed sends keep to themselves, and a deferred one is alone.
    fn seat(&self) -> u64 {
        match self.origin {
            Origin::Read(_) => self.send.address.id,
            Origin::Again(Again::Deferred(key)) => {
                let send = key.position.offset.rotate_left(16) ^ u64::from(key.ordinal);
                self.send.address.id ^ REPLAYED.wrapping_mul(send | 1)
            }
            Origin::Again(_) => self.send.address.id ^ REPLAYED,
        }
    }
}

// === impl Batch ===

impl Batch {
    /// A batch of these sends, untried.
    #[must_use]
    pub(crate) fn of(plan: Arc<LanePlan>, address: Arc<Address>, items: Vec<Item>, part: bool) -> Self {
        Self {
            plan,
            address,
            items,
            ladder: Ladder::new(),
            part,
            unauthorised: 0,
            failed: 0,
            failed_alone: 0,
            delivered_before: 0,
        }
    }

    /// Takes the sends from `at` on into a batch of their own.
    #[must_use]
    pub(crate) fn split_off(&mut self, at: usize, part: bool) -> Self {
        let rest = self.items.split_off(at);
        Self {
            failed_alone: self.failed_alone,
            delivered_before: self.delivered_before,
            ..Self::of(Arc::clone(&self.plan), Arc::clone(&self.address), rest, part)
        }
    }
}

// === impl Batcher ===

impl Batcher {
    /// Takes a send; batches that it closes come out.
    pub(crate) fn offer(&mut self, now: Mono, item: Item, plan: &Arc<LanePlan>, closed: &mut VecDeque<Batch>) {
        let order_key = item.subject.order_key;
        let key = self.keys.entry(order_key).or_default();
        let elsewhere = key.open.is_some_and(|address| address != item.seat());
        if key.held > 0 || elsewhere || !key.waiting.is_empty() {
            key.waiting.push_back((item, Arc::clone(plan)));
            return;
        }
        self.place(now, item, plan, closed);
    }

    /// One send of a closed batch has ended: its key may be free.
    pub(crate) fn release(&mut self, now: Mono, order_key: OrderKey, closed: &mut VecDeque<Batch>) {
        if let Some(key) = self.keys.get_mut(&order_key) {
            key.held = key.held.saturating_sub(1);
        }
        self.drain_waiting(now, order_key, closed);
    }

    /// Closes the batches that have waited long enough.
    pub(crate) fn close_due(&mut self, now: Mono, closed: &mut VecDeque<Batch>) {
        let mut due: Vec<(Mono, u64)> =
            self.open.iter().filter(|(_, open)| open.due <= now).map(|(id, open)| (open.due, *id)).collect();
        due.sort_unstable();
        for (_, id) in due {
            self.close(id, closed);
        }
    }

    /// When the next open batch has waited long enough.
    #[must_use]
    pub(crate) fn next_due(&self) -> Option<Mono> {
        self.open.values().map(|open| open.due).min()
    }

    fn place(&mut self, now: Mono, item: Item, plan: &Arc<LanePlan>, closed: &mut VecDeque<Batch>) {
        let address = item.seat();
        let request = &plan.requests[item.send.address.request];
        if let Some(open) = self.open.get(&address) {
            let bytes = request.framing(open.batch.items.len() + 1) + open.bytes + item.send.item.len();
            if bytes > open.limits.bytes || open.batch.plan.hash != plan.hash {
                self.close(address, closed);
                // The key may be in the batch that was just closed: then the send waits for it.
                return self.offer(now, item, plan, closed);
            }
        }
        let order_key = item.subject.order_key;
        let open = self.open.entry(address).or_insert_with(|| Open {
            batch: Batch::of(Arc::clone(plan), Arc::clone(&item.send.address), Vec::new(), false),
            limits: request.batch,
            bytes: 0,
            due: now.after(request.batch.wait),
        });
        open.bytes += item.send.item.len();
        open.batch.items.push(item);
        let is_full = open.batch.items.len() >= open.limits.events || open.batch.is_deferred();
        self.keys.entry(order_key).or_default().open = Some(address);
        if is_full {
            self.close(address, closed);
        }
    }

    fn close(&mut self, address: u64, closed: &mut VecDeque<Batch>) {
        if let Some(open) = self.open.remove(&address) {
            for item in &open.batch.items {
                let key = self.keys.entry(item.subject.order_key).or_default();
                key.open = None;
                key.held += 1;
            }
            closed.push_back(open.batch);
        }
    }

    fn drain_waiting(&mut self, now: Mono, order_key: OrderKey, closed: &mut VecDeque<Batch>) {
        loop {
            let Some(key) = self.keys.get_mut(&order_key) else { return };
            if key.held > 0 {
                return;
            }
            let Some((item, _)) = key.waiting.front() else {
                if key.open.is_none() {
                    self.keys.remove(&order_key);
                }
                return;
            };
            if key.open.is_some_and(|address| address != item.seat()) {
                return;
            }
            if let Some((item, plan)) = key.waiting.pop_front() {
                // `offer` would queue it behind the rest of its own key.
                self.place_first(now, item, &plan, closed);
            }
        }
    }

    fn place_first(&mut self, now: Mono, item: Item, plan: &Arc<LanePlan>, closed: &mut VecDeque<Batch>) {
        let order_key = item.subject.order_key;
        let rest = self.keys.get_mut(&order_key).map(|key| std::mem::take(&mut key.waiting)).unwrap_or_default();
        self.place(now, item, plan, closed);
        if let Some(key) = self.keys.get_mut(&order_key) {
            key.waiting.extend(rest);
        }
    }
}

//! All connections of a listener: which may stay, and which go first when there are too many.
//!
//! # One look at all of them
//!
//! A connection costs as little as it can while nothing happens on it: no timer of its own, no subscription to a shutdown.
//! Socket and service leave marks in [`Activity`], without asking for the time, and one task of the listener reads the marks of
//! all connections about once a second. What it decides it writes beside the marks, and wakes the connection.
//!
//! - a TLS handshake, or a head that has begun, unfinished for `header_timeout`: closed;
//! - no request under way for `idle_timeout`: closed, gracefully, so that HTTP/2 clients are told;
//! - an answer of which the client takes no byte for `write_timeout`: closed. On HTTP/2 a client may keep the socket open and
//!   busy with pings while it gives a stream no window: so it is also counted how many answers wait to be asked for more, and
//!   writes that hold no more than control frames are no progress.
//!
//! A state must be seen at one look and still stand at a later one, so each ends after its time and up to two looks more. How
//! long a request may take is not decided here: bodies have [`crate::body::Limits`], and an answer may rightly be an hour of
//! server-sent events.
//!
//! Rejected: hyper's own header timeout. It starts when the connection becomes idle, so it is the keep-alive timeout as well:
//! with 10 s for a head, a client that pauses for 11 s between two requests would find its connection closed, now and then
//! just as it writes. It also costs an allocation and a timer per request, and does not cover the first bytes, by which HTTP/2
//! is told from HTTP/1.1.
//!
//! # When there are too many
//!
//! At the cap, the connections that have been idle longest make room: closed as after `idle_timeout`, a sixty-fourth of all at
//! once, and none that has not been idle for a whole look. A client whose idle connection is closed opens another one; a
//! client that cannot connect has lost. So a crowd that merely stays connected, or writes a head byte by byte, locks nobody
//! out. Where every connection has a request under way, new ones wait in the operating system's queue as before. Rejected:
//! closing the newest, which is what a full house of idlers wants, and shorter timeouts under load, which hit those as well
//! who have done nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anole_telemetry::{ConnectionCut, CutReason, Telemetry};
use futures_util::task::AtomicWaker;
use slab::Slab;

use crate::ListenOptions;

/// How many are looked at under one hold of the lock: about 50 µs.
const PIECE: usize = 1024;
/// One of how many makes room at the cap.
const SHARE: usize = 64;

/// The most bytes of a write that may hold nothing but control frames of HTTP/2, also as a record of TLS.
const CONTROL: usize = 64;

const STAY: u8 = 0;
const RETIRE: u8 = 1;
const CLOSE: u8 = 2;

/// The marks that a connection leaves, and what is decided on it.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    in_flight: AtomicU32,
    /// Requests begun and ended.
    requests: AtomicU64,
    /// Bytes came in while no request was under way: a head has begun. Never set on HTTP/2, whose pings would look so.
    in_head: AtomicBool,
    /// TLS is being agreed on.
    in_handshake: AtomicBool,
    /// A write found the client's window full.
    blocked: AtomicBool,
    /// Writes that found it open, and pieces of answers that were asked for.
    writes: AtomicU64,
    /// Answers that wait for the client: it has not taken what was there.
    owed: AtomicU32,
    order: AtomicU8,
    waker: AtomicWaker,
}

/// What a connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Stay,
    /// End with the request that is under way, at once when none is.
    Retire,
    /// End now.
    Close,
}

/// The connections of a listener.
pub(crate) struct Crowd {
    options: Arc<ListenOptions>,
    telemetry: Arc<Telemetry>,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    all: Slab<Member>,
    /// How many come from each network that is counted.
    networks: HashMap<IpAddr, u32>,
}

struct Member {
    activity: Arc<Activity>,
    watch: Watch,
    network: Option<IpAddr>,
}

/// A connection that is in the crowd for as long as it lives, also when its task panics.
pub(crate) struct Place {
    pub(crate) activity: Arc<Activity>,
    crowd: Arc<Crowd>,
    at: usize,
}

/// What the looks at a connection have found so far.
#[derive(Debug, Default)]
struct Watch {
    requests: u64,
    writes: u64,
    quiet: Duration,
    in_head: Duration,
    blocked: Duration,
    retiring: Duration,
}

// === impl Activity ===

impl Activity {
    pub(crate) fn request_began(&self) {
        self.in_flight.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.in_head.store(false, Relaxed);
    }

    pub(crate) fn request_ended(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn handshake(&self, goes_on: bool) {
        self.in_handshake.store(goes_on, Relaxed);
    }

    /// Bytes of HTTP/1.1 came in.
    pub(crate) fn head_goes_on(&self) {
        if self.in_flight.load(Relaxed) == 0 {
            self.in_head.store(true, Relaxed);
        }
    }

    /// A write was tried; how many bytes were taken, `None` when there was no room.
    pub(crate) fn wrote(&self, taken: Option<usize>) {
        if taken.is_some_and(|bytes| bytes > CONTROL) {
            self.writes.fetch_add(1, Relaxed);
        }
        self.blocked.store(taken.is_none(), Relaxed);
    }

    /// An answer was asked for its next piece.
    pub(crate) fn asked(&self) {
        self.writes.fetch_add(1, Relaxed);
    }

    /// An answer waits for the client from now on, or does no more.
    pub(crate) fn owes(&self, waits: bool) {
        if waits {
            self.owed.fetch_add(1, Relaxed);
        } else {
            self.owed.fetch_sub(1, Relaxed);
        }
    }

    /// What is decided. Whoever asks is woken when something else is.
    pub(crate) fn order(&self, cx: &std::task::Context<'_>) -> Order {
        self.waker.register(cx.waker());
        self.ordered()
    }

    fn ordered(&self) -> Order {
        match self.order.load(SeqCst) {
            STAY => Order::Stay,
            RETIRE => Order::Retire,
            _ => Order::Close,
        }
    }

    fn decide(&self, order: Order) {
        let order = match order {
            Order::Stay => STAY,
            Order::Retire => RETIRE,
            Order::Close => CLOSE,
        };
        if self.order.fetch_max(order, SeqCst) < order {
            self.waker.wake();
        }
    }

    fn begins(&self) -> bool {
        self.in_head.load(Relaxed) || self.in_handshake.load(Relaxed)
    }
}

// === impl Crowd ===

impl Crowd {
    pub(crate) fn new(options: Arc<ListenOptions>, telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self { options, telemetry, members: Mutex::default() })
    }

    /// Takes a connection in. `None` when its address has as many as it may have.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = self.options.max_per_address.map(|most| (network(address), most));
        let network = network.filter(|(network, _)| !self.options.uncounted.iter().any(|net| net.contains(network)));
        let activity = Arc::new(Activity::default());
        let mut members = self.members();
        if let Some((network, most)) = network {
            let count = members.networks.entry(network).or_default();
            if *count >= most {
                drop(members);
                self.cut(CutReason::AddressCap);
                return None;
            }
            *count += 1;
        }
        let network = network.map(|(network, _)| network);
        let at = members.all.insert(Member { activity: Arc::clone(&activity), watch: Watch::default(), network });
        drop(members);
        Some(Place { activity, crowd: Arc::clone(self), at })
    }

    /// How often [`Self::look`] is to be called.
    pub(crate) fn every(&self) -> Duration {
        (self.options.header_timeout / 2).min(self.options.look).max(Duration::from_millis(1))
    }

    /// Looks at all connections; `passed` is the time since the last look.
    pub(crate) fn look(&self, passed: Duration) {
        let mut at = 0;
        loop {
            let mut members = self.members();
            let end = members.all.capacity();
            for key in at..end.min(at + PIECE) {
                if let Some(member) = members.all.get_mut(key) {
                    self.look_at(member, passed);
                }
            }
            drop(members);
            at += PIECE;
            if at >= end {
                return;
            }
        }
    }

    fn look_at(&self, member: &mut Member, passed: Duration) {
        let before = member.activity.ordered();
        let (order, reason) = member.watch.look(&member.activity, &self.options, passed);
        if order != Order::Stay && order != before && before != Order::Close {
            member.activity.decide(order);
            // One that is closed after it was asked to retire was counted then.
            if let Some(reason) = reason.filter(|_| before == Order::Stay) {
                self.cut(reason);
            }
        }
    }

    /// Tells those that have been idle longest to go; how many they are.
    pub(crate) fn make_room(&self) -> usize {
        let members = self.members();
        let every = self.every();
        let mut idle: Vec<(Duration, usize)> = members
            .all
            .iter()
            .filter(|(_, member)| member.watch.quiet > every && member.activity.ordered() == Order::Stay)
            .filter(|(_, member)| member.activity.in_flight.load(Relaxed) == 0)
            .map(|(at, member)| (member.watch.quiet, at))
            .collect();
        let most = (members.all.len() / SHARE).max(1);
        if idle.len() > most {
            idle.select_nth_unstable_by(most - 1, |one, other| other.0.cmp(&one.0));
            idle.truncate(most);
        }
        for (_, at) in &idle {
            if let Some(member) = members.all.get(*at) {
                // One in the middle of a head would not see that it is to end.
                member.activity.decide(if member.activity.begins() { Order::Close } else { Order::Retire });
                self.cut(CutReason::Crowded);
            }
        }
        idle.len()
    }

    /// Tells all to do this.
    pub(crate) fn order_all(&self, order: Order) {
        self.members().all.iter().for_each(|(_, member)| member.activity.decide(order));
    }

    pub(crate) fn cut(&self, reason: CutReason) {
        self.telemetry.emit(ConnectionCut { listener: self.options.name, reason });
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut members = self.crowd.members();
        let Some(member) = members.all.try_remove(self.at) else { return };
        let Some(network) = member.network else { return };
        if let Some(count) = members.networks.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                members.networks.remove(&network);
            }
        }
    }
}

// === impl Watch ===

impl Watch {
    fn look(&mut self, activity: &Activity, options: &ListenOptions, passed: Duration) -> (Order, Option<CutReason>) {
        let (requests, writes) = (activity.requests.load(Relaxed), activity.writes.load(Relaxed));
        let busy = activity.in_flight.load(Relaxed) > 0;
        let moved = requests != std::mem::replace(&mut self.requests, requests);
        let wrote = writes != std::mem::replace(&mut self.writes, writes);
        let handshake = activity.in_handshake.load(Relaxed);
        count(&mut self.quiet, !busy && !moved, passed);
        count(&mut self.in_head, !busy && !moved && activity.begins(), passed);
        let is_stuck = activity.blocked.load(Relaxed) || activity.owed.load(Relaxed) > 0;
        count(&mut self.blocked, !wrote && is_stuck, passed);
        count(&mut self.retiring, !busy && !moved && activity.ordered() == Order::Retire, passed);
        // Each count starts at the look that first saw the state, hence ">": one whole look more.
        if self.in_head > options.header_timeout {
            (Order::Close, Some(if handshake { CutReason::Handshake } else { CutReason::Head }))
        } else if self.blocked > options.write_timeout {
            (Order::Close, Some(CutReason::Write))
        } else if self.retiring > options.header_timeout / 2 {
            // It was told, and has neither gone nor asked for anything: an HTTP/2 client that does not read.
            (Order::Close, None)
        } else if self.quiet > options.idle_timeout {
            (Order::Retire, Some(CutReason::Idle))
        } else {
            (Order::Stay, None)
        }
    }
}

fn count(sum: &mut Duration, stands: bool, passed: Duration) {
    *sum = if stands { sum.saturating_add(passed) } else { Duration::ZERO };
}

/// What is counted as one address: of IPv6 its /64, which is the least that a provider gives.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

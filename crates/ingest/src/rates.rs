//! How many events a second one write key and one client address may send.
//!
//! Off until set, as nobody can guess what is much for a site. A bucket holds ten seconds' worth and fills up evenly. A request
//! is taken as long as there is something in its buckets, and then pays for all of its events, so that a batch larger
//! than a bucket is not refused for ever: the bucket goes into debt, and whoever it belongs to waits until that is paid. A
//! request that is refused for another reason pays for one event: guessing keys is not free.
//!
//! Refused is answered 429 with `Retry-After` in whole seconds, from 1 to 300: what Segment's clients obey.
//!
//! A key is a write key or a measurement id. An address of IPv6 counts by its first 64 bits, which is what one customer of a
//! provider has; behind a proxy it is the client's, when the proxy is trusted.
//!
//! Buckets are bounded ([`MOST`] of each kind, 32 bytes each). When there are as many, full ones are forgotten, which are as good as
//! absent; while none is full, further addresses have none and are not limited. Refusing them was rejected: a flood from
//! many addresses would keep everybody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anole_event::Mono;
use xxhash_rust::xxh3::xxh3_64;

/// Buckets of one kind.
const MOST: usize = 1 << 16;
/// What a bucket holds, in seconds' worth.
const BURST: f64 = 10.0;
/// The longest wait that clients obey, in seconds.
const LONGEST: f64 = 300.0;

/// The most events a second, on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Of one write key or measurement id; `None`: any number.
    pub per_key: Option<u32>,
    /// Of one client address; `None`: any number.
    pub per_address: Option<u32>,
}

/// What each key and address has left.
#[derive(Debug)]
pub(crate) struct Rates {
    keys: Option<Buckets>,
    addresses: Option<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    rate: f64,
    all: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    buckets: HashMap<u64, Bucket>,
    /// When full ones were forgotten last: looking for them each time would be a way to keep us busy.
    pruned: Option<Mono>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Events that may be sent; below zero when more were.
    level: f64,
    at: Mono,
}

// === impl Rates ===

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Self {
        let buckets =
            |rate: Option<u32>| rate.map(|rate| Buckets { rate: f64::from(rate.max(1)), all: Mutex::default() });
        Self { keys: buckets(limits.per_key), addresses: buckets(limits.per_address) }
    }

    /// Whether an address may send, which costs it one event. It is looked for only where addresses are limited.
    ///
    /// # Errors
    /// With how long it has to wait.
    pub(crate) fn address(&self, address: impl FnOnce() -> IpAddr, now: Mono) -> Result<(), Duration> {
        self.addresses.as_ref().map_or(Ok(()), |buckets| buckets.enter(of_address(address()), now))
    }

    /// Whether a key may send, which costs it one event.
    ///
    /// # Errors
    /// With how long it has to wait.
    pub(crate) fn key(&self, key: &str, now: Mono) -> Result<(), Duration> {
        self.keys.as_ref().map_or(Ok(()), |buckets| buckets.enter(xxh3_64(key.as_bytes()), now))
    }

    /// Takes what a request costs beyond its first event.
    pub(crate) fn charge(&self, key: &str, address: impl FnOnce() -> IpAddr, events: usize) {
        let more = events.saturating_sub(1);
        if more == 0 {
            return;
        }
        if let Some(buckets) = &self.keys {
            buckets.charge(xxh3_64(key.as_bytes()), more);
        }
        if let Some(buckets) = &self.addresses {
            buckets.charge(of_address(address()), more);
        }
    }
}

fn of_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => xxh3_64(&address.octets()),
        IpAddr::V6(address) => xxh3_64(&address.octets()[..8]),
    }
}

// === impl Buckets ===

impl Buckets {
    fn enter(&self, who: u64, now: Mono) -> Result<(), Duration> {
        let full = self.rate * BURST;
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.buckets.contains_key(&who) && all.buckets.len() >= MOST && !all.prune(self.rate, full, now) {
            return Ok(());
        }
        let bucket = all.buckets.entry(who).or_insert(Bucket { level: full, at: now });
        bucket.level = bucket.now(self.rate, full, now);
        bucket.at = now;
        if bucket.level < 1.0 {
            let wait = ((1.0 - bucket.level) / self.rate).min(LONGEST);
            return Err(Duration::from_secs_f64(wait));
        }
        bucket.level -= 1.0;
        Ok(())
    }

    fn charge(&self, who: u64, events: usize) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = all.buckets.get_mut(&who) {
            bucket.level -= events as f64;
        }
    }
}

// === impl Known ===

impl Known {
    /// Forgets full buckets, once a second; whether there is room now.
    fn prune(&mut self, rate: f64, full: f64, now: Mono) -> bool {
        if self.pruned.is_none_or(|last| now.since(last) >= Duration::from_secs(1)) {
            self.pruned = Some(now);
            self.buckets.retain(|_, bucket| bucket.now(rate, full, now) < full);
        }
        self.buckets.len() < MOST
    }
}

// === impl Bucket ===

impl Bucket {
    fn now(&self, rate: f64, full: f64, now: Mono) -> f64 {
        (self.level + now.since(self.at).as_secs_f64() * rate).min(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::default().after(Duration::from_secs(seconds))
    }

    fn rates(per_key: Option<u32>, per_address: Option<u32>) -> Rates {
        Rates::new(RateLimits { per_key, per_address })
    }

    #[test]
    fn nothing_is_limited_until_it_is_set() {
        let rates = rates(None, None);
        for _ in 0..100_000 {
            assert_eq!((rates.key("k", at(0)), rates.address(|| [10, 0, 0, 1].into(), at(0))), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn a_key_has_ten_seconds_worth_at_once_and_then_its_rate() {
        let rates = rates(Some(5), None);
        for _ in 0..50 {
            assert_eq!(rates.key("k", at(0)), Ok(()));
        }
        assert_eq!(rates.key("k", at(0)), Err(Duration::from_millis(200)));
        assert_eq!(rates.key("other", at(0)), Ok(()), "each key has its own");
        for _ in 0..5 {
            assert_eq!(rates.key("k", at(1)), Ok(()));
        }
        assert!(rates.key("k", at(1)).is_err());
    }

    #[test]
    fn a_batch_larger_than_the_bucket_is_taken_and_paid_for_afterwards() {
        let (rates, here) = (rates(Some(10), Some(10)), IpAddr::from([10, 0, 0, 1]));
        assert_eq!((rates.address(|| here, at(0)), rates.key("k", at(0))), (Ok(()), Ok(())));
        rates.charge("k", || here, 300);
        // 100 were there, 300 were sent: 200 and one more are to come first.
        assert_eq!(rates.key("k", at(0)), Err(Duration::from_millis(20_100)));
        assert!(rates.address(|| here, at(20)).is_err() && rates.address(|| here, at(21)).is_ok());
        rates.charge("k", || here, 1_000_000);
        assert_eq!(rates.key("k", at(21)), Err(Duration::from_secs(300)), "no longer than clients wait");
    }

    #[test]
    fn a_provider_s_customer_is_one_address_however_many_he_has() {
        let rates = rates(None, Some(1));
        let one = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, last]);
        for last in 0..10 {
            assert_eq!(rates.address(|| one(last), at(0)), Ok(()));
        }
        assert!(rates.address(|| one(99), at(0)).is_err());
        assert!(rates.address(|| IpAddr::from([0x2001, 0xdb8, 0, 8, 0, 0, 0, 1]), at(0)).is_ok());
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        for _ in 0..10 {
            assert!(rates.address(|| mapped, at(0)).is_ok());
        }
        assert!(rates.address(|| [10, 0, 0, 1].into(), at(0)).is_err(), "the same one");
    }

    #[test]
    fn buckets_are_bounded_and_full_ones_are_forgotten() {
        let rates = rates(None, Some(1));
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..(MOST as u32 + 100) {
            assert_eq!(rates.address(|| address(number), at(0)), Ok(()));
        }
        let known = |rates: &Rates| rates.addresses.as_ref().map(|it| it.all.lock().unwrap().buckets.len());
        assert_eq!(known(&rates), Some(MOST));
        assert_eq!(rates.address(|| address(u32::MAX), at(2)), Ok(()));
        assert_eq!(known(&rates), Some(1), "all were full again but the new one");
    }
}

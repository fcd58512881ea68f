//! The identity map's memory: what is known at all, what was seen lately, and what is still to be written.
//!
//! Ingest asks for almost every event, and for most visitors the answer is either "nothing known" or something seen
//! minutes ago. So three things are in memory. The fingerprints of all known keys with their times (17 bytes each, at
//! most a million by default, read at start): an unknown key costs no query. The values of some ten thousand keys that
//! were used lately, in two generations: when the young one is full it becomes the old one, which is as good as an exact
//! order of use here and needs no links. And the values that are not written yet, which no generation may lose. All other
//! values are one look-up by primary key away.
//!
//! Keys go by 64-bit fingerprints, and the full key is compared wherever a value is taken, so that a collision costs the
//! older of two entries and never gives a visitor another one's identity.
//!
//! The same value for the same key is written again only when what is stored is an hour old: a visitor's page views
//! would otherwise write one row each. The price is that for an hour an event that arrives out of order by less than that
//! may win against a newer one with the value that was already there.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anole_event::{Timestamp, lookup_fingerprint};

use crate::erase::{IdentitiesOf, IdentityValue};
use crate::row::{Identity, IdentityKey, IdentityOf};

/// How many values a generation holds.
const GENERATION: usize = 32_768;
/// How many entries may wait to be written. More are only kept in memory: losing them costs a rung, waiting an event.
const PENDING: usize = 131_072;
/// How old a stored time may get before the same value is written again.
const REFRESH: Duration = Duration::from_secs(3600);

/// A fingerprint is a hash already.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

type ByFingerprint<T> = HashMap<u64, T, BuildHasherDefault<AsIs>>;

/// The bounds of the map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) most: usize,
    pub(crate) age: Duration,
}

pub(crate) struct Identities {
    bounds: Bounds,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The time of each key that is stored or will be.
    known: ByFingerprint<i64>,
    young: ByFingerprint<Arc<Identity>>,
    old: ByFingerprint<Arc<Identity>>,
    pending: ByFingerprint<Arc<Identity>>,
    /// What the writer is writing at the moment.
    writing: Arc<Batch>,
    /// Keys that are to be removed from the store.
    removed: Vec<u64>,
}

/// What is to be written in one transaction: first the removals, then the entries.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) removed: Vec<u64>,
    pub(crate) entries: ByFingerprint<Arc<Identity>>,
}

/// What memory says about a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Known(String),
    Unknown,
    /// The store knows.
    Ask(u64),
}

// === impl Identities ===

impl Identities {
    /// The map over what a store holds: fingerprints and times.
    pub(crate) fn new(bounds: Bounds, stored: impl IntoIterator<Item = (u64, Timestamp)>) -> Self {
        let known = stored.into_iter().map(|(key, at)| (key, at.micros())).collect();
        Self { bounds, inner: Mutex::new(Inner { known, ..Inner::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn answer(&self, keys: &[IdentityKey], now: Timestamp) -> Vec<Answer> {
        let oldest = self.oldest(now);
        let fingerprints: Vec<u64> = keys.iter().map(fingerprint).collect();
        let inner = self.lock();
        let one = |(key, fingerprint): (&IdentityKey, u64)| match inner.known.get(&fingerprint) {
            Some(at) if *at >= oldest => match inner.value(fingerprint) {
                Some(identity) if identity.key == *key => Answer::Known(identity.value.to_string()),
                Some(_) => Answer::Unknown,
                None => Answer::Ask(fingerprint),
            },
            _ => Answer::Unknown,
        };
        keys.iter().zip(fingerprints).map(one).collect()
    }

    /// What the store answered: kept for the next time, unless something newer was remembered meanwhile, which then is
    /// the answer.
    pub(crate) fn learn(&self, fingerprint: u64, stored: Option<Identity>, key: &IdentityKey) -> Option<String> {
        let mut inner = self.lock();
        if !inner.known.contains_key(&fingerprint) {
            // It was erased, or went as one of the oldest, while the store was asked.
            return None;
        }
        let found = match (inner.value(fingerprint), stored) {
            (Some(newer), _) => Arc::clone(newer),
            (None, Some(stored)) => {
                let stored = Arc::new(stored);
                inner.keep(fingerprint, Arc::clone(&stored));
                stored
            }
            (None, None) => return None,
        };
        (found.key == *key).then(|| found.value.to_string())
    }

    /// Takes entries in; gives how many could not be put in line to be written.
    pub(crate) fn remember(&self, entries: Vec<Identity>) -> usize {
        let mut inner = self.lock();
        let mut left_out = 0;
        for entry in entries {
            let fingerprint = fingerprint(&entry.key);
            let at = entry.received_at.micros();
            if let Some(known) = inner.known.get(&fingerprint) {
                let fresh = at.saturating_sub(*known) < i64::try_from(REFRESH.as_micros()).unwrap_or(i64::MAX);
                let same = |held: &Arc<Identity>| held.key == entry.key && held.value == entry.value;
                if *known > at || (fresh && inner.value(fingerprint).is_some_and(same)) {
                    continue;
                }
            }
            let entry = Arc::new(entry);
            inner.keep(fingerprint, Arc::clone(&entry));
            inner.known.insert(fingerprint, at);
            if inner.pending.len() >= PENDING && !inner.pending.contains_key(&fingerprint) {
                left_out += 1;
                continue;
            }
            inner.pending.insert(fingerprint, entry);
        }
        if inner.known.len() > self.bounds.most {
            // A sixty-fourth more than needed goes at once, so that this pass over all keys is rare.
            let keep = self.bounds.most - self.bounds.most / 64;
            inner.shrink_to(keep);
        }
        left_out
    }

    /// Forgets what is too old.
    pub(crate) fn expire(&self, now: Timestamp) {
        let oldest = self.oldest(now);
        self.lock().remove_where(|at| at < oldest);
    }

    /// Forgets all that is in memory of these ids, before it is removed from the store.
    pub(crate) fn forget(&self, whose: &[IdentitiesOf], values: &[IdentityValue]) {
        if whose.is_empty() && values.is_empty() {
            return;
        }
        let values: HashSet<(&str, &str)> = values.iter().map(|one| (&*one.pipeline, &*one.value)).collect();
        let whose: HashSet<(&str, &IdentityOf)> = whose.iter().map(|one| (&*one.pipeline, &one.id)).collect();
        let goes = |identity: &Arc<Identity>| {
            let pipeline = &*identity.key.pipeline;
            whose.contains(&(pipeline, &identity.key.id)) || values.contains(&(pipeline, &*identity.value))
        };
        let mut inner = self.lock();
        let Inner { known, young, old, pending, .. } = &mut *inner;
        for generation in [young, old, pending] {
            generation.retain(|fingerprint, identity| {
                let goes = goes(identity);
                if goes {
                    known.remove(fingerprint);
                }
                !goes
            });
        }
    }

    /// These are removed from the store. What was remembered since is newer, and stays.
    pub(crate) fn forgotten(&self, fingerprints: &[u64]) {
        let mut inner = self.lock();
        let Inner { known, young, old, pending, .. } = &mut *inner;
        for fingerprint in fingerprints.iter().filter(|fingerprint| !pending.contains_key(fingerprint)) {
            known.remove(fingerprint);
            young.remove(fingerprint);
            old.remove(fingerprint);
        }
    }

    fn oldest(&self, now: Timestamp) -> i64 {
        now.micros().saturating_sub(i64::try_from(self.bounds.age.as_micros()).unwrap_or(i64::MAX))
    }

    /// What is to be written now; `None` when nothing is. It stays visible until [`Self::written`].
    pub(crate) fn take(&self) -> Option<Arc<Batch>> {
        let mut inner = self.lock();
        if inner.pending.is_empty() && inner.removed.is_empty() {
            return None;
        }
        let batch = Batch { removed: std::mem::take(&mut inner.removed), entries: std::mem::take(&mut inner.pending) };
        inner.writing = Arc::new(batch);
        Some(Arc::clone(&inner.writing))
    }

    /// The batch that was taken is written, or could not be and goes back in line.
    pub(crate) fn written(&self, done: bool) {
        let mut inner = self.lock();
        let batch = std::mem::take(&mut inner.writing);
        if done {
            return;
        }
        for (fingerprint, entry) in &batch.entries {
            inner.pending.entry(*fingerprint).or_insert_with(|| Arc::clone(entry));
        }
        let mut removed = batch.removed.clone();
        removed.append(&mut inner.removed);
        inner.removed = removed;
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().known.len()
    }
}

// === impl Inner ===

impl Inner {
    fn value(&self, fingerprint: u64) -> Option<&Arc<Identity>> {
        [&self.pending, &self.writing.entries, &self.young, &self.old]
            .into_iter()
            .find_map(|generation| generation.get(&fingerprint))
    }

    fn keep(&mut self, fingerprint: u64, entry: Arc<Identity>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, entry);
    }

    fn shrink_to(&mut self, most: usize) {
        let mut times: Vec<i64> = self.known.values().copied().collect();
        let beyond = times.len().saturating_sub(most);
        if beyond == 0 {
            return;
        }
        let (older, newest_to_go, _) = times.select_nth_unstable(beyond - 1);
        let newest_to_go = *newest_to_go;
        // Of those with the very same time only as many go as must.
        let mut ties = beyond - older.iter().filter(|at| **at < newest_to_go).count();
        self.remove_where(|at| {
            let tied = at == newest_to_go && ties > 0;
            ties -= usize::from(tied);
            at < newest_to_go || tied
        });
    }

    fn remove_where(&mut self, mut goes: impl FnMut(i64) -> bool) {
        let Self { known, young, old, pending, removed, .. } = self;
        known.retain(|fingerprint, at| {
            let stays = !goes(*at);
            if !stays {
                removed.push(*fingerprint);
                for generation in [&mut *young, &mut *old, &mut *pending] {
                    generation.remove(fingerprint);
                }
            }
            stays
        });
    }
}

/// The fingerprint by which a key is stored.
pub(crate) fn fingerprint(key: &IdentityKey) -> u64 {
    let (kind, id) = match &key.id {
        IdentityOf::Anonymous(id) => ("a", id),
        IdentityOf::User(id) => ("u", id),
    };
    let mut text = String::with_capacity(key.pipeline.len() + key.name.len() + id.len() + 3);
    for part in [&*key.pipeline, "\0", &*key.name, "\0", kind, id] {
        text.push_str(part);
    }
    lookup_fingerprint(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    fn key(id: &str) -> IdentityKey {
        IdentityKey { pipeline: "shop".into(), name: "code".into(), id: IdentityOf::Anonymous(id.into()) }
    }

    fn entry(id: &str, value: &str, at: i64) -> Identity {
        Identity { key: key(id), value: value.into(), received_at: Timestamp::from_millis(at) }
    }

    fn ask(map: &Identities, id: &str) -> Answer {
        map.answer(&[key(id)], Timestamp::from_millis(0)).remove(0)
    }

    fn known(value: &str) -> Answer {
        Answer::Known(value.to_owned())
    }

    #[test]
    fn what_is_remembered_is_seen_before_during_and_after_it_is_written() {
        let map = Identities::new(Bounds { most: 10, age: YEAR }, []);
        assert_eq!(ask(&map, "a"), Answer::Unknown);
        assert_eq!(map.remember(vec![entry("a", "1", 5)]), 0);
        assert_eq!(ask(&map, "a"), known("1"));
        let batch = map.take().expect("something to write");
        assert_eq!(batch.entries.len(), 1);
        map.lock().young.clear();
        assert_eq!(ask(&map, "a"), known("1"), "the batch that is being written is still seen");
        map.written(true);
        assert_eq!(ask(&map, "a"), Answer::Ask(fingerprint(&key("a"))), "now the store has it");
        assert!(map.take().is_none());
    }

    #[test]
    fn the_newest_wins_also_against_a_batch_that_failed() {
        let map = Identities::new(Bounds { most: 10, age: YEAR }, []);
        map.remember(vec![entry("a", "new", 5), entry("a", "older", 4)]);
        assert_eq!(ask(&map, "a"), known("new"));
        map.take().expect("something to write");
        map.remember(vec![entry("a", "newest", 6)]);
        map.written(false);
        assert_eq!(ask(&map, "a"), known("newest"));
        assert_eq!(map.take().map(|batch| batch.entries.len()), Some(1));
    }

    #[test]
    fn the_same_value_is_written_again_only_after_an_hour() {
        let map = Identities::new(Bounds { most: 10, age: YEAR }, []);
        map.remember(vec![entry("a", "1", 0)]);
        map.take().expect("something to write");
        map.written(true);
        map.remember(vec![entry("a", "1", 3_599_000)]);
        assert!(map.take().is_none());
        map.remember(vec![entry("a", "1", 3_600_000)]);
        assert!(map.take().is_some());
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let map = Identities::new(Bounds { most: 640, age: YEAR }, [(7, Timestamp::from_micros(-1))]);
        map.remember((0..640).map(|number| entry(&number.to_string(), "v", number)).collect());
        assert_eq!(map.len(), 630, "a sixty-fourth is made free at once");
        assert_eq!(ask(&map, "10"), known("v"));
        assert_eq!(ask(&map, "9"), Answer::Unknown);
        let batch = map.take().expect("something to write");
        assert!(batch.removed.contains(&7));
        assert_eq!(batch.entries.len(), 630, "what is gone again is not written");
    }

    #[test]
    fn what_is_too_old_is_unknown_and_then_removed() {
        let map = Identities::new(Bounds { most: 10, age: Duration::from_secs(10) }, []);
        map.remember(vec![entry("a", "1", 0)]);
        assert_eq!(map.answer(&[key("a")], Timestamp::from_millis(10_000)), [known("1")]);
        assert_eq!(map.answer(&[key("a")], Timestamp::from_millis(10_001)), [Answer::Unknown]);
        map.expire(Timestamp::from_millis(10_001));
        assert_eq!(map.len(), 0);
        assert_eq!(map.take().map(|batch| batch.removed.len()), Some(1));
    }

    #[test]
    fn a_colliding_key_is_unknown_rather_than_someone_elses() {
        let map =
            Identities::new(Bounds { most: 10, age: YEAR }, [(fingerprint(&key("a")), Timestamp::from_millis(0))]);
        let Answer::Ask(fingerprint) = ask(&map, "a") else { panic!("the store is asked") };
        assert_eq!(map.learn(fingerprint, Some(entry("other", "1", 0)), &key("a")), None);
        assert_eq!(ask(&map, "a"), Answer::Unknown);
    }
}

//! Statistics that outlive the rows (L-5): per minute and lane, how many sends ended in which state and why, how many
//! attempts had which status, how long they took, and how long sends were under way.

use std::time::Duration;

use anole_event::{LaneId, Reason, SendRecord, State, Timestamp};

use crate::codec::{Cut, Read, put};

/// A question for statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsQuery {
    /// Only of this lane.
    pub lane: Option<LaneId>,
    /// From this time on.
    pub from: Timestamp,
    /// Before this time.
    pub until: Timestamp,
    /// How much time is folded into one row: rounded up to 1, 5 or 15 minutes, 1, 6 or 24 hours, and further until there
    /// are at most [`MOST_STEPS`] steps.
    pub step: Duration,
}

/// Statistics over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How much time a row stands for.
    pub step: Duration,
    /// Rows by time and lane, oldest first. Where nothing happened there is none.
    pub rows: Vec<Measured>,
}

/// One lane in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// When the step begins.
    pub at: Timestamp,
    /// The lane.
    pub lane: LaneId,
    /// What happened.
    pub sums: Sums,
}

/// What happened, added up. Sums of several rows can be added again ([`Sums::add`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Sends by where they ended and why, in the order of the numbers; without a state those that are tried again, once per
    /// try.
    pub sends: Vec<(Ended, u64)>,
    /// Attempts by the status of the answer; without one those that had no answer.
    pub attempts: Vec<(Option<u16>, u64)>,
    /// How long attempts took.
    pub took: Spread,
    /// How long delivered sends were under way, from the arrival of the event to the decision on the answer.
    pub delay: Spread,
}

/// Where sends ended, and why.
pub type Ended = Option<(State, Reason)>;

/// How often which length of time occurred. Lengths are kept in four classes per doubling, so a quantile is within an eighth
/// of what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Class and count, by class.
    counts: Vec<(u8, u64)>,
}

/// No answer has more steps than this: with more a plot has more points than pixels.
pub const MOST_STEPS: u64 = 750;

/// The steps there are, in minutes. Longer ones are whole days.
const STEPS: [u64; 6] = [1, 5, 15, 60, 360, 1440];
const MINUTE: u64 = 60_000_000;

// === impl StatisticsQuery ===

impl StatisticsQuery {
    /// The step that is answered, in microseconds.
    pub(crate) fn step_micros(&self) -> u64 {
        let span = self.until.micros().saturating_sub(self.from.micros()).max(0).cast_unsigned();
        let wanted = u64::try_from(self.step.as_micros()).unwrap_or(u64::MAX).max(span.div_ceil(MOST_STEPS));
        round_up(wanted)
    }
}

/// The least step that is not less, in microseconds.
fn round_up(micros: u64) -> u64 {
    let minutes = micros.div_ceil(MINUTE);
    let step = STEPS.into_iter().find(|step| *step >= minutes);
    step.unwrap_or_else(|| minutes.div_ceil(1440) * 1440).saturating_mul(MINUTE)
}

// === impl Sums ===

impl Sums {
    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.attempts.is_empty()
    }

    /// How many sends ended in a state, for whatever reason.
    #[must_use]
    pub fn ended(&self, state: State) -> u64 {
        let of = self.sends.iter().filter(|(ended, _)| ended.is_some_and(|(ended, _)| ended == state));
        of.map(|(_, count)| count).sum()
    }

    /// Adds what happened elsewhere or at another time.
    pub fn add(&mut self, other: &Self) {
        other.sends.iter().for_each(|(ended, count)| count_up(&mut self.sends, *ended, *count));
        other.attempts.iter().for_each(|(status, count)| count_up(&mut self.attempts, *status, *count));
        self.took.add(&other.took);
        self.delay.add(&other.delay);
    }

    /// Counts an entry: when it was decided, status and duration in microseconds of its attempt, its sends.
    pub(crate) fn count(&mut self, at: Timestamp, attempt: Option<(Option<u16>, u64)>, sends: &[SendRecord]) {
        if let Some((status, took_us)) = attempt {
            count_up(&mut self.attempts, status, 1);
            self.took.count(took_us);
        }
        for send in sends {
            let ended = send.outcome.as_ref().map(|outcome| (outcome.state, outcome.reason));
            count_up(&mut self.sends, ended, 1);
            if ended.is_some_and(|(state, _)| state == State::Delivered) {
                self.delay.count(at.micros().saturating_sub(send.received_at.micros()).max(0).cast_unsigned());
            }
        }
    }
}

/// Adds to a list of counts that is kept in order. Short lists: most minutes of a lane know two or three keys.
fn count_up<K: Ord + Copy>(counts: &mut Vec<(K, u64)>, key: K, count: u64) {
    match counts.binary_search_by_key(&key, |(known, _)| *known) {
        Ok(at) => counts[at].1 += count,
        Err(at) => counts.insert(at, (key, count)),
    }
}

// === impl Spread ===

impl Spread {
    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// The length that this part of all stayed within: 0.5 is the median, 0.99 all but one in a hundred, 1.0 the longest.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let total = self.total();
        let wanted = ((total as f64 * part.clamp(0.0, 1.0)).ceil() as u64).clamp(1, total.max(1));
        let mut passed = 0;
        let class = self.counts.iter().find(|(_, count)| {
            passed += count;
            passed >= wanted
        });
        class.map(|(class, _)| Duration::from_micros(middle(*class)))
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        other.counts.iter().for_each(|(class, count)| count_up(&mut self.counts, *class, *count));
    }

    fn count(&mut self, micros: u64) {
        count_up(&mut self.counts, class(micros), 1);
    }
}

/// Four classes per doubling; below four each number is its own.
fn class(micros: u64) -> u8 {
    if micros < 4 {
        return micros as u8;
    }
    let doubling = micros.ilog2();
    (4 * (doubling - 1) + (micros >> (doubling - 2) & 3) as u32) as u8
}

/// The middle of a class.
fn middle(class: u8) -> u64 {
    if class < 4 {
        return class.into();
    }
    let (doubling, quarter) = (u32::from(class / 4) + 1, u64::from(class % 4));
    let width = 1_u64 << (doubling - 2);
    // The highest class ends beyond what 64 bits hold.
    (4 + quarter).saturating_mul(width).saturating_add(width / 2)
}

// === Binary form ===

/// Each list as its length and pairs, all LEB128: of a send state (0: none yet), reason and count.
pub(crate) fn encode(sums: &Sums) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, sums.sends.len() as u64);
    for (ended, count) in &sums.sends {
        let (state, reason) = ended.map_or((0, 0), |(state, reason)| (state.number(), reason.number()));
        put(&mut bytes, state.into());
        put(&mut bytes, reason.into());
        put(&mut bytes, *count);
    }
    put(&mut bytes, sums.attempts.len() as u64);
    for (status, count) in &sums.attempts {
        put(&mut bytes, status.unwrap_or(0).into());
        put(&mut bytes, *count);
    }
    for spread in [&sums.took, &sums.delay] {
        put(&mut bytes, spread.counts.len() as u64);
        for (class, count) in &spread.counts {
            put(&mut bytes, (*class).into());
            put(&mut bytes, *count);
        }
    }
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Read<Sums> {
    let mut cut = Cut::new(bytes);
    let mut sums = Sums::default();
    for _ in 0..cut.length()? {
        let (state, reason, count) = (cut.number()?, cut.number()?, cut.number()?);
        let ended = match state {
            0 => None,
            _ => {
                let state = u8::try_from(state).ok().and_then(State::from_number).ok_or("an unknown state")?;
                let reason = u8::try_from(reason).ok().and_then(Reason::from_number).ok_or("an unknown reason")?;
                Some((state, reason))
            }
        };
        sums.sends.push((ended, count));
    }
    for _ in 0..cut.length()? {
        let status = u16::try_from(cut.number()?).map_err(|_| "a status is too large")?;
        sums.attempts.push(((status > 0).then_some(status), cut.number()?));
    }
    for spread in [&mut sums.took, &mut sums.delay] {
        for _ in 0..cut.length()? {
            let class = u8::try_from(cut.number()?).map_err(|_| "a class is too large")?;
            spread.counts.push((class, cut.number()?));
        }
    }
    if cut.is_empty() { Ok(sums) } else { Err("statistics have more bytes than their counts") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_class_holds_what_is_near_its_middle(micros in 0_u64..1 << 50) {
            let near = middle(class(micros));
            prop_assert!(near.abs_diff(micros) <= micros / 8, "{micros} is said to be {near}");
            prop_assert!(class(micros) <= class(micros + 1));
        }

        #[test]
        fn foreign_bytes_are_an_error_or_sums_and_never_a_panic(bytes: Vec<u8>) {
            if let Ok(sums) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&sums)), Ok(sums));
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut spread = Spread::default();
        assert_eq!(spread.quantile(0.5), None);
        (1..=100).for_each(|number| spread.count(number * 1000));
        let near = |part: f64, wanted: f64| {
            let said = spread.quantile(part).expect("something was counted").as_secs_f64() * 1000.0;
            assert!((said - wanted).abs() <= wanted / 8.0, "{part}: {said} ms instead of {wanted}");
        };
        near(0.5, 50.0);
        near(0.99, 99.0);
        near(1.0, 100.0);
        near(0.0, 1.0);
    }

    #[test]
    fn sums_add_up_and_read_back() {
        let mut one = Sums::default();
        count_up(&mut one.sends, Some((State::Parked, Reason::Refused)), 3);
        count_up(&mut one.sends, None, 2);
        count_up(&mut one.attempts, Some(200), 1);
        one.took.count(1500);
        let mut other = Sums::default();
        count_up(&mut other.sends, Some((State::Parked, Reason::MissingField)), 4);
        count_up(&mut other.attempts, None, 1);
        other.delay.count(9_000_000);
        one.add(&other);
        assert_eq!((one.ended(State::Parked), one.ended(State::Delivered)), (7, 0));
        assert_eq!(one.attempts, [(None, 1), (Some(200), 1)]);
        assert_eq!(decode(&encode(&one)), Ok(one));
    }

    #[test]
    fn a_step_is_round_and_no_answer_has_too_many() {
        let ask = |minutes: i64, step: u64| StatisticsQuery {
            lane: None,
            from: Timestamp::from_micros(0),
            until: Timestamp::from_micros(minutes * 60_000_000),
            step: Duration::from_secs(step),
        };
        let minutes = |query: StatisticsQuery| query.step_micros() / MINUTE;
        assert_eq!(minutes(ask(60, 0)), 1);
        assert_eq!(minutes(ask(60, 61)), 5);
        assert_eq!(minutes(ask(1440, 60)), 5, "a day has more minutes than an answer has steps");
        assert_eq!(minutes(ask(90 * 1440, 60)), 360);
        assert_eq!(minutes(ask(10_000 * 1440, 60)), 14 * 1440);
        assert_eq!(minutes(ask(-5, 3600)), 60);
    }
}

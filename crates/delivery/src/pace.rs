//! How many requests an endpoint gets in a second.
//!
//! As long as nobody complains there is no limit but the number of requests under way. A 429 says that there is one, and not
//! what it is: so it is found out, as a sender finds out how much a network carries (additive increase, multiplicative
//! decrease), and requests are spaced evenly from then on, retries among them: they spend the same rate.
//!
//! - *The first 429*: the rate becomes four fifths of what the endpoint took within the last ten seconds, or since the first
//!   request if that is less, and at least one request a second: what it took is the best guess at what it would have taken.
//!   It is a guess, and a low one where little was sent: until the second 429 it rises ten times as fast as below, and doubles its
//!   step every ten seconds, so that a short fit of 429s on a quiet lane is over within half a minute.
//! - *Each later 429*: four fifths of the rate, or of what the endpoint took within the last ten seconds if that is less, but
//!   once only for all requests that were under way at the last decrease, and once a second at most: one overflow is one
//!   message, however many requests it hits. Never less than one request in ten seconds.
//! - *Nothing but 429s since the last decrease*: the endpoint is closed for now, which says nothing of its rate. Those batches wait
//!   by their ladders, and the rate stays, so that an endpoint that opens again is not served drop by drop.
//! - *No 429*: each second the rate rises by a hundredth of what it was after the last decrease: 25 seconds until the old rate
//!   is reached, so that about one request in a hundred is refused at a limit of 5 a second. The step doubles with every minute
//!   that passes without a 429: a vendor who was limited for an hour is not felt for a day. It rises only while it is used:
//!   a rate that nobody has tried proves nothing.
//! - *Ten minutes without a 429*: there is no limit any more. If that is wrong, the next 429 starts anew.
//!
//! A `Retry-After` is a silence and comes before all of this; the rate counts when it is over.
//!
//! A little is forgiven: a request that comes up to 20 ms late does not move all that come after it, as timers are coarse.
//!
//! Rejected: a bucket that fills up while nothing is sent. Its burst is what a vendor with a window of one second refuses.
//! Also rejected: waiting for the blueprint to say the rate. Vendors do not publish theirs (`reference: Kameleoon Data API,
//! request budget`), and they change them.

use std::collections::VecDeque;
use std::time::Duration;

use anole_event::Mono;

/// What is left of a rate after a 429.
const DECREASE: f64 = 0.8;
/// What is added in a second, of the rate after the last decrease.
const INCREASE: f64 = 0.01;
/// The same as long as the rate is a guess.
const GUESS_INCREASE: f64 = 0.1;
/// After each such time without a 429 the increase doubles.
const DOUBLES: Duration = Duration::from_secs(60);
/// The same as long as the rate is a guess.
const GUESS_DOUBLES: Duration = Duration::from_secs(10);
/// So long without a 429, and there is no limit any more.
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);
/// The lowest rate, in requests a second.
const LOWEST: f64 = 0.1;
/// The lowest first guess, in requests a second.
const LOWEST_GUESS: f64 = 1.0;
/// Over this time what was taken is counted.
const SPAN: Duration = Duration::from_secs(10);
/// The shortest time over which it is.
const SHORTEST: Duration = Duration::from_secs(1);
/// Between two decreases.
const APART: Duration = Duration::from_secs(1);
/// How late a request may come without moving the next.
const LATE: Duration = Duration::from_millis(20);
/// The most answers that are remembered to count what was taken.
const REMEMBERED: usize = 4_096;

/// The rate of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    limit: Option<Limit>,
    /// When the last requests that were taken were answered, oldest first.
    taken: VecDeque<Mono>,
    /// When the first request was made.
    first: Option<Mono>,
}

#[derive(Debug)]
struct Limit {
    /// Requests a second.
    rate: f64,
    /// What it was after the last decrease.
    base: f64,
    decreased: Mono,
    raised: Mono,
    /// Whether anything was taken since.
    taken: bool,
    /// Whether there was but one 429 so far.
    guess: bool,
    /// No request before this.
    next: Mono,
}

// === impl Pace ===

impl Pace {
    /// When the next request may be made; a time that has passed is now.
    pub(crate) fn next(&self) -> Mono {
        self.limit.as_ref().map_or(Mono::default(), |limit| limit.next)
    }

    /// A request is made.
    pub(crate) fn sends(&mut self, now: Mono) {
        self.first.get_or_insert(now);
        let Some(limit) = &mut self.limit else { return };
        if now.since(limit.decreased) >= FORGOTTEN {
            self.limit = None;
            return;
        }
        limit.raise(now);
        let space = Duration::from_secs_f64(1.0 / limit.rate);
        // A request that was due long ago does not let others follow at once.
        let due = if now.since(limit.next) > LATE { now } else { limit.next };
        limit.next = due.after(space);
    }

    /// A request that was made then was answered, otherwise than by 429.
    pub(crate) fn is_taken(&mut self, now: Mono) {
        if self.taken.len() >= REMEMBERED {
            self.taken.pop_front();
        }
        self.taken.push_back(now);
        match &mut self.limit {
            Some(limit) => limit.taken = true,
            None => self.forget_old(now),
        }
    }

    /// A request that was made at `sent` was refused for being one too many.
    pub(crate) fn is_too_much(&mut self, now: Mono, sent: Mono) {
        self.forget_old(now);
        let over = now.since(self.first.unwrap_or(now)).clamp(SHORTEST, SPAN);
        #[expect(clippy::cast_precision_loss, reason = "at most 4,096")]
        let measured = self.taken.len() as f64 / over.as_secs_f64();
        let rate = match &self.limit {
            Some(limit) if !limit.taken || sent <= limit.decreased || now.since(limit.decreased) < APART => return,
            Some(limit) => (limit.rate.min(measured) * DECREASE).max(LOWEST),
            None => (measured * DECREASE).max(LOWEST_GUESS),
        };
        let space = Duration::from_secs_f64(1.0 / rate);
        let (guess, next) = (self.limit.is_none(), now.after(space));
        self.limit = Some(Limit { rate, base: rate, decreased: now, raised: now, taken: false, guess, next });
    }

    /// Requests a second, when there is a limit.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.limit.as_ref().map(|limit| limit.rate)
    }

    /// Whether it knows of no limit.
    pub(crate) const fn is_free(&self) -> bool {
        self.limit.is_none()
    }

    fn forget_old(&mut self, now: Mono) {
        while self.taken.front().is_some_and(|at| now.since(*at) > SPAN) {
            self.taken.pop_front();
        }
    }
}

// === impl Limit ===

impl Limit {
    /// The time since the last request raises the rate, as long as that was not much more than the rate would have it.
    fn raise(&mut self, now: Mono) {
        let used = Duration::from_secs_f64(2.0 / self.rate).max(APART);
        let passed = now.since(self.raised).min(used).as_secs_f64();
        let (increase, doubles) = if self.guess { (GUESS_INCREASE, GUESS_DOUBLES) } else { (INCREASE, DOUBLES) };
        let times = now.since(self.decreased).as_secs() / doubles.as_secs();
        let step = self.base * increase * f64::from(1_u32 << times.min(10));
        self.rate += step * passed;
        self.raised = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// A vendor that takes so many requests in each window.
    struct Vendor {
        limit: u32,
        window: Duration,
        began: Mono,
        count: u32,
    }

    impl Vendor {
        fn takes(&mut self, now: Mono) -> bool {
            if now.since(self.began) >= self.window {
                (self.began, self.count) = (now, 0);
            }
            self.count += 1;
            self.count <= self.limit
        }
    }

    /// Plays so many seconds with as many requests on offer as there may be, eight under way at most, each answered after
    /// 30 ms; gives back how many were taken and refused.
    fn play(pace: &mut Pace, vendor: &mut Vendor, now: &mut Mono, seconds: u64) -> (u32, u32) {
        let (mut taken, mut refused) = (0, 0);
        let mut under_way: VecDeque<(Mono, Mono, bool)> = VecDeque::new();
        let end = now.after(Duration::from_secs(seconds));
        while *now < end {
            while let Some(&(due, sent, is_taken)) = under_way.front().filter(|(due, ..)| *due <= *now) {
                under_way.pop_front();
                if is_taken { pace.is_taken(due) } else { pace.is_too_much(due, sent) }
            }
            while under_way.len() < 8 && pace.next() <= *now {
                pace.sends(*now);
                let is_taken = vendor.takes(*now);
                (taken, refused) = (taken + u32::from(is_taken), refused + u32::from(!is_taken));
                under_way.push_back((now.after(30 * MILLI), *now, is_taken));
            }
            *now = now.after(MILLI);
        }
        (taken, refused)
    }

    fn settles(limit: u32, window: Duration) {
        let (mut pace, mut now) = (Pace::default(), Mono::from_micros(1));
        let mut vendor = Vendor { limit, window, began: now, count: 0 };
        play(&mut pace, &mut vendor, &mut now, 60);
        let (taken, refused) = play(&mut pace, &mut vendor, &mut now, 300);
        let rate = f64::from(taken) / 300.0;
        let allowed = f64::from(limit) / window.as_secs_f64();
        assert!(rate > 0.8 * allowed && rate <= allowed, "{rate} of {allowed} a second");
        assert!(refused * 20 < taken + refused, "{refused} of {}", taken + refused);
    }

    #[test]
    fn a_vendor_with_a_limit_gets_nearly_that_and_refuses_little() {
        settles(5, Duration::from_secs(1));
        settles(50, Duration::from_secs(10));
        settles(100, Duration::from_secs(1));
    }

    #[test]
    fn without_a_429_there_is_no_limit() {
        let (mut pace, mut now) = (Pace::default(), Mono::from_micros(1));
        let mut vendor = Vendor { limit: u32::MAX, window: MILLI, began: now, count: 0 };
        let (taken, _) = play(&mut pace, &mut vendor, &mut now, 10);
        assert!(taken > 2_400, "eight each 30 ms: {taken}");
        assert!(pace.is_free());
    }

    #[test]
    fn a_limit_that_was_lifted_is_felt_for_minutes_and_not_for_days() {
        let (mut pace, mut now) = (Pace::default(), Mono::from_micros(1));
        let mut vendor = Vendor { limit: 5, window: Duration::from_secs(1), began: now, count: 0 };
        play(&mut pace, &mut vendor, &mut now, 120);
        vendor.limit = u32::MAX;
        play(&mut pace, &mut vendor, &mut now, 10 * 60 - 1);
        assert!(pace.rate().is_none_or(|rate| rate > 100.0), "{:?}", pace.rate());
        play(&mut pace, &mut vendor, &mut now, 60);
        assert!(pace.is_free());
    }

    #[test]
    fn a_short_fit_of_429s_on_a_quiet_lane_is_over_within_half_a_minute() {
        let (mut pace, mut now) = (Pace::default(), Mono::from_micros(1));
        pace.sends(now);
        pace.is_too_much(now, now);
        let mut vendor = Vendor { limit: u32::MAX, window: MILLI, began: now, count: 0 };
        play(&mut pace, &mut vendor, &mut now, 30);
        let (taken, _) = play(&mut pace, &mut vendor, &mut now, 10);
        assert!(taken > 50, "{taken} in ten seconds, at {:?}", pace.rate());
    }

    #[test]
    fn refusals_of_one_moment_are_one_message() {
        let mut pace = Pace::default();
        let at = |millis: u64| Mono::from_micros(millis * 1_000);
        for n in 0..100 {
            pace.sends(at(n * 10));
            pace.is_taken(at(n * 10 + 5));
        }
        for _ in 0..8 {
            pace.is_too_much(at(1_010), at(1_000));
        }
        let rate = pace.rate().unwrap();
        assert!((75.0..85.0).contains(&rate), "four fifths of a hundred a second: {rate}");
        pace.is_taken(at(2_000));
        pace.is_too_much(at(3_000), at(1_005));
        assert_eq!(pace.rate(), Some(rate), "that was under way at the last decrease");
        pace.is_too_much(at(3_000), at(2_900));
        assert!(pace.rate().unwrap() < rate);
    }

    #[test]
    fn an_endpoint_that_was_closed_for_an_hour_gets_at_once_what_it_got_before() {
        let (mut pace, mut now) = (Pace::default(), Mono::from_micros(1));
        let mut vendor = Vendor { limit: 20, window: Duration::from_secs(1), began: now, count: 0 };
        play(&mut pace, &mut vendor, &mut now, 60);
        vendor.limit = 0;
        play(&mut pace, &mut vendor, &mut now, 5);
        let before = pace.rate().unwrap();
        let at = now.after(Duration::from_secs(3_600));
        pace.is_too_much(at, at);
        assert_eq!(pace.rate(), Some(before));
        assert!(before > 10.0, "{before}");
    }

    #[test]
    fn a_first_refusal_before_anything_was_taken_is_no_reason_to_wait_for_long() {
        let mut pace = Pace::default();
        let at = Mono::from_micros(1_000_000);
        pace.sends(at);
        pace.is_too_much(at, at);
        assert!(pace.next().since(at) <= Duration::from_secs(1));
    }
}

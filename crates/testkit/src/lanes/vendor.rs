//! A vendor whose weather changes.

use std::time::Duration;

use anole_delivery::{Answered, LONGEST_RETRY_AFTER};
use anole_event::{Mono, Random, Reached, Seeded, Timestamp};
use bytes::Bytes;

/// After this long without an answer the driver gives a request up.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// How a vendor names the time after which it may be asked again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asks {
    Nothing,
    Seconds,
    Date,
    /// A day, a date long gone or far ahead, or no time at all.
    Absurd,
}

/// How a vendor is for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weather {
    Healthy,
    /// So many percent of requests fail in passing.
    Flaky(u64),
    /// Every request has this status, or no answer at once.
    Down(Option<u16>),
    /// Every request is told to come later.
    Throttles(u16, Asks),
    /// No more than one request in so many microseconds is taken; the rest has 429.
    Limits(u64, Asks),
    /// Everything is refused: the mapping is broken.
    RefusesAll(u16),
    /// Misconfigured: pauses.
    Rejects(u16),
    /// No answer comes before the timeout.
    Hangs,
    /// So many percent are taken and the answer is lost.
    LosesAnswers(u64),
    Slow,
}

/// A stretch of weather.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spell {
    pub(crate) until: u64,
    pub(crate) weather: Weather,
    /// The one address that has it; the other one is well. `None`: both have it.
    pub(crate) only: Option<usize>,
}

/// What a vendor does with a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) takes: bool,
    pub(crate) after: Duration,
    pub(crate) retry_after: Option<String>,
    /// The silence that must be kept from the moment of the answer on.
    pub(crate) silence: Silence,
}

/// When a lane may ask again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Silence {
    None,
    For(Duration),
    /// Until this wall time, but no longer than the bound.
    Until(Timestamp),
}

#[derive(Debug)]
pub(crate) struct Vendor {
    random: Seeded,
    spells: Vec<Spell>,
    latency: Duration,
    /// When the limiter takes the next request.
    free_at: u64,
}

// === impl Weather ===

impl Weather {
    pub(crate) fn any(random: &mut Seeded) -> Self {
        let asks = [Asks::Nothing, Asks::Seconds, Asks::Date, Asks::Absurd][random.below(4) as usize];
        match random.below(14) {
            0..2 => Self::Flaky(1 + random.below(60)),
            2 => Self::Down(None),
            3 => Self::Down(Some([500, 502, 503, 408][random.below(4) as usize])),
            4..6 => Self::Throttles(if random.below(2) == 0 { 429 } else { 503 }, asks),
            6 => Self::Limits(1_000 + random.below(3_000_000), asks),
            7..9 => Self::RefusesAll(if random.below(2) == 0 { 400 } else { 422 }),
            9 | 10 => Self::Rejects([404, 403, 401, 301][random.below(4) as usize]),
            11 => Self::Hangs,
            12 => Self::LosesAnswers(1 + random.below(70)),
            _ => Self::Slow,
        }
    }
}

// === impl Silence ===

impl Silence {
    /// Until when nothing may be sent.
    pub(crate) fn end(self, mono: Mono, wall: Timestamp) -> Mono {
        match self {
            Self::None => Mono::default(),
            Self::For(time) => mono.after(time.min(LONGEST_RETRY_AFTER)),
            Self::Until(at) => mono.after(at.since(wall).min(LONGEST_RETRY_AFTER)),
        }
    }
}

// === impl Vendor ===

impl Vendor {
    pub(crate) const fn new(seed: Seeded, spells: Vec<Spell>, latency: Duration) -> Self {
        Self { random: seed, spells, latency, free_at: 0 }
    }

    fn weather(&self, at: u64, address: usize) -> Weather {
        let spell = &self.spells[self.spells.partition_point(|spell| spell.until <= at).min(self.spells.len() - 1)];
        let is_over = spell.until <= at;
        if is_over || spell.only.is_some_and(|only| only != address) { Weather::Healthy } else { spell.weather }
    }

    /// What comes of a request that arrives now.
    pub(crate) fn answer(
        &mut self,
        mono: Mono,
        wall: Timestamp,
        address: usize,
        (is_poisonous, is_sick): (bool, bool),
    ) -> Answer {
        let weather = self.weather(mono.micros(), address);
        let mut after = Duration::from_micros(1 + self.random.below(self.latency.as_micros() as u64));
        let well = match (is_poisonous, is_sick) {
            (true, _) => Some(if self.random.below(2) == 0 { 400 } else { 422 }),
            (false, true) => Some(500),
            (false, false) => Some(204),
        };
        let (mut asks, mut takes) = (Asks::Nothing, well == Some(204));
        let status = match weather {
            Weather::Healthy => well,
            Weather::Flaky(percent) if self.random.below(100) < percent => {
                takes = takes && self.random.below(4) == 0;
                [None, Some(500), Some(503), Some(502)][self.random.below(4) as usize]
            }
            Weather::LosesAnswers(percent) if self.random.below(100) < percent => None,
            Weather::Limits(every, how) if mono.micros() >= self.free_at => {
                (self.free_at, asks) = (mono.micros() + every, how);
                well
            }
            Weather::Flaky(_) | Weather::LosesAnswers(_) => well,
            Weather::Slow => {
                after = Duration::from_micros(self.random.below(TIMEOUT.as_micros() as u64));
                well
            }
            bad => {
                takes = false;
                match bad {
                    Weather::Down(status) => status,
                    Weather::Throttles(status, how) => {
                        asks = how;
                        Some(status)
                    }
                    Weather::Limits(_, how) => {
                        asks = how;
                        Some(429)
                    }
                    Weather::RefusesAll(status) | Weather::Rejects(status) => Some(status),
                    _ => {
                        after = TIMEOUT;
                        None
                    }
                }
            }
        };
        let (retry_after, silence) = match status {
            Some(429 | 503) => self.ask(asks, wall),
            _ => (None, Silence::None),
        };
        Answer { status, takes, after, retry_after, silence }
    }

    fn ask(&mut self, asks: Asks, wall: Timestamp) -> (Option<String>, Silence) {
        let most = if self.random.below(3) == 0 { 900 } else { 20 };
        let seconds = self.random.below(most);
        let (text, silence) = match asks {
            Asks::Nothing => return (None, Silence::None),
            Asks::Seconds => (seconds.to_string(), Silence::For(Duration::from_secs(seconds))),
            Asks::Date => {
                let at = Timestamp::from_millis(wall.after(Duration::from_secs(seconds)).millis() / 1_000 * 1_000);
                (http_date(at), Silence::Until(at))
            }
            Asks::Absurd => match self.random.below(6) {
                0 => ("86400".to_owned(), Silence::For(LONGEST_RETRY_AFTER)),
                1 => ("Sun, 22 Nov 2099 09:00:00 GMT".to_owned(), Silence::For(LONGEST_RETRY_AFTER)),
                2 => ("Sun, 22 Nov 1998 09:00:00 GMT".to_owned(), Silence::None),
                3 => ("soon".to_owned(), Silence::None),
                4 => ("-5".to_owned(), Silence::None),
                _ => ("99999999999999999999999".to_owned(), Silence::None),
            },
        };
        (Some(text), silence)
    }
}

/// A date as RFC 9110 writes it.
fn http_date(at: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = at.millis() / 1_000;
    let days = seconds.div_euclid(86_400);
    // Days since March 1 of year 0, in eras of 400 years: leap days are at the end of such years.
    let since = days + 719_468;
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 2 } else { from_march - 10 };
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let time = seconds.rem_euclid(86_400);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[days.rem_euclid(7) as usize],
        MONTHS[month as usize],
        time / 3_600,
        time / 60 % 60,
        time % 60
    )
}

/// The answer as the driver tells it.
pub(crate) fn answered(answer: &Answer) -> Answered {
    Answered {
        reached: if answer.status.is_some() { Reached::Body } else { Reached::Written },
        status: answer.status,
        took: answer.after,
        request_body: Bytes::new(),
        headers: answer.retry_after.iter().map(|value| ("Retry-After".to_owned(), value.clone())).collect(),
        body: Bytes::new(),
        body_bytes: 0,
        error: None,
        blocked: false,
        without_token: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_the_vendors_write_them() {
        let date = |text| http_date(Timestamp::parse(text).expect("a time"));
        assert_eq!(date("2026-11-22T10:00:30Z"), "Sun, 22 Nov 2026 10:00:30 GMT");
        assert_eq!(date("2028-02-29T23:59:59Z"), "Tue, 29 Feb 2028 23:59:59 GMT");
        assert_eq!(date("2027-01-01T00:00:00Z"), "Fri, 01 Jan 2027 00:00:00 GMT");
    }
}

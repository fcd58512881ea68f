//! Wall-clock time, in microseconds UTC.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time on the wall clock: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: write it as RFC 3339, such as 2026-11-22T10:00:05Z")]
pub struct TimestampError(String);

// === impl Timestamp ===

impl Timestamp {
    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded down.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The time that lies `by` later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Appends what is displayed. Each event is written with two times, and the library's own formatting cost more than
    /// everything else in the event; the days are turned into a date as in H. Hinnant's `civil_from_days`.
    pub fn write(self, out: &mut Vec<u8>) {
        let (text, length) = self.digits();
        out.extend_from_slice(&text[..length]);
    }

    /// `2026-11-22T10:00:05.123Z` and its length. Times outside the years 0 to 9999 are cut to them.
    fn digits(self) -> ([u8; 27], usize) {
        const FIRST: i64 = -62_167_219_200_000_000;
        const LAST: i64 = 253_402_300_799_999_999;
        let micros = self.0.clamp(FIRST, LAST);
        let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put(&mut text[0..4], year);
        put(&mut text[5..7], month);
        put(&mut text[8..10], day);
        put(&mut text[11..13], second / 3_600);
        put(&mut text[14..16], second / 60 % 60);
        put(&mut text[17..19], second % 60);
        put(&mut text[20..26], fraction);
        if fraction % 1_000 == 0 {
            text[23] = b'Z';
            return (text, 24);
        }
        (text, 27)
    }

    /// Reads ISO 8601 as clients write it: any offset, any number of fraction digits; a time without an offset is UTC.
    ///
    /// # Errors
    /// When the text is no time, or lies outside the years that a timestamp can hold.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let text = text.trim();
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(time.as_microsecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>().map_err(|_| TimestampError(text.to_owned()))?;
        let time = jiff::tz::Offset::UTC.to_timestamp(civil).map_err(|_| TimestampError(text.to_owned()))?;
        Ok(Self(time.as_microsecond()))
    }
}

/// RFC 3339 in UTC, with milliseconds, or microseconds where there are some.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, length) = self.digits();
        f.write_str(std::str::from_utf8(&text[..length]).unwrap_or_default())
    }
}

/// Puts a number's last digits.
fn put(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_clients_write_them() {
        let whole = Timestamp::parse("2026-11-22T10:00:05Z").expect("a time");
        for text in
            ["2026-11-22T10:00:05.000Z", "2026-11-22T11:00:05+01:00", "2026-11-22T10:00:05", "2026-11-22 10:00:05Z"]
        {
            assert_eq!(Timestamp::parse(text), Ok(whole), "{text}");
        }
        let nanos = Timestamp::parse("2026-11-22T10:00:05.123456789+00:00").expect("a time");
        assert_eq!(nanos.to_string(), "2026-11-22T10:00:05.123456Z");
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn a_time_is_printed_in_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_795_341_605_120).to_string(), "2026-11-22T10:00:05.120Z");
        assert_eq!(Timestamp::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // Every 37 hours and a bit through four centuries, leap days and century years included.
        for step in -60_000..40_000_i64 {
            let micros = step * 133_207_000_123;
            let expected = jiff::Timestamp::from_microsecond(micros).expect("in range");
            let expected = format!("{expected:.6}");
            let shown = Timestamp::from_micros(micros).to_string();
            let full = if shown.len() == 24 { shown.replace('Z', "000Z") } else { shown };
            assert_eq!(full, expected);
        }
    }
}

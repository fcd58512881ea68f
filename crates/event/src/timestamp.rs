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
        let digits = if self.0.rem_euclid(1000) == 0 { 3 } else { 6 };
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{time:.digits$}"),
            Err(_) => write!(f, "{}us", self.0),
        }
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
    }
}

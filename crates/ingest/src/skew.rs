//! When an event happened, by our clock.
//!
//! A client's clock may be wrong by years, but it was wrong by the same amount when it stamped the event and when it sent
//! it. So the time is received_at - (sent_at - original), which also keeps historic imports right: there both are true.
//! Without `sentAt` the client's time is taken as it is; without a time of its own an event happened when it came in.
//!
//! Of two `sentAt` the batch's is taken, as it is renewed when the request is made; some clients (Rudder's) stamp each
//! event's own when it is queued, and would so make the time in the queue look like a wrong clock. A text that is no
//! time counts as absent, and is kept as it was written.

use std::borrow::Cow;

use anole_event::Timestamp;
use serde_json::value::RawValue;

use crate::json::Text;

/// When an event happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Times<'a> {
    /// By our clock.
    pub(crate) timestamp: Timestamp,
    /// When it was sent, as the client wrote it.
    pub(crate) sent_at: Option<Cow<'a, str>>,
    /// When it happened, as the client wrote it.
    pub(crate) original: Option<Cow<'a, str>>,
}

/// A time as a client says it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moment<'a> {
    /// `None` when it is no time.
    time: Option<Timestamp>,
    /// As it was written; `None` when there is nothing.
    text: Option<Cow<'a, str>>,
}

/// The times of an event that happened at `original` and was sent at `sent`, as the client says.
pub(crate) fn times<'a>(original: Moment<'a>, sent: Moment<'a>, received_at: Timestamp) -> Times<'a> {
    let timestamp = match (original.time, sent.time) {
        (None, _) => received_at,
        (Some(original), None) => original,
        (Some(original), Some(sent)) => {
            let before = sent.micros().saturating_sub(original.micros());
            Timestamp::from_micros(received_at.micros().saturating_sub(before))
        }
    };
    Times { timestamp, sent_at: sent.text, original: original.text }
}

// === impl Moment ===

impl<'a> Moment<'a> {
    /// Reads a raw value as a time.
    pub(crate) fn of(raw: Option<&'a RawValue>) -> Self {
        let Some((raw, text)) = raw.and_then(|raw| Text::of(raw).ok().map(|text| (raw, text))) else {
            return Self::default();
        };
        let is_text = raw.get().starts_with('"');
        let time = if is_text { Timestamp::parse(&text).ok() } else { epoch(&text) };
        Self { time, text: Some(text) }
    }

    /// Whether something was said, be it a time or not.
    pub(crate) const fn is_said(&self) -> bool {
        self.text.is_some()
    }
}

/// A number is a time since 1970: milliseconds, or seconds when it is too small for those (before March 1973).
fn epoch(number: &str) -> Option<Timestamp> {
    let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite())?;
    let micros = if number.abs() < 1e11 { number * 1e6 } else { number * 1e3 };
    // Out of range saturates, and such a time is then written as what it is: far away.
    #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
    let micros = micros as i64;
    Some(Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn corrected(original: &str, sent: &str, received: &str) -> Timestamp {
        let (original, sent): (Option<&RawValue>, Option<&RawValue>) =
            (serde_json::from_str(original).expect("JSON"), serde_json::from_str(sent).expect("JSON"));
        times(Moment::of(original), Moment::of(sent), at(received)).timestamp
    }

    #[test]
    fn a_wrong_clock_of_the_client_or_of_ours_is_corrected() {
        let cases = [
            (r#""2026-11-22T09:59:50Z""#, r#""2026-11-22T10:00:05Z""#, "2026-11-22T09:58:06Z", "2026-11-22T09:57:51Z"),
            (r#""2024-01-02T03:04:05Z""#, r#""2026-11-22T10:00:00Z""#, "2026-11-22T10:00:01Z", "2024-01-02T03:04:06Z"),
            (r#""2026-11-22T09:59:50Z""#, "null", "2026-11-22T10:00:00Z", "2026-11-22T09:59:50Z"),
            ("null", r#""2026-11-22T10:00:05Z""#, "2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
            ("null", "null", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
            // What clients write: an offset, microseconds, nanoseconds, numbers.
            (r#""2026-11-22T11:59:50+02:00""#, "null", "2026-11-22T10:00:00Z", "2026-11-22T09:59:50Z"),
            (r#""2026-11-22T09:59:50.123456789Z""#, "null", "2026-11-22T10:00:00Z", "2026-11-22T09:59:50.123456Z"),
            ("1795341590000", "null", "2026-11-22T10:00:00Z", "2026-11-22T09:59:50Z"),
            ("1795341590", "null", "2026-11-22T10:00:00Z", "2026-11-22T09:59:50Z"),
            // What is no time is as good as absent.
            (r#""yesterday""#, r#""2026-11-22T10:00:05Z""#, "2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
            (r#""2026-11-22T09:59:50Z""#, r#""soon""#, "2026-11-22T10:00:00Z", "2026-11-22T09:59:50Z"),
        ];
        for (original, sent, received, expected) in cases {
            assert_eq!(corrected(original, sent, received), at(expected), "{original} {sent} {received}");
        }
    }

    #[test]
    fn what_the_client_wrote_is_kept_even_when_it_is_no_time() {
        let raw: &RawValue = serde_json::from_str("\"yesterday\"").expect("JSON");
        let times = times(Moment::of(Some(raw)), Moment::default(), at("2026-11-22T10:00:00Z"));
        assert_eq!(times.original.as_deref(), Some("yesterday"));
    }
}

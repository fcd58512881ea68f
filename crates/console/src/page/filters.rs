//! What lists have in common: the period that is looked at, the filters that hold, and the way to the next page.

use std::time::Duration;

use anole_event::Timestamp;
use maud::{Markup, html};

use super::parts;
use crate::params::Params;

/// The periods that are offered.
const PERIODS: [(&str, &str, u64); 5] = [
    ("15m", "15 min", 900),
    ("1h", "1 hour", 3_600),
    ("24h", "24 hours", 86_400),
    ("7d", "7 days", 604_800),
    ("30d", "30 days", 2_592_000),
];

/// From when to when; `None` is the beginning, or now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

// === impl Period ===

impl Period {
    /// The period of an address: `from` and `until`, or a `since` that ends now.
    ///
    /// # Errors
    /// A sentence, when a time is none.
    pub(super) fn of(params: &Params, now: Timestamp) -> Result<Self, String> {
        let (from, until) = (params.time("from")?, params.time("until")?);
        let Some(since) = params.get("since").filter(|_| from.is_none() && until.is_none()) else {
            return Ok(Self { from, until });
        };
        let Some((_, _, seconds)) = PERIODS.iter().find(|(name, ..)| *name == since) else {
            let known: Vec<_> = PERIODS.iter().map(|(name, ..)| *name).collect();
            return Err(format!("since: `{since}` is none of {}", known.join(", ")));
        };
        Ok(Self { from: Some(before(now, Duration::from_secs(*seconds))), until: None })
    }
}

/// So much earlier.
pub(super) fn before(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

/// The choice of a period.
pub(super) fn since(params: &Params) -> Markup {
    let chosen = params.get("since").filter(|_| params.get("from").is_none() && params.get("until").is_none());
    html! {
        label { span { "Time" }
            select name="since" {
                option value="" { @if params.get("from").is_some() { "as marked" } @else { "all that is kept" } }
                @for (name, label, _) in PERIODS { option value=(name) selected[chosen == Some(name)] { "last " (label) } }
            }
        }
    }
}

/// The filters that hold, each with a way to be rid of it.
pub(super) fn chips(path: &str, params: &Params, names: &[&str]) -> Markup {
    let held: Vec<_> = params.pairs().filter(|(name, _)| names.contains(name)).collect();
    html! {
        @if !held.is_empty() {
            p.chips {
                @for (name, value) in &held {
                    a.chip href=(params.without(&[name, "after"]).at(path)) title="Remove this filter" {
                        span { (name) } " "
                        @match Timestamp::parse(value).ok().filter(|_| ["from", "until"].contains(name)) {
                            Some(at) => { (parts::time(at)) }
                            None => { (value) }
                        }
                        b aria-label="remove" { "×" }
                    }
                }
                @if held.len() > 1 { a href=(params.without(names).without(&["after"]).at(path)) { "Clear all" } }
            }
        }
    }
}

/// The way back to the newest rows, and on to older ones.
pub(super) fn pages(path: &str, params: &Params, next: Option<String>) -> Markup {
    html! {
        nav.pages aria-label="Pages of the list" {
            @if params.get("after").is_some() { a.button href=(params.without(&["after"]).at(path)) { "Newest" } }
            @if let Some(next) = next { a.button rel="next" href=(params.with("after", Some(&next)).at(path)) { "Older" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_what_the_address_says() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let of = |query| Period::of(&Params::of(Some(query)), now);
        assert_eq!(of("since=1h").unwrap().from.unwrap().to_string(), "2025-12-31T23:00:00.000Z");
        assert_eq!(of(""), Ok(Period::default()));
        let marked = of("since=1h&from=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z").unwrap();
        assert_eq!(marked.until.unwrap().to_string(), "2026-01-02T00:00:00.000Z", "what is marked goes before");
        assert!(of("since=ever").unwrap_err().contains("15m"));
    }
}

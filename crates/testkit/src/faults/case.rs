//! The faults, one after the other, and what anole must make of each.

use std::time::Duration;

use super::bound::Bound;
use crate::vendor::{Certificate, Fault, Place, RetryAfter};

/// A fault and what must come of it.
#[derive(Debug, PartialEq)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What the vendor does, for the table.
    pub does: &'static str,
    /// How the fault is brought about.
    pub arm: Arm,
    /// How it ends.
    pub mend: Mend,
    /// The blueprint.
    pub blueprint: Blueprint,
    /// `delivery.timeout`, in seconds.
    pub timeout: u64,
    /// What the delivery log must say of an attempt.
    pub says: Says,
    /// How the lane must be while it stands, by the list of lanes.
    pub lane: Stands,
    /// How the events end.
    pub ends: Ends,
    /// How many requests it may cost.
    pub bound: Bound,
}

/// How a fault is brought about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arm {
    /// The vendor has it.
    Fault(Fixed),
    /// So many of the events are poison.
    Poison(u64),
    /// The vendor, which is called by https, shows another certificate, or speaks plain http.
    Certificate(Option<Certificate>),
    /// The pipeline names a host that does not exist.
    NoSuchName,
}

/// A fault of a vendor that can be written as a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fixed {
    /// [`Fault::Status`].
    Status(u16),
    /// [`Fault::Busy`] with a text.
    Busy(u16, &'static str),
    /// [`Fault::Busy`] with the date in so many seconds.
    BusyUntil(u16, u64),
    /// [`Fault::Refused`].
    Refused,
    /// [`Fault::Reset`].
    Reset(Place),
    /// [`Fault::Hang`].
    Hang(Place),
    /// [`Fault::Trickle`].
    Trickle(Place),
    /// [`Fault::Flood`].
    Flood(u64),
    /// [`Fault::Garbage`].
    Garbage,
}

/// How a fault ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// The vendor is well again.
    Heal,
    /// The vendor is well again, and the operator gives another address of it: silence is kept by address.
    Elsewhere,
}

/// By which blueprint the vendor is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blueprint {
    /// The one that ships, with small batches.
    Kameleoon,
    /// One without an `answers` table: the defaults hold.
    Plain,
}

/// What the delivery log says of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Says {
    /// The status.
    pub status: Option<u16>,
    /// What was decided.
    pub decision: &'static str,
    /// Words of the error.
    pub words: &'static str,
}

/// How a lane is while a fault stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It goes on.
    Runs,
    /// It is paused, for a reason with these words.
    Paused(&'static str),
    /// The breaker of its endpoint is open.
    BreakerOpen,
    /// Its endpoint gets so many requests a second and no more.
    Slowed,
    /// Its endpoint has asked for silence.
    Silent,
}

/// How the events of a cell end before anything is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// All are delivered.
    Delivered,
    /// The poison ones are parked.
    PoisonParked,
    /// In each life of the daemon eight are parked, whichever they are.
    EightParked,
}

/// How long a paused lane waits for its probe.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Without an answer in this time the cells of silent vendors go on.
const SHORT: u64 = 2;
const LONG: u64 = 20;
/// The hint of 429.
const LIMIT: &str = "the per-IP rate limit";

/// Every fault of the matrix.
pub static CASES: &[Case] = &[
    delivered("status-200", "answers 200", Fixed::Status(200), "", 200),
    delivered("status-204", "answers 204", Fixed::Status(204), "", 204),
    paused("status-301", "redirects to another address", 301, "pause", "the vendor answered 301"),
    Case {
        arm: Arm::Poison(3),
        lane: Stands::Runs,
        ends: Ends::PoisonParked,
        bound: Bound::Poison(3),
        ..refused(
            "poison-400",
            "answers 400 to each request that holds one of 3 poison events",
            400,
            "check the mapping",
        )
    },
    refused("status-400", "answers 400 to everything", 400, "check the mapping"),
    Case { bound: Bound::Refresh, ..paused("status-401", "answers 401", 401, "refresh_auth", "the token is refused") },
    paused("status-403", "answers 403", 403, "pause", "the user agent or the address is refused"),
    paused("status-404", "answers 404", 404, "pause", "is the account on eu or na?"),
    retried("status-408", "answers 408", Fixed::Status(408), Some(408), "the vendor answered 408"),
    refused("status-413", "answers 413 to everything, also to a single event", 413, "the vendor answered 413"),
    refused("status-418", "answers 418", 418, "the vendor answered 418"),
    slowed("429-bare", "answers 429 without `Retry-After`", Fixed::Status(429)),
    said("429-seconds", "answers 429 with `Retry-After: 1`", Fixed::Busy(429, "1"), 429, LIMIT, 1),
    said("429-date", "answers 429 with a date two seconds later", Fixed::BusyUntil(429, 2), 429, LIMIT, 1),
    slowed("429-past", "answers 429 with a date in the past", Fixed::Busy(429, "Sun, 22 Nov 2015 10:00:00 GMT")),
    slowed("429-words", "answers 429 with `Retry-After: soon`", Fixed::Busy(429, "soon")),
    slowed("429-minus", "answers 429 with `Retry-After: -5`", Fixed::Busy(429, "-5")),
    Case {
        mend: Mend::Elsewhere,
        lane: Stands::Silent,
        bound: Bound::Silence,
        ..said(
            "429-year",
            "answers 429 with `Retry-After: 31536000`, a year",
            Fixed::Busy(429, "31536000"),
            429,
            LIMIT,
            600,
        )
    },
    retried("status-500", "answers 500", Fixed::Status(500), Some(500), "the vendor answered 500"),
    Case {
        blueprint: Blueprint::Plain,
        ..refused("status-501", "answers 501, by a blueprint without answers", 501, "the vendor answered 501")
    },
    retried("status-503", "answers 503", Fixed::Status(503), Some(503), "the vendor answered 503"),
    said("503-seconds", "answers 503 with `Retry-After: 1`", Fixed::Busy(503, "1"), 503, "the vendor answered 503", 1),
    retried("refused", "refuses connections", Fixed::Refused, None, "Connection refused"),
    retried("reset-accept", "resets connections at once", Fixed::Reset(Place::Accept), None, "reset by peer"),
    retried("reset-header", "resets in the header of its answer", Fixed::Reset(Place::Header), None, "broke before"),
    delivered("reset-body", "resets in the body of a 200", Fixed::Reset(Place::Body), "the answer broke off", 200),
    silent("hang-header", "takes the request and never answers", Fixed::Hang(Place::Header)),
    Case {
        timeout: SHORT,
        ..delivered("hang-body", "goes silent in the body of a 200", Fixed::Hang(Place::Body), "in time", 200)
    },
    silent("trickle-header", "sends its header a byte every 50 ms", Fixed::Trickle(Place::Header)),
    Case {
        timeout: SHORT,
        ..delivered(
            "trickle-body",
            "sends an endless body, a byte every 50 ms",
            Fixed::Trickle(Place::Body),
            "in time",
            200,
        )
    },
    delivered("flood", "answers 200 with 500 MB of body", Fixed::Flood(500_000_000), "", 200),
    retried("garbage", "answers what is no HTTP", Fixed::Garbage, None, "invalid HTTP"),
    tls("tls-plain", "answers https with plain http", None, "InvalidContentType"),
    tls("tls-expired", "shows a certificate that has ended", Some(Certificate::Expired), "expired"),
    tls("tls-stranger", "shows a certificate that it signed itself", Some(Certificate::Stranger), "UnknownIssuer"),
    tls("tls-name", "shows a certificate of another name", Some(Certificate::OtherName), "not valid for name"),
    Case {
        arm: Arm::NoSuchName,
        ..retried("dns", "has a name that does not resolve", Fixed::Refused, None, "failed to lookup")
    },
];

/// The case of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name)
}

const fn base(name: &'static str, does: &'static str, fault: Fixed, says: Says) -> Case {
    Case {
        name,
        does,
        arm: Arm::Fault(fault),
        mend: Mend::Heal,
        blueprint: Blueprint::Kameleoon,
        timeout: LONG,
        says,
        lane: Stands::Runs,
        ends: Ends::Delivered,
        bound: Bound::Once,
    }
}

/// The events are taken in at the first try.
const fn delivered(name: &'static str, does: &'static str, fault: Fixed, words: &'static str, status: u16) -> Case {
    base(name, does, fault, Says { status: Some(status), decision: "delivered", words })
}

/// The endpoint fails: batches are tried again by the ladder, and five failures open the breaker.
const fn retried(
    name: &'static str,
    does: &'static str,
    fault: Fixed,
    status: Option<u16>,
    words: &'static str,
) -> Case {
    let lane = Stands::BreakerOpen;
    Case { lane, bound: Bound::Breaker, ..base(name, does, fault, Says { status, decision: "retry", words }) }
}

/// The endpoint asks for less, and does not say how much less.
const fn slowed(name: &'static str, does: &'static str, fault: Fixed) -> Case {
    let lane = Stands::Slowed;
    Case { lane, bound: Bound::Pace, ..retried(name, does, fault, Some(429), LIMIT) }
}

/// The vendor says when it wants to be asked again.
const fn said(
    name: &'static str,
    does: &'static str,
    fault: Fixed,
    status: u16,
    words: &'static str,
    every: u64,
) -> Case {
    let lane = if status == 429 { Stands::Slowed } else { Stands::BreakerOpen };
    Case { lane, bound: Bound::Said(every), ..retried(name, does, fault, Some(status), words) }
}

/// No answer comes in time.
const fn silent(name: &'static str, does: &'static str, fault: Fixed) -> Case {
    Case { timeout: SHORT, ..retried(name, does, fault, None, "no answer in time") }
}

/// No trust comes about.
const fn tls(name: &'static str, does: &'static str, certificate: Option<Certificate>, words: &'static str) -> Case {
    Case { arm: Arm::Certificate(certificate), ..retried(name, does, Fixed::Refused, None, words) }
}

/// The lane pauses with the words of the attempt.
const fn paused(
    name: &'static str,
    does: &'static str,
    status: u16,
    decision: &'static str,
    words: &'static str,
) -> Case {
    Case {
        lane: Stands::Paused(words),
        bound: Bound::Pause,
        ..base(name, does, Fixed::Status(status), Says { status: Some(status), decision, words })
    }
}

/// Everything is refused: eight single events are parked, then the lane pauses.
const fn refused(name: &'static str, does: &'static str, status: u16, words: &'static str) -> Case {
    Case {
        lane: Stands::Paused("it is the mapping and not the events"),
        ends: Ends::EightParked,
        bound: Bound::Refusals,
        ..base(name, does, Fixed::Status(status), Says { status: Some(status), decision: "split", words })
    }
}

// === impl Fixed ===

impl Fixed {
    pub(super) fn fault(self) -> Fault {
        match self {
            Self::Status(status) => Fault::Status(status),
            Self::Busy(status, text) => Fault::Busy(status, RetryAfter::Text(text.to_owned())),
            Self::BusyUntil(status, later) => Fault::Busy(status, RetryAfter::DateIn(Duration::from_secs(later))),
            Self::Refused => Fault::Refused,
            Self::Reset(place) => Fault::Reset(place),
            Self::Hang(place) => Fault::Hang(place),
            Self::Trickle(place) => Fault::Trickle(place),
            Self::Flood(bytes) => Fault::Flood(bytes),
            Self::Garbage => Fault::Garbage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_used_once_and_found() {
        for case in CASES {
            assert_eq!(CASES.iter().filter(|other| other.name == case.name).count(), 1, "{}", case.name);
            assert_eq!(find(case.name), Some(case));
        }
        assert_eq!(find("no-such-fault"), None);
    }
}

//! Google's consent mode as it stands in a query: `gcs` and `gcd`.
//!
//! `gcs` is `G1` and two characters for ad_storage and analytics_storage: `1` granted, `0` denied, `-` not set. `gcd` is a
//! `1`, four pairs of characters for the four types, and a trailer. Each character is a number of six bits in the alphabet
//! `0-9a-zA-Z-_`, of three or two slots of two bits: in the second one of a pair stand declared, default and update, in the
//! first one delegated and implicit; 2 is denied, 3 granted. The latest that was said holds: update, default, declared, and
//! last what is implicit. Source: runs of gtag.js, of which the tests' vectors are.
//!
//! A page that never speaks of consent sends `13l3l3l3l1`: everything granted, implicitly. Google acts as if it were; here
//! an implicit grant says nothing, as nobody was asked, and the pipeline's `unknown` decides. An implicit denial denies.

use std::borrow::Cow;

use crate::consent::Said;
use crate::key::parameter;

/// The types in the order of `gcd`.
const TYPES: [&str; 4] = ["ad_storage", "analytics_storage", "ad_user_data", "ad_personalization"];

/// What is said of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signal {
    granted: bool,
    /// Whether nobody asked the visitor.
    implicit: bool,
}

/// What a query says of consent, in Google's words. Where both say something `gcd` holds, as it tells who said it.
pub(crate) fn flags(query: &str) -> Said<'static> {
    said(parameter(query, &["gcs"]).as_deref(), parameter(query, &["gcd"]).as_deref())
}

/// What `gcs` and `gcd` say of consent, in Google's words.
pub(crate) fn said(gcs: Option<&str>, gcd: Option<&str>) -> Said<'static> {
    let full = gcd.and_then(self::gcd).unwrap_or_default();
    let short = gcs.and_then(self::gcs).unwrap_or_default();
    let mut said = Vec::new();
    for (index, name) in TYPES.into_iter().enumerate() {
        let full = full[index].filter(|signal| !(signal.implicit && signal.granted)).map(|signal| signal.granted);
        let short = short.get(index).copied().flatten();
        if let Some(granted) = full.or(short) {
            said.push((Cow::Borrowed(name), granted));
        }
    }
    said
}

/// Whether a page says that before the visitor was asked something was denied and nothing granted. An implicit grant is one
/// here: what came before may have been delivered then.
pub(crate) fn was_denied(gcd: Option<&str>) -> bool {
    let before = |pair: &[u8]| {
        let (first, second) = (six_bits(pair[0])?, six_bits(pair[1])?);
        [(second >> 2) & 3, second >> 4, first & 3].into_iter().find(|slot| *slot >= 2).map(|slot| slot == 3)
    };
    let pairs = gcd.and_then(|text| text.as_bytes().strip_prefix(b"1")).and_then(|bytes| bytes.get(..8));
    let all: Vec<bool> = pairs.into_iter().flat_map(|pairs| pairs.chunks_exact(2)).filter_map(before).collect();
    !all.is_empty() && all.iter().all(|granted| !granted)
}

fn gcs(text: &str) -> Option<[Option<bool>; 2]> {
    let [b'G', b'1', ads, analytics] = text.as_bytes() else { return None };
    let slot = |byte: &u8| match byte {
        b'1' => Some(Some(true)),
        b'0' => Some(Some(false)),
        b'-' => Some(None),
        _ => None,
    };
    Some([slot(ads)?, slot(analytics)?])
}

fn gcd(text: &str) -> Option<[Option<Signal>; 4]> {
    let pairs = text.as_bytes().strip_prefix(b"1")?.get(..8)?;
    let mut signals = [None; 4];
    for (signal, pair) in signals.iter_mut().zip(pairs.chunks_exact(2)) {
        let (first, second) = (six_bits(pair[0])?, six_bits(pair[1])?);
        let said = [second & 3, (second >> 2) & 3, second >> 4].into_iter().find(|slot| *slot >= 2);
        *signal = match (said, first & 3) {
            (Some(slot), _) => Some(Signal { granted: slot == 3, implicit: false }),
            (None, implicit @ 2..) => Some(Signal { granted: implicit == 3, implicit: true }),
            (None, _) => None,
        };
    }
    Some(signals)
}

fn six_bits(byte: u8) -> Option<u8> {
    Some(match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'z' => byte - b'a' + 10,
        b'A'..=b'Z' => byte - b'A' + 36,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPLICIT: Option<Signal> = Some(Signal { granted: true, implicit: true });
    const GRANTED: Option<Signal> = Some(Signal { granted: true, implicit: false });
    const DENIED: Option<Signal> = Some(Signal { granted: false, implicit: false });

    #[test]
    fn what_gtag_sends_is_decoded_as_it_was_meant() {
        let vectors = [
            ("nothing", "13l3l3l3l1", [IMPLICIT; 4]),
            ("default: all granted", "13t3t3t3t5", [GRANTED; 4]),
            ("default: all denied", "13p3p3p3p5", [DENIED; 4]),
            ("default: only analytics denied", "13l3p3l3l5", [IMPLICIT, DENIED, IMPLICIT, IMPLICIT]),
            ("update only", "13n3m3l3l5", [GRANTED, DENIED, IMPLICIT, IMPLICIT]),
            ("denied, then granted but for one", "13r3r3r3q5", [GRANTED, GRANTED, GRANTED, DENIED]),
            ("mixture", "13u3v3r3p5", [DENIED, GRANTED, GRANTED, DENIED]),
        ];
        for (page, text, expected) in vectors {
            assert_eq!(gcd(text), Some(expected), "{page}");
        }
        let short = [
            ("G111", [Some(true), Some(true)]),
            ("G100", [Some(false), Some(false)]),
            ("G1-0", [None, Some(false)]),
            ("G110", [Some(true), Some(false)]),
            ("G101", [Some(false), Some(true)]),
            ("G1--", [None, None]),
        ];
        for (text, expected) in short {
            assert_eq!(gcs(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn every_letter_has_its_meaning() {
        let letters = [
            ('l', None),
            ('p', Some(false)),
            ('q', Some(false)),
            ('m', Some(false)),
            ('n', Some(true)),
            ('r', Some(true)),
            ('t', Some(true)),
            ('u', Some(false)),
            ('v', Some(true)),
            ('R', Some(true)),
        ];
        for (letter, expected) in letters {
            // With nothing implicit a letter without a meaning of its own leaves the type unset.
            let signals = gcd(&format!("11{letter}1{letter}1{letter}1{letter}1")).expect("a gcd");
            assert_eq!(signals.map(|signal| signal.map(|it| it.granted)), [expected; 4], "{letter}");
        }
        let implicit = gcd("12l3l1l1l1l1").expect("a gcd");
        assert_eq!(implicit[0], Some(Signal { granted: false, implicit: true }));
    }

    #[test]
    fn what_was_said_before_an_update_is_told_apart_from_it() {
        for (gcd, expected) in [
            ("13r3r3r3r5", true),
            ("13p3p3p3p5", true),
            ("13r3r3r3q5", true),
            ("13v3r3r3r5", false),
            ("13n3n3n3n5", false),
            ("12n2n2n2n5", true),
            ("junk", false),
        ] {
            assert_eq!(was_denied(Some(gcd)), expected, "{gcd}");
        }
        assert!(!was_denied(None));
    }

    #[test]
    fn what_is_neither_is_ignored() {
        for text in ["", "1", "13l3l3l3", "23l3l3l3l1", "13l3l3l3!1", "3l3l3l3l"] {
            assert_eq!(gcd(text), None, "{text}");
        }
        for text in ["", "G1", "G1111", "G2111", "g111", "G1x1", "111"] {
            assert_eq!(gcs(text), None, "{text}");
        }
    }

    #[test]
    fn a_query_says_what_somebody_decided_and_an_implicit_grant_is_nobodys() {
        let said =
            |query: &str| flags(query).iter().map(|(word, granted)| format!("{word}={granted} ")).collect::<String>();
        assert_eq!(said("v=2&gcd=13l3l3l3l1"), "");
        assert_eq!(said("gcs=G1-0&gcd=13l3p3l3l5"), "analytics_storage=false ");
        assert_eq!(said("gcs=G110"), "ad_storage=true analytics_storage=false ");
        assert_eq!(
            said("gcs=G111&gcd=13r3r3r3q5"),
            "ad_storage=true analytics_storage=true ad_user_data=true ad_personalization=false "
        );
        assert_eq!(said("gcs=junk&gcd=junk"), "");
    }
}

//! Stars in the place of secrets, in what is kept of requests and answers.
//!
//! A secret may be part of a payload (some vendors want their key there), and a vendor may send back what it was sent. The
//! delivery log shows both to people, so every secret that a lane's plan holds is looked for in them: as it is, and as JSON, a
//! URL and a form write it. Very short ones are left alone: they would be found in everything, and are no secrets.

use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};
use anole_event::write_json_str;
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Secret;

/// The shortest secret that is looked for, in bytes.
const SHORTEST: usize = 4;

/// Finds a plan's secrets.
#[derive(Clone, Default)]
pub(crate) struct Mask(Option<AhoCorasick>);

// === impl Mask ===

/// It is made of secrets.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mask").field(&self.0.as_ref().map_or(0, AhoCorasick::patterns_len)).finish()
    }
}

impl Mask {
    pub(crate) fn of(secrets: &[&Secret]) -> Self {
        let mut written: Vec<Vec<u8>> = Vec::new();
        for secret in secrets.iter().map(|secret| secret.reveal()).filter(|secret| secret.len() >= SHORTEST) {
            let mut json = Vec::new();
            write_json_str(&mut json, secret);
            let json = json.get(1..json.len() - 1).unwrap_or_default().to_vec();
            let form = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
            let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
            written.extend([secret.as_bytes().to_vec(), json, form.into_bytes(), percent.into_bytes()]);
        }
        written.sort();
        written.dedup();
        if written.is_empty() {
            return Self(None);
        }
        // Patterns of a few dozen bytes always make an automaton; without one nothing is shown rather than everything.
        Self(AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(written).ok())
    }

    /// The bytes with stars in the place of secrets.
    pub(crate) fn bytes(&self, bytes: Bytes) -> Bytes {
        match &self.0 {
            Some(finder) if finder.is_match(&bytes[..]) => {
                let stars = vec![Secret::MASK; finder.patterns_len()];
                finder.replace_all_bytes(&bytes, &stars).into()
            }
            _ => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_way_of_writing_it() {
        let secret = Secret::new("k\"ey/1 é+");
        let mask = Mask::of(&[&secret, &Secret::new("abc")]);
        let shown = |text: &str| String::from_utf8(mask.bytes(text.to_owned().into()).to_vec()).expect("UTF-8");
        assert_eq!(shown(r#"{"api_key":"k\"ey/1 é+","a":"abc"}"#), r#"{"api_key":"***","a":"abc"}"#);
        assert_eq!(shown("k=k%22ey%2F1+%C3%A9%2B&x=1"), "k=***&x=1");
        assert_eq!(shown("/k%22ey%2F1%20%C3%A9%2B/"), "/***/");
        assert_eq!(shown("the key k\"ey/1 é+ is wrong"), "the key *** is wrong");
        assert_eq!(shown("nothing"), "nothing");
        assert!(!format!("{mask:?}").contains("ey"));
        assert_eq!(&Mask::of(&[]).bytes(Bytes::from_static(b"x"))[..], b"x");
    }
}

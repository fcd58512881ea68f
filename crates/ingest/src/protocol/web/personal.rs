//! What a page sends of its visitor in the clear, and must not reach the journal so.
//!
//! gtag's server mode sends `user_data` in the clear (`ep.user_data.email`, source: `reference: GA4 web wire format`, section
//! 2.8). Google's back ends take SHA-256 of the trimmed, lower-cased text instead, so that is what is kept, under the
//! Measurement Protocol's names: `email` becomes `sha256_email_address`. Of an address the names and the street are hashed,
//! city and postal code are dropped, as a hash of so few values hides nothing; region and country are kept. What is not
//! known is dropped.
//!
//! An e-mail address in the query of a page's address, as forms that are sent by GET leave it, is masked. Text of other
//! parameters is the site's own word: a pipeline's `privacy` is for that.

use std::borrow::Cow;

use anole_pipeline::{Normaliser, sha256_hex};
use url::form_urlencoded;

use crate::protocol::values::Values;

/// What stands in the place of an address.
const MASK: &str = "masked";

/// What is kept of a visitor's own data; `None` for a parameter that is none. An empty name says that it is dropped.
pub(super) fn user_data(name: &str, value: &str) -> Option<(&'static str, String)> {
    let field = name.strip_prefix("user_data.")?;
    let hashed = |normaliser: Normaliser| sha256_hex(&normaliser.normalise(value));
    let plain = value.trim().to_lowercase();
    Some(match field {
        "email" | "email_address" => ("sha256_email_address", hashed(Normaliser::GoogleEmail)),
        "phone_number" => ("sha256_phone_number", hashed(Normaliser::GooglePhone)),
        "address.first_name" => ("sha256_first_name", sha256_hex(&plain)),
        "address.last_name" => ("sha256_last_name", sha256_hex(&plain)),
        "address.street" => ("sha256_street", sha256_hex(&plain)),
        "address.region" => ("region", value.to_owned()),
        "address.country" => ("country", value.to_owned()),
        "sha256_email_address" if is_hash(&plain) => ("sha256_email_address", plain),
        "sha256_phone_number" if is_hash(&plain) => ("sha256_phone_number", plain),
        _ => ("", String::new()),
    })
}

/// The visitor's own data as an object, in the Measurement Protocol's form.
pub(super) fn object(known: Vec<(&'static str, String)>) -> Option<String> {
    let (mut all, mut address) = (Values::default(), Values::default());
    for (name, value) in known {
        let of_address = !matches!(name, "sha256_email_address" | "sha256_phone_number");
        let into = if of_address { &mut address } else { &mut all };
        into.text(name, &value);
    }
    if !address.is_empty() {
        all.put("address", address.json());
    }
    (!all.is_empty()).then(|| all.json())
}

/// An address of a page without the e-mail addresses in its query.
pub(super) fn without_emails(url: &str) -> Cow<'_, str> {
    let Some((before, rest)) = url.split_once('?') else { return Cow::Borrowed(url) };
    let (query, fragment) = rest.split_once('#').map_or((rest, None), |(query, fragment)| (query, Some(fragment)));
    let is_email = |pair: &str| {
        form_urlencoded::parse(pair.as_bytes()).any(|(_, value)| {
            let ends = value.trim().split_once('@');
            ends.is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains(['/', '@', ' ']))
        })
    };
    if !query.split('&').any(is_email) {
        return Cow::Borrowed(url);
    }
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_email(pair) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    });
    let masked: Vec<_> = masked.collect();
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    Cow::Owned(format!("{before}?{}{fragment}", masked.join("&")))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_person_is_hashed_as_google_would_have_it_or_dropped() {
        // printf 'jane@example.com' | sha256sum
        let jane = "8c87b489ce35cf2e2f39f80e282cb2e804932a56a213983eeeb428407d43b52d";
        assert_eq!(user_data("user_data.email", " Jane@Example.com "), Some(("sha256_email_address", jane.to_owned())));
        let (name, hash) = user_data("user_data.phone_number", "+49 (30) 123-456").expect("the visitor's");
        assert_eq!((name, hash), ("sha256_phone_number", sha256_hex("+4930123456")));
        assert_eq!(user_data("user_data.address.city", "Berlin"), Some(("", String::new())));
        assert_eq!(user_data("user_data.whatever", "x"), Some(("", String::new())));
        assert_eq!(
            user_data("user_data.sha256_email_address", "jane@example.com"),
            Some(("", String::new())),
            "no hash"
        );
        assert_eq!(user_data("method", "email"), None);
    }

    #[test]
    fn an_address_stands_apart() {
        let known = vec![("sha256_email_address", "h".to_owned()), ("country", "DE".to_owned())];
        assert_eq!(object(known).as_deref(), Some(r#"{"sha256_email_address":"h","address":{"country":"DE"}}"#));
        assert_eq!(object(Vec::new()), None);
    }

    #[test]
    fn an_email_in_the_query_of_a_page_is_masked() {
        let masked = |url: &str| without_emails(url).into_owned();
        assert_eq!(
            masked("https://s.test/p?a=1&mail=jane%40example.com&b=x@y.test#top"),
            "https://s.test/p?a=1&mail=masked&b=masked#top"
        );
        for same in ["https://s.test/p?a=1&at=3@home", "https://s.test/@jane", "", "https://s.test/?x=%40"] {
            assert_eq!(masked(same), same);
        }
    }
}

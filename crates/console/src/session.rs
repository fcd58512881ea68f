//! The session of a signed-in browser.
//!
//! A browser cannot send a bearer token with the click on a link, so signing in trades the token for a cookie: an end and a
//! signature of it, keyed by the token. Nothing is kept here; a restart asks nobody to sign in again, and another token ends
//! every session at once. Rejected: the token itself in the cookie, which a copied cookie jar would give away for good; and a
//! table of sessions, which is state for one kind of user.
//!
//! `HttpOnly` keeps scripts from it, `SameSite=Strict` keeps other sites from using it, `Secure` is set where the browser came by
//! TLS: to us, or to a proxy, which says so by `X-Forwarded-Proto`.

use std::time::Duration;

use anole_event::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::guard::header_of;

/// The cookie's name.
const NAME: &str = "anole_session";
/// How long a browser stays signed in.
const LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

/// A cookie that signs a browser in, as a `Set-Cookie` value.
pub(crate) fn begun(token: &str, now: Timestamp, headers: &HeaderMap, secure: bool) -> String {
    let until = now.after(LASTS).millis();
    let secure = secure || header_of(headers, "x-forwarded-proto") == Some("https");
    let secure = if secure { "; Secure" } else { "" };
    let (signature, seconds) = (signature(token, until), LASTS.as_secs());
    format!("{NAME}={until}.{signature}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// A cookie that signs a browser out.
pub(crate) fn ended() -> String {
    format!("{NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// Whether the browser is signed in.
pub(crate) fn is_valid(token: &str, now: Timestamp, headers: &HeaderMap) -> bool {
    let Some((until, given)) = cookie(headers, NAME).and_then(|value| value.split_once('.')) else { return false };
    let Ok(until) = until.parse::<i64>() else { return false };
    now.millis() < until && bool::from(given.as_bytes().ct_eq(signature(token, until).as_bytes()))
}

/// Whether a text is the token, in constant time: how long it takes must not tell how much of a guess is right.
pub(crate) fn is_token(token: &str, given: &str) -> bool {
    given.as_bytes().ct_eq(token.as_bytes()).into()
}

/// The value of a cookie.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(http::header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|pairs| pairs.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn signature(token: &str, until: i64) -> String {
    // A key of any length will do for HMAC.
    let signed = Hmac::<Sha256>::new_from_slice(token.as_bytes()).map(|mut mac| {
        mac.update(format!("anole console session until {until}").as_bytes());
        mac.finalize().into_bytes()
    });
    signed.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", cookie.parse().unwrap());
        headers
    }

    #[test]
    fn a_session_is_for_one_token_and_ends() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let set = begun("secret", now, &HeaderMap::new(), false);
        let pair = set.split(';').next().unwrap();
        let headers = with(&format!("other=1; {pair}"));
        assert!(is_valid("secret", now, &headers));
        assert!(!is_valid("another", now, &headers), "another token ends it");
        assert!(!is_valid("secret", now.after(LASTS), &headers), "it has an end");
        let (_, value) = pair.split_once('=').unwrap();
        let (until, signature) = value.split_once('.').unwrap();
        let longer: i64 = until.parse::<i64>().unwrap() + 1;
        assert!(!is_valid("secret", now, &with(&format!("{NAME}={longer}.{signature}"))), "nobody can lengthen it");
        for broken in ["", "x", ".", "1.", "9999999999999.00"] {
            assert!(!is_valid("secret", now, &with(&format!("{NAME}={broken}"))), "{broken}");
        }
    }

    #[test]
    fn the_cookie_is_kept_from_scripts_other_sites_and_plain_http() {
        let now = Timestamp::from_millis(0);
        let plain = begun("t", now, &HeaderMap::new(), false);
        assert!(plain.contains("; HttpOnly; SameSite=Strict;") && !plain.contains("Secure"), "{plain}");
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        assert!(begun("t", now, &headers, false).ends_with("; Secure"));
        assert!(begun("t", now, &HeaderMap::new(), true).ends_with("; Secure"), "TLS to us");
    }
}

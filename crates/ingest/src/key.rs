//! Where a request says its write key.
//!
//! In this order: `X-Write-Key` (the body of Jitsu's client has a masked key only, so the header must come first), the
//! user of basic authentication, a bearer token, the query (`writeKey`, `wk`), and later the body. The first place that
//! says one decides, right or wrong; but for a bearer token, which may be the access token that a client got from
//! elsewhere: an unknown one is passed over.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use url::form_urlencoded;

use crate::client::text;
use crate::intakes::{Intakes, Keyed};

const X_WRITE_KEY: HeaderName = HeaderName::from_static("x-write-key");

/// Not every client pads.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request's head says of its write key.
#[derive(Debug)]
pub(crate) enum ByHead<'i> {
    /// It is this one.
    Known(&'i Keyed),
    /// It says one that nobody has.
    Unknown,
    /// It says none.
    Nothing,
}

/// Looks for the write key in a request's head.
pub(crate) fn by_head<'i>(intakes: &'i Intakes, parts: &Parts) -> ByHead<'i> {
    if let Some(key) = text(parts.headers.get(X_WRITE_KEY)) {
        return decided(intakes, key);
    }
    if let Some((scheme, credentials)) = text(parts.headers.get(AUTHORIZATION)).and_then(|it| it.split_once(' ')) {
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            if let Some(user) = basic_user(credentials) {
                return decided(intakes, &user);
            }
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(keyed) = intakes.by_key(credentials)
        {
            return ByHead::Known(keyed);
        }
    }
    match parts.uri.query().and_then(|query| parameter(query, &["writeKey", "wk"])) {
        Some(key) => decided(intakes, &key),
        None => ByHead::Nothing,
    }
}

fn decided<'i>(intakes: &'i Intakes, key: &str) -> ByHead<'i> {
    intakes.by_key(key).map_or(ByHead::Unknown, ByHead::Known)
}

/// The user of basic authentication: what stands before the colon, or all of it where there is none.
fn basic_user(credentials: &str) -> Option<String> {
    let decoded = String::from_utf8(BASE64.decode(credentials).ok()?).ok()?;
    let user = decoded.split(':').next().unwrap_or_default();
    (!user.is_empty()).then(|| user.to_owned())
}

/// The first value in a query of one of these names, in the order of the names.
pub(crate) fn parameter<'q>(query: &'q str, names: &[&str]) -> Option<Cow<'q, str>> {
    names.iter().find_map(|name| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value)
    })
}

#[cfg(test)]
mod tests {
    use anole_pipeline::{Intake, Secret, WriteKey};
    use http::Request;

    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a str)];

    fn intakes() -> Intakes {
        let pipeline = |name: &str| Intake {
            keys: vec![
                WriteKey { key: Secret::new(format!("{name}:k").as_str()), origins: vec![] },
                WriteKey { key: Secret::new(name), origins: vec![] },
            ],
            ..Intake::new(name)
        };
        Intakes::new(["a", "b", "c", "d"].map(|name| pipeline(name).into()))
    }

    fn found(uri: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).expect("a request").into_parts().0;
        match by_head(&intakes(), &parts) {
            ByHead::Known(keyed) => keyed.intake.pipeline.to_string(),
            ByHead::Unknown => "unknown".into(),
            ByHead::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn the_first_place_that_says_a_key_decides() {
        // YTo= is "a:", YQ== is "a", Yjp4 is "b:x", eDo= is "x:", Og== is ":".
        let cases: &[(&str, Headers<'_>, &str)] = &[
            ("/", &[], "nothing"),
            ("/", &[("x-write-key", "a")], "a"),
            ("/", &[("x-write-key", "a:k")], "a"),
            ("/?wk=c", &[("x-write-key", "a"), ("authorization", "Basic Yjp4")], "a"),
            ("/?wk=c", &[("x-write-key", "x"), ("authorization", "Basic Yjp4")], "unknown"),
            ("/", &[("authorization", "Basic YTo=")], "a"),
            ("/", &[("authorization", "basic YTo")], "a"),
            ("/", &[("authorization", "Basic YQ==")], "a"),
            ("/?wk=c", &[("authorization", "Basic Yjp4")], "b"),
            ("/?wk=c", &[("authorization", "Basic eDo=")], "unknown"),
            ("/?wk=c", &[("authorization", "Basic Og==")], "c"),
            ("/?wk=c", &[("authorization", "Basic ***")], "c"),
            ("/?wk=c", &[("authorization", "Bearer b")], "b"),
            ("/?wk=c", &[("authorization", "Bearer eyJhbGciOi")], "c"),
            ("/", &[("authorization", "Bearer eyJhbGciOi")], "nothing"),
            ("/?wk=d&writeKey=c", &[], "c"),
            ("/?writeKey=&wk=d%3Ak", &[], "d"),
            ("/?writeKey=x", &[], "unknown"),
        ];
        for (uri, headers, expected) in cases {
            assert_eq!(found(uri, headers), *expected, "{uri} {headers:?}");
        }
    }
}

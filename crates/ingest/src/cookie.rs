//! Cookies: the ones that come in, and the visitor's own that goes out.
//!
//! The cookie is set by the server, as browsers let those of scripts live for seven days or less. Its attributes:
//! `HttpOnly` and `SameSite=Lax` as no script and no other site needs it; `Domain` is the registrable domain by the
//! public suffix list, so that `data.shop.test` and `www.shop.test` share the visitor, and is left out where there is
//! none (an address, `localhost`, a public suffix itself); 400 days, as browsers cut longer ones to that. `Secure`, but for
//! plain http on this machine, where a test's client would otherwise throw it away.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

/// How long the cookie lives, in seconds: 400 days.
const MAX_AGE: u32 = 34_560_000;

/// The cookies of a request, as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cookies<'a>(Vec<(&'a str, &'a str)>);

// === impl Cookies ===

impl<'a> Cookies<'a> {
    /// Those of these headers. A header that is no text is passed over.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut cookies = Vec::new();
        for header in headers.get_all(COOKIE) {
            let text = std::str::from_utf8(header.as_bytes()).unwrap_or_default();
            for pair in text.split(';') {
                if let Some((name, value)) = pair.split_once('=') {
                    let value = value.trim();
                    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                    cookies.push((name.trim(), bare.unwrap_or(value)));
                }
            }
        }
        Self(cookies)
    }

    /// The first value of this name. Browsers send the most specific cookie first.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).filter(|value| !value.is_empty())
    }

    /// Those of these names, decoded where they are percent-encoded.
    pub(crate) fn kept<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<(Cow<'n, str>, Cow<'a, str>)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let kept = names.into_iter().filter_map(|name| self.get(name).map(|value| (name, value)));
        kept.map(|(name, value)| (Cow::Borrowed(name), decoded(value))).collect()
    }

    /// The visitor that our own cookie names.
    pub(crate) fn own(&self, name: &str) -> Option<Uuid> {
        self.get(name).and_then(|value| Uuid::try_parse(value).ok())
    }

    /// The visitor that Google's cookies name: `FPID` of a tagging server, else `_ga` of the script, with or without a
    /// prefix to its name.
    pub(crate) fn google(&self) -> Option<Cow<'a, str>> {
        let script =
            || self.get("_ga").or_else(|| self.0.iter().find(|(name, _)| name.ends_with("_ga")).map(|it| it.1));
        let fpid = self.get("FPID").and_then(|value| client_id(decoded(value), "FPID"));
        fpid.or_else(|| script().and_then(|value| client_id(decoded(value), "GA1")))
    }
}

/// `GA1.1.111.222` names the client `111.222`: what follows the head and the depth of the domain.
fn client_id<'a>(value: Cow<'a, str>, head: &str) -> Option<Cow<'a, str>> {
    let at = {
        let mut parts = value.splitn(3, '.');
        let (first, depth, id) = (parts.next()?, parts.next()?, parts.next()?);
        if !first.starts_with(head) || id.is_empty() {
            return None;
        }
        first.len() + depth.len() + 2
    };
    Some(match value {
        Cow::Borrowed(value) => Cow::Borrowed(&value[at..]),
        Cow::Owned(value) => Cow::Owned(value[at..].to_owned()),
    })
}

/// A value that is no valid encoding is taken as it is.
fn decoded(value: &str) -> Cow<'_, str> {
    if value.contains('%') {
        percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value))
    } else {
        Cow::Borrowed(value)
    }
}

/// The `Set-Cookie` of a visitor for an answer from this host. `https` is whether the browser speaks https to us as far
/// as that is known.
pub(crate) fn set(name: &str, visitor: Uuid, host: &str, https: bool) -> String {
    let mut cookie = format!("{name}={visitor}; Path=/; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax");
    if let Some(domain) = domain(host_name(host)) {
        cookie.push_str("; Domain=");
        cookie.push_str(&domain);
    }
    if https || !is_this_machine(host) {
        cookie.push_str("; Secure");
    }
    cookie
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.split(':').next().unwrap_or(host)
}

fn domain(host: &str) -> Option<String> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    // A name that could break out of the header cannot be a domain.
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if is_name { psl::domain_str(&host).map(str::to_owned) } else { None }
}

/// Whether a host is this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let host = host_name(host);
    host.parse::<IpAddr>().map_or_else(
        |_| host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
        |address| address.to_canonical().is_loopback(),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(cookies: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(cookies.as_bytes()).expect("a header"));
        headers
    }

    #[test]
    fn only_named_cookies_are_kept_and_decoded_where_they_are_encoded() {
        let headers =
            headers("a=1; kameleoonVisitorCode=_js_245fc8a1b9; q=\"x y\"; e=caf%C3%A9%20b; bad=%FF; e=second; n=");
        let kept = Cookies::of(&headers).kept(["kameleoonVisitorCode", "q", "e", "bad", "n", "none"]);
        let expected = [("kameleoonVisitorCode", "_js_245fc8a1b9"), ("q", "x y"), ("e", "café b"), ("bad", "%FF")];
        assert_eq!(kept, expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn the_visitor_is_found_in_googles_cookies() {
        let cases = [
            ("_ga=GA1.1.111.222", Some("111.222")),
            ("_ga=GA1.2-2.111.222", Some("111.222")),
            ("shop_ga=GA1.1.111.222", Some("111.222")),
            ("_ga=GA1.1.custom", Some("custom")),
            ("_ga=junk", None),
            ("_ga_ABC=GS1.1.1.1.1", None),
            ("FPID=FPID2.2.abc%2Fd%3D.1600000000; _ga=GA1.1.111.222", Some("abc/d=.1600000000")),
        ];
        for (cookies, expected) in cases {
            assert_eq!(Cookies::of(&headers(cookies)).google().as_deref(), expected, "{cookies}");
        }
    }

    #[test]
    fn our_own_cookie_is_a_uuid_or_not_ours() {
        let id = "b7f0c2d4-4b88-4e2a-9a31-6c0e2b5d77aa";
        assert_eq!(
            Cookies::of(&headers(&format!("_anole_id={id}"))).own("_anole_id").map(|id| id.to_string()).as_deref(),
            Some(id)
        );
        assert_eq!(Cookies::of(&headers("_anole_id=<script>")).own("_anole_id"), None);
    }

    #[test]
    fn the_cookies_attributes_follow_the_host() {
        let visitor = Uuid::from_u128(0x1111_1111_1111_4111_8111_1111_1111_1111);
        let fixed = "x=11111111-1111-4111-8111-111111111111; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax";
        let cases = [
            ("data.shop.example.com", false, "; Domain=example.com; Secure"),
            ("Data.Shop.CO.UK:8443", true, "; Domain=shop.co.uk; Secure"),
            ("data.shop.test", false, "; Domain=shop.test; Secure"),
            ("co.uk", true, "; Secure"),
            ("203.0.113.7:8080", false, "; Secure"),
            ("[2001:db8::1]:8080", true, "; Secure"),
            ("localhost:8080", false, ""),
            ("app.localhost", false, "; Domain=app.localhost"),
            ("127.0.0.1:8080", false, ""),
            ("[::1]:8080", false, ""),
            ("127.0.0.1:8080", true, "; Secure"),
            ("a.b; Domain=evil.com", true, "; Secure"),
        ];
        for (host, https, rest) in cases {
            assert_eq!(set("x", visitor, host, https), format!("{fixed}{rest}"), "{host}");
        }
    }
}

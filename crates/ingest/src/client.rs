//! Who the client is when it speaks through a proxy.
//!
//! What a proxy says in `X-Forwarded-*` and `Forwarded` is believed only when the connection comes from one that the
//! operator named: everybody can send these headers. The list of addresses is read from the right, as each proxy appends
//! the one it heard from; the first that is no trusted proxy is the client. What stands left of it is the client's claim.

use std::net::{IpAddr, SocketAddr};

use anole_http::Peer;
use http::header::{FORWARDED, HOST, HeaderName, ORIGIN, REFERER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::cookie::is_this_machine;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The proxies whose word is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trusted(Vec<IpNet>);

/// How a client reached us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Via<'a> {
    /// The host it asked for, with its port; empty when it named none.
    pub(crate) host: &'a str,
    /// Whether it spoke https, as far as that is known.
    pub(crate) https: Option<bool>,
}

// === impl Trusted ===

impl Trusted {
    pub(crate) fn new(proxies: &[IpNet]) -> Self {
        Self(proxies.to_vec())
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }

    /// The address of the client.
    pub(crate) fn address(&self, headers: &HeaderMap, peer: SocketAddr) -> IpAddr {
        let mut client = peer.ip().to_canonical();
        if self.0.is_empty() || !self.has(client) {
            return client;
        }
        let mut hops = Vec::new();
        if headers.contains_key(X_FORWARDED_FOR) {
            hops.extend(list(headers, &X_FORWARDED_FOR).map(hop));
        } else {
            hops.extend(list(headers, &FORWARDED).map(|element| parameter(element, "for").and_then(hop)));
        }
        for hop in hops.into_iter().rev() {
            // `unknown`, or a made-up name: nobody before it can be known.
            let Some(address) = hop else { break };
            client = address;
            if !self.has(client) {
                break;
            }
        }
        client
    }

    /// How the client reached us.
    pub(crate) fn via<'a>(&self, request: &'a Parts, peer: Peer) -> Via<'a> {
        let headers = &request.headers;
        let mut via = Via {
            host: text(headers.get(HOST))
                .or_else(|| request.uri.authority().map(http::uri::Authority::as_str))
                .unwrap_or_default(),
            // In the clear it stays open: a proxy that nobody named may speak https to the browser.
            https: peer.secure.then_some(true),
        };
        if self.has(peer.address.ip().to_canonical()) {
            let forwarded = list(headers, &FORWARDED).next();
            let of_forwarded = |name| forwarded.and_then(|element| parameter(element, name));
            via.host = list(headers, &X_FORWARDED_HOST).next().or_else(|| of_forwarded("host")).unwrap_or(via.host);
            let scheme = list(headers, &X_FORWARDED_PROTO).next().or_else(|| of_forwarded("proto"));
            via.https = scheme.map(|scheme| scheme.eq_ignore_ascii_case("https")).or(via.https);
        }
        via
    }
}

// === impl Via ===

impl Via<'_> {
    /// The scheme by which a script of the asking page should call us. Where no trusted proxy says it, the page's own
    /// does: a browser blocks plain http from a page that came by https, but for calls to the machine itself.
    pub(crate) fn scheme(&self, headers: &HeaderMap) -> &'static str {
        let page_is_secure = || {
            let page = text(headers.get(ORIGIN)).or_else(|| text(headers.get(REFERER))).unwrap_or_default();
            page.starts_with("https:") && !is_this_machine(self.host)
        };
        if self.https.unwrap_or_else(page_is_secure) { "https" } else { "http" }
    }
}

/// Whether a request comes from a browser: it names its page, says how that relates to us, or brings cookies.
/// `Sec-Fetch-Mode` alone is no sign: the `fetch` of node sends it too, and a back end's address and agent would then pass
/// for its visitor's.
pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    [ORIGIN, http::header::COOKIE, SEC_FETCH_SITE].iter().any(|name| headers.contains_key(name))
}

/// A header as text.
pub(crate) fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
}

/// The elements of a header that is a list, over all its lines.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|element| !element.is_empty())
}

/// A parameter of an element of `Forwarded`.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn hop(text: &str) -> Option<IpAddr> {
    let bare = || text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let address = bare().or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip())).ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a str)];

    const PROXY: &str = "10.0.0.1:4000";

    fn trusted() -> Trusted {
        Trusted::new(&["10.0.0.0/8".parse().expect("a net"), "fd00::/8".parse().expect("a net")])
    }

    fn peer(address: &str, secure: bool) -> Peer {
        Peer { address: address.parse().expect("an address"), secure }
    }

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/v1/track");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn address(peer: &str, headers: &[(&str, &str)]) -> String {
        trusted().address(&parts(headers).headers, peer.parse().expect("an address")).to_string()
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_trusted_proxy() {
        let cases: &[(&str, Headers<'_>, &str)] = &[
            (PROXY, &[("x-forwarded-for", "198.51.100.9, 203.0.113.7, 10.0.0.2")], "203.0.113.7"),
            (PROXY, &[("x-forwarded-for", "203.0.113.7:5555")], "203.0.113.7"),
            (PROXY, &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
            (PROXY, &[("x-forwarded-for", "[2001:db8::7]:80")], "2001:db8::7"),
            (PROXY, &[("x-forwarded-for", "::ffff:203.0.113.7")], "203.0.113.7"),
            (PROXY, &[("x-forwarded-for", "203.0.113.7, unknown")], "10.0.0.1"),
            (PROXY, &[("x-forwarded-for", "10.9.9.9")], "10.9.9.9"),
            (PROXY, &[("forwarded", r#"for=198.51.100.9, For="[2001:db8::7]:80";proto=https"#)], "2001:db8::7"),
            (PROXY, &[], "10.0.0.1"),
            ("[::ffff:10.0.0.1]:1", &[("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
        ];
        for (peer, headers, expected) in cases {
            assert_eq!(address(peer, headers), *expected, "{headers:?}");
        }
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(address("203.0.113.50:1", &[("x-forwarded-for", "1.1.1.1")]), "203.0.113.50");
        let request = parts(&[("host", "a.test"), ("x-forwarded-host", "b.test"), ("x-forwarded-proto", "https")]);
        assert_eq!(trusted().via(&request, peer("203.0.113.50:1", false)), Via { host: "a.test", https: None });
        assert_eq!(trusted().via(&request, peer("203.0.113.50:1", true)), Via { host: "a.test", https: Some(true) });
    }

    #[test]
    fn a_trusted_proxy_says_which_host_was_asked_for_and_how() {
        let peer = peer(PROXY, true);
        let request =
            parts(&[("host", "in.test"), ("x-forwarded-host", "data.shop.test"), ("x-forwarded-proto", "https")]);
        assert_eq!(trusted().via(&request, peer), Via { host: "data.shop.test", https: Some(true) });
        let request = parts(&[("host", "in.test"), ("forwarded", "for=1.1.1.1;host=data.shop.test;proto=http")]);
        assert_eq!(trusted().via(&request, peer), Via { host: "data.shop.test", https: Some(false) });
        let silent = parts(&[("host", "data.shop.test")]);
        assert_eq!(
            trusted().via(&silent, peer),
            Via { host: "data.shop.test", https: Some(true) },
            "as it spoke to us"
        );
    }

    #[test]
    fn a_script_of_a_secure_page_is_told_https() {
        let scheme = |host: &str, https, headers: &[(&str, &str)]| Via { host, https }.scheme(&parts(headers).headers);
        assert_eq!(scheme("data.shop.test", None, &[("origin", "https://shop.test")]), "https");
        assert_eq!(scheme("data.shop.test", None, &[("referer", "http://shop.test/x")]), "http");
        assert_eq!(scheme("127.0.0.1:8080", None, &[("origin", "https://shop.test")]), "http");
        assert_eq!(scheme("127.0.0.1:8080", Some(true), &[]), "https");
    }

    #[test]
    fn a_browser_is_told_from_a_back_end() {
        assert!(is_browser(&parts(&[("origin", "null")]).headers));
        assert!(is_browser(&parts(&[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")]).headers));
        assert!(is_browser(&parts(&[("cookie", "a=b")]).headers));
        assert!(!is_browser(&parts(&[("user-agent", "curl")]).headers));
        assert!(!is_browser(&parts(&[("sec-fetch-mode", "cors"), ("user-agent", "node")]).headers), "node's fetch");
    }
}

//! Where requests may go.
//!
//! A blueprint is a file that anybody may write, and a template may put an event's value into an address. So a request
//! goes only over https and only to public addresses, unless the operator says `delivery.allow_private_addresses`: then
//! it may go anywhere, and over plain http to private addresses. The check is made on the addresses that the name resolves
//! to, by the same resolution that is then connected to: a check of the written name would miss a public name that
//! points inside.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// An address that a request may not go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Plain http to a public address.
    #[error(
        "{0} is not https: write an https address, as events and credentials must not travel in the clear; plain http is \
         for private addresses only, with delivery.allow_private_addresses: true in anole.yaml"
    )]
    Plain(String),
    /// A private, loopback, link-local or otherwise special address.
    #[error(
        "{0} is not a public address: set delivery.allow_private_addresses: true in anole.yaml if requests may go there"
    )]
    Private(String),
    /// No address at all.
    #[error("`{0}` is not an address of a request: {1}")]
    Malformed(String, String),
}

/// Resolves names, refusing private addresses unless they are allowed.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    allow_private: bool,
}

// === impl Guard ===

impl Guard {
    /// A guard by the operator's word.
    #[must_use]
    pub const fn new(allow_private: bool) -> Self {
        Self { allow_private }
    }

    /// Checks what can be seen of an address before its name is resolved.
    ///
    /// # Errors
    /// When no request may go there.
    pub fn check(self, url: &str, masked: &str) -> Result<Url, Forbidden> {
        let parsed = Url::parse(url).map_err(|error| Forbidden::Malformed(masked.to_owned(), error.to_string()))?;
        let ip = match parsed.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            Some(Host::Domain(_)) => None,
            None => return Err(Forbidden::Malformed(masked.to_owned(), "it names no host".to_owned())),
        };
        match parsed.scheme() {
            "https" => {}
            // A name over plain http is resolved here only by a client that allows private addresses.
            "http" if self.allow_private && ip.is_none_or(|ip| !is_public(ip)) => {}
            _ => return Err(Forbidden::Plain(masked.to_owned())),
        }
        match ip {
            Some(ip) if !self.allow_private && !is_public(ip) => Err(Forbidden::Private(ip.to_string())),
            _ => Ok(parsed),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|address| allow_private || is_public(address.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                let forbidden = Forbidden::Private(format!("{host} ({})", found[0].ip()));
                return Err(Box::new(forbidden) as Box<dyn Error + Send + Sync>);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match embedded_v4(ip) {
            Some(ip) => is_public_v4(ip),
            None => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

/// IPv4 within IPv6: mapped, compatible, NAT64 and 6to4 addresses lead to the IPv4 address in them.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = ip.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] if high != 0 || low > 1 => Some(of(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Only 2000::/3 is handed out; of it, Teredo, ORCHID, benchmarking and documentation are special.
    let segments = ip.segments();
    (segments[0] & 0xe000) == 0x2000
        && !(segments[0] == 0x2001 && segments[1] < 0x0200)
        && !(segments[0] == 0x2001 && segments[1] == 0x0db8)
        && (segments[0] & 0xfff0) != 0x3ff0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in ["1.1.1.1", "192.0.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "203.0.113.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
    }

    #[test]
    fn plain_http_and_private_addresses_need_the_operators_word() {
        let (strict, open) = (Guard::new(false), Guard::new(true));
        assert!(strict.check("https://eu-data.kameleoon.io/visit/events", "m").is_ok());
        assert!(matches!(strict.check("http://eu-data.kameleoon.io/", "m"), Err(Forbidden::Plain(_))));
        assert!(matches!(strict.check("https://127.0.0.1/", "m"), Err(Forbidden::Private(_))));
        assert!(matches!(strict.check("https://[::ffff:10.0.0.1]/", "m"), Err(Forbidden::Private(_))));
        assert!(open.check("http://127.0.0.1:9/", "m").is_ok());
        assert!(open.check("http://sandbox:9/", "m").is_ok());
        assert!(matches!(open.check("http://8.8.8.8/", "m"), Err(Forbidden::Plain(_))));
        assert!(matches!(open.check("ftp://127.0.0.1/", "m"), Err(Forbidden::Plain(_))));
        assert!(matches!(open.check("/visit", "m"), Err(Forbidden::Malformed(..))));
        let secret = strict.check("http://host/secret", "http://host/***").expect_err("plain").to_string();
        assert!(!secret.contains("/secret"), "{secret}");
    }

    #[tokio::test]
    async fn a_name_that_points_inside_is_refused_after_resolution() {
        let name = || "localhost".parse::<Name>().expect("a name");
        let error = Guard::new(false).resolve(name()).await.err().expect("refused").to_string();
        assert!(error.contains("allow_private_addresses"), "{error}");
        assert!(Guard::new(true).resolve(name()).await.expect("allowed").next().is_some());
    }
}

//! Errors of the network in words: what broke, why, and what a person can look at.
//!
//! Each hint names the first thing to check and no more: what the operating system or the peer said stands before it. The
//! address is never in it, as it may hold secrets. Where nothing can be done here but to wait there is no hint.

use std::error::Error;
use std::io;

use anole_event::{DeliveryError, ErrorSource};

/// A network error in words, without the address: it may hold secrets.
pub(crate) fn network(error: &reqwest::Error) -> DeliveryError {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the connection broke before an answer came"
    };
    let deepest = causes(error).last().map(|deepest| format!(": {deepest}")).unwrap_or_default();
    let hint = hint(error).map(|hint| format!("; {hint}")).unwrap_or_default();
    DeliveryError { source_of: ErrorSource::Network, message: format!("{what}{deepest}{hint}") }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// What a person can look at.
fn hint(error: &reqwest::Error) -> Option<&'static str> {
    if let Some(hint) = causes(error).find_map(of_cause) {
        return Some(hint);
    }
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => Some("look whether a firewall or a proxy stands on the way to the vendor"),
        (true, false) => Some("it may have been taken: it is sent again with the same nonce"),
        _ => None,
    }
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    let error = cause.downcast_ref::<io::Error>()?;
    // What stands inside an error of the operating system is no source of it; a TLS error stands there two deep.
    if let Some(inner) = error.get_ref()
        && let Some(hint) = of_cause(inner)
    {
        return Some(hint);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Some("nothing listens at the vendor's address: look at base_url, and at the vendor's status page")
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Some("this machine has no way to the vendor: look at its network, routes and firewall")
        }
        // What the resolver of the operating system says has no kind of its own.
        _ if error.to_string().contains("failed to lookup address") => {
            Some("the name does not resolve here: look at base_url for a slip, and at this machine's DNS")
        }
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Wrong;
    match error {
        rustls::Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. }) => {
            "the vendor has to renew its certificate; if it has, look at this machine's clock"
        }
        rustls::Error::InvalidCertificate(Wrong::NotValidYet | Wrong::NotValidYetContext { .. }) => {
            "look at this machine's clock"
        }
        rustls::Error::InvalidCertificate(Wrong::UnknownIssuer) => {
            "nobody this machine trusts has signed it: a proxy that reads along needs its own authority in the trust store"
        }
        rustls::Error::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. }) => {
            "another host answers under this name: look at base_url, and at what DNS and proxies make of it"
        }
        rustls::Error::InvalidMessage(_) => {
            "the other side does not speak TLS: should base_url begin with http, or name another port?"
        }
        _ => "the two sides do not agree on how to speak TLS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    fn hint_of(error: io::Error) -> Option<&'static str> {
        let outer = Outer(error);
        causes(&outer).find_map(of_cause)
    }

    #[test]
    fn a_cause_is_found_however_deep_it_stands() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(hint_of(refused).unwrap().contains("nothing listens"));
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let inner = io::Error::new(io::ErrorKind::InvalidData, tls);
        assert!(hint_of(io::Error::other(inner)).unwrap().contains("trust store"));
        let name = io::Error::other("failed to lookup address information: Name or service not known");
        assert!(hint_of(name).unwrap().contains("does not resolve"));
        assert_eq!(hint_of(io::Error::from(io::ErrorKind::ConnectionReset)), None, "there is nothing to look at");
    }
}

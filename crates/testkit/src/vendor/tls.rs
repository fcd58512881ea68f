//! The vendor's certificates. `fixtures/tls/make.sh` makes them.

use std::sync::{Arc, OnceLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The authority of the certificates, PEM: who trusts it trusts [`Certificate::Good`].
pub const AUTHORITY: &str = include_str!("../../fixtures/tls/ca.pem");
const KEY: &[u8] = include_bytes!("../../fixtures/tls/vendor.key");

/// A certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Of the authority, for `127.0.0.1` and `localhost`.
    Good,
    /// The same, and ended in 2020.
    Expired,
    /// Of the authority, for another name.
    OtherName,
    /// Signed by itself.
    Stranger,
}

// === impl Certificate ===

impl Certificate {
    pub(super) fn acceptor(self) -> TlsAcceptor {
        static MADE: [OnceLock<Arc<ServerConfig>>; 4] = [const { OnceLock::new() }; 4];
        TlsAcceptor::from(Arc::clone(MADE[self as usize].get_or_init(|| Arc::new(self.config()))))
    }

    fn config(self) -> ServerConfig {
        let pem: &[u8] = match self {
            Self::Good => include_bytes!("../../fixtures/tls/good.pem"),
            Self::Expired => include_bytes!("../../fixtures/tls/expired.pem"),
            Self::OtherName => include_bytes!("../../fixtures/tls/other.pem"),
            Self::Stranger => include_bytes!("../../fixtures/tls/stranger.pem"),
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let key = PrivateKeyDer::from_pem_slice(KEY).expect("the fixture holds a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the usual versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain.expect("the fixture holds a certificate"), key)
            .expect("key and certificate belong together")
    }
}

//! An authority of a test's own, and certificates that it vouches for.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, which the authority vouches for directly.
    pub certificate: String,
    /// Its key, as PKCS#8.
    pub key: String,
}

// === impl Authority ===

impl Authority {
    /// A fresh one.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // OpenSSL takes a certificate whose authority has its own name for one that vouches for itself.
        params.distinguished_name.push(DnType::CommonName, "an authority for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names and addresses with a fresh key, valid from 2020 until the end of 2090.
    #[must_use]
    pub fn certificate(&self, names: &[&str]) -> Certificate {
        self.certificate_until(names, 2091)
    }

    /// The same, valid until this year begins.
    #[must_use]
    pub fn certificate_until(&self, names: &[&str], year: i32) -> Certificate {
        self.certificate_of(names, &KeyPair::generate().expect("a key"), year)
    }

    /// The same of a given key.
    #[must_use]
    pub fn certificate_of(&self, names: &[&str], key: &KeyPair, year: i32) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(key, &self.issuer).expect("a certificate").pem();
        Certificate { certificate, key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

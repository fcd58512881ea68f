//! A certificate and its key, read from files and checked.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anole_event::Timestamp;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use webpki::{EndEntityCert, KeyUsage};

/// The most bytes of a file: a chain of ten certificates has 20 KiB.
const MOST_BYTES: u64 = 1 << 20;
/// A time after the end of every certificate: the last second that one can name, at the end of the year 9999.
const AFTER_ALL: Duration = Duration::from_secs(253_402_300_800);

/// A certificate with what vouches for it, and its key. The key does belong to it.
#[derive(Clone, Debug)]
pub struct Pair {
    certified: Arc<CertifiedKey>,
    begins: Timestamp,
    ends: Timestamp,
    fingerprint: String,
    exposed: bool,
}

/// Why files are no certificate and key that a listener could present.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is no PEM, or does not hold what it should.
    #[error("{}: {what}", .path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The key is another certificate's.
    #[error("{}: the key does not belong to the certificate in {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Which certificate in the file the key belongs to, counted from 1; none, when it is `None`.
        belongs_to: Option<usize>,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Unusable(rustls::Error),
}

// === impl Pair ===

impl Pair {
    /// Reads both files. Blocking.
    ///
    /// The certificate's file holds the certificate first and then those that vouch for it, but for the root. The key may be
    /// PKCS#8, PKCS#1 (RSA) or SEC1 (EC), and is not encrypted. Both may be the same file.
    ///
    /// # Errors
    ///
    /// See [`TlsError`]. That a certificate has ended is none: see [`Pair::ends`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = chain(certificate)?;
        let (private, exposed) = private_key(key)?;
        let unfit = |what: String| TlsError::Contents { path: key.to_owned(), what };
        let signing = rustls::crypto::ring::sign::any_supported_type(&private).map_err(|_| {
            unfit(
                "the key is of a kind that TLS has no use for: RSA from 2048 bits on, EC P-256 or P-384, or Ed25519"
                    .to_owned(),
            )
        })?;
        let certified = |at: usize| {
            let mut chain = chain.clone();
            CertifiedKey::new(chain.split_off(at), Arc::clone(&signing))
        };
        let found = certified(0);
        if found.keys_match().is_err() {
            let belongs_to = (1..chain.len()).find(|at| certified(*at).keys_match().is_ok()).map(|at| at + 1);
            return Err(TlsError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned(), belongs_to });
        }
        let first = chain.first().ok_or_else(|| unfit("no certificate".to_owned()))?;
        let (begins, ends) = validity(first)
            .map_err(|error| TlsError::Contents { path: certificate.to_owned(), what: unusable(&error, 1) })?;
        let fingerprint = fingerprint(first);
        Ok(Self { certified: Arc::new(found), begins, ends, fingerprint, exposed })
    }

    /// From when on the certificate is valid.
    #[must_use]
    pub const fn begins(&self) -> Timestamp {
        self.begins
    }

    /// Until when the certificate is valid. Clients refuse it afterwards.
    #[must_use]
    pub const fn ends(&self) -> Timestamp {
        self.ends
    }

    /// SHA-256 of the certificate in hex, as `openssl x509 -fingerprint -sha256` has it, but for the colons.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether every user of this machine may read the file of the key.
    #[must_use]
    pub const fn is_exposed(&self) -> bool {
        self.exposed
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

/// SHA-256 of a certificate, in hex.
#[must_use]
pub fn fingerprint(certificate: &[u8]) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The certificates of a file, at least one.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |what: String| TlsError::Contents { path: path.to_owned(), what };
    let (bytes, _) = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| wrong(no_pem(&error)))?;
    if chain.is_empty() {
        return Err(wrong(
            "it holds no certificate: PEM is expected, which begins with -----BEGIN CERTIFICATE-----".into(),
        ));
    }
    for (at, certificate) in chain.iter().enumerate() {
        match EndEntityCert::try_from(certificate) {
            Ok(_) => {}
            // An old root that is sent along: clients pass it over.
            Err(webpki::Error::UnsupportedCertVersion) if at > 0 => {}
            Err(error) => return Err(wrong(unusable(&error, at + 1))),
        }
    }
    Ok(chain)
}

/// The key of a file, and whether everybody may read it.
fn private_key(path: &Path) -> Result<(PrivateKeyDer<'static>, bool), TlsError> {
    let wrong = |what: String| TlsError::Contents { path: path.to_owned(), what };
    let (bytes, mode) = read(path)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        _ if holds(&bytes, b"ENCRYPTED") => {
            wrong("the key is encrypted, and nobody could type its passphrase when anole starts: `openssl pkey -in OLD -out NEW` takes it away".into())
        }
        PemError::NoItemsFound => wrong(
            "it holds no key: PEM is expected, which begins with -----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY or EC PRIVATE KEY".into(),
        ),
        error => wrong(no_pem(&error)),
    })?;
    // An RSA key that is encrypted in the old way has the head of one that is not.
    if holds(&bytes, b"Proc-Type: 4,ENCRYPTED") {
        return Err(wrong("the key is encrypted: `openssl pkey -in OLD -out NEW` takes the passphrase away".into()));
    }
    Ok((key, mode & 0o004 != 0))
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// A file, and its mode.
fn read(path: &Path) -> Result<(Vec<u8>, u32), TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        let what = format!("it has more than {MOST_BYTES} bytes, which no certificate has");
        return Err(TlsError::Contents { path: path.to_owned(), what });
    }
    Ok((bytes, mode))
}

fn no_pem(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { end_marker } => {
            let marker = String::from_utf8_lossy(end_marker);
            format!("the PEM ends before its {}: the file was cut off, or is still being written", marker.trim())
        }
        error => format!("it is no PEM: {error}"),
    }
}

fn unusable(error: &webpki::Error, nth: usize) -> String {
    format!("certificate {nth} cannot be used by a server: {error}")
}

/// From when until when a certificate is valid.
///
/// rustls' own parser says so in its refusals: a certificate is checked for a time before all times, and for one after all.
/// Rejected: a parser of X.509 for the sake of two dates, which is a tree of crates, one of them a second calendar.
fn validity(certificate: &CertificateDer<'_>) -> Result<(Timestamp, Timestamp), webpki::Error> {
    let certificate = EndEntityCert::try_from(certificate)?;
    let refused = |at: Duration| {
        let at = UnixTime::since_unix_epoch(at);
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        match certificate.verify_for_usage(algorithms, &[], &[], at, KeyUsage::server_auth(), None, None) {
            Ok(_) => webpki::Error::UnknownIssuer,
            Err(error) => error,
        }
    };
    let begins = match refused(Duration::ZERO) {
        webpki::Error::CertNotValidYet { not_before, .. } => timestamp(not_before),
        // Valid since 1970 or before.
        webpki::Error::UnknownIssuer => Timestamp::from_millis(0),
        error => return Err(error),
    };
    match refused(AFTER_ALL) {
        webpki::Error::CertExpired { not_after, .. } => Ok((begins, timestamp(not_after))),
        error => Err(error),
    }
}

fn timestamp(time: UnixTime) -> Timestamp {
    Timestamp::from_millis(i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 1000).saturating_mul(1000))
}

// === impl TlsError ===

impl TlsError {
    /// What would be right, or what to do.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "write the path of a file that is there; a relative one is relative to anole.yaml".to_owned()
            }
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "the user as whom anole runs must be able to read the file, and to enter every folder above it".to_owned()
            }
            Self::Unreadable { .. } | Self::Contents { .. } => {
                "the certificate's file holds it and what vouches for it, the key's file the key without a passphrase, both \
                 as PEM: what ACME clients call fullchain.pem and privkey.pem"
                    .to_owned()
            }
            Self::Mismatch { belongs_to: Some(nth), .. } => {
                format!("the key belongs to certificate {nth} of the file: put that one first, and those that vouch for it behind")
            }
            Self::Mismatch { belongs_to: None, .. } => {
                "give the key with which the certificate was asked for; `openssl x509 -noout -pubkey -in CERTIFICATE` and \
                 `openssl pkey -pubout -in KEY` print the same when they belong together"
                    .to_owned()
            }
            Self::Unusable(_) => "this is no fault of the files".to_owned(),
        }
    }

    /// Whether each file is right, and they do not belong together.
    #[must_use]
    pub const fn is_mismatch(&self) -> bool {
        matches!(self, Self::Mismatch { .. })
    }
}

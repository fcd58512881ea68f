//! TLS over real sockets, with certificates that the tests make.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[allow(unreachable_pub, reason = "the testkit's, which stands on this crate and cannot be named here")]
#[path = "../../testkit/src/certificates.rs"]
mod certificates;
#[path = "common/support.rs"]
mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anole_http::{ListenOptions, Pair, Peer, Tls, TlsError, body::Body, fingerprint};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::{Authority, Certificate};
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use support::{LONG, Running, connect, counted, options, send, start, start_endless, until_closed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "shop.test";
const GET: &str = "GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n";

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn pair(&self, made: &Certificate) -> Result<Pair, TlsError> {
        self.pair_of(&made.certificate, &made.key)
    }

    fn pair_of(&self, certificate: &str, key: &str) -> Result<Pair, TlsError> {
        Pair::read(&self.write("certificate.pem", certificate), &self.write("key.pem", key))
    }
}

async fn told(request: Request<Incoming>, peer: Peer) -> Response<Body> {
    Response::new(Body::full(format!("{:?} secure={}", request.version(), peer.secure)))
}

async fn serving(made: &Certificate, options: ListenOptions) -> (Running, Arc<Tls>) {
    let tls = Tls::new(Files::new().pair(made).unwrap()).unwrap();
    let running = start(ListenOptions { tls: Some(Arc::clone(&tls)), ..options }, told).await;
    (running, tls)
}

/// A client that trusts the authority and finds the name here.
fn client(running: &Running, authority: &Authority) -> reqwest::ClientBuilder {
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    let trusted = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    reqwest::Client::builder().no_proxy().timeout(LONG).tls_certs_only([trusted]).resolve(NAME, running.address)
}

async fn got(running: &Running, client: reqwest::ClientBuilder) -> Result<String, reqwest::Error> {
    let url = format!("https://{NAME}:{}/", running.address.port());
    let mut answer = client.build()?.get(url).send().await?;
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A connection that shows which certificate it was given.
async fn secured(running: &Running, authority: &Authority) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = connect(running).await;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream).await.unwrap()
}

fn presented(stream: &TlsStream<TcpStream>) -> String {
    fingerprint(&stream.get_ref().1.peer_certificates().unwrap()[0])
}

async fn exchange(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(GET.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let read = async {
        while !text.ends_with(b"secure=true") {
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0);
        }
    };
    timeout(LONG, read).await.expect("an answer comes");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn http1_and_http2_are_spoken_over_tls_1_2_and_1_3() {
    let authority = Authority::new();
    let (running, _) = serving(&authority.certificate(&[NAME]), options()).await;
    for (versions, most) in [("1.2", reqwest::tls::Version::TLS_1_2), ("1.3", reqwest::tls::Version::TLS_1_3)] {
        let client = || client(&running, &authority).tls_version_min(most).tls_version_max(most);
        assert_eq!(got(&running, client()).await.unwrap(), "HTTP/2.0 secure=true", "TLS {versions}");
        assert_eq!(got(&running, client().http1_only()).await.unwrap(), "HTTP/1.1 secure=true", "TLS {versions}");
    }
    running.shutdown.begin();
    timeout(LONG, running.served).await.unwrap().unwrap();
}

/// The bytes inside a PKCS#8 key: PKCS#1 of an RSA key, SEC1 of an EC key.
fn inner(pkcs8: &str, label: &str) -> String {
    let outer = PrivatePkcs8KeyDer::from_pem_slice(pkcs8.as_bytes()).unwrap();
    let der = outer.secret_pkcs8_der();
    // SEQUENCE { INTEGER 0, SEQUENCE algorithm, OCTET STRING inner, … }
    let value = |at: usize| {
        let long = der[at + 1] & 0x80 != 0;
        let digits = if long { usize::from(der[at + 1] & 0x7f) } else { 0 };
        let length = if long {
            der[at + 2..at + 2 + digits].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        } else {
            usize::from(der[at + 1])
        };
        (at + 2 + digits, length)
    };
    let (version, _) = value(0);
    let (algorithm, length) = value(version + 3);
    let (begin, length) = value(algorithm + length);
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(&der[begin..begin + length]))
}

#[tokio::test]
async fn every_form_of_key_is_read() {
    let authority = Authority::new();
    let rsa = rcgen::KeyPair::from_pem(include_str!("common/rsa.pem")).unwrap();
    let rsa = authority.certificate_of(&[NAME], &rsa, 2091);
    let ec = authority.certificate(&[NAME]);
    let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let cases = [
        ("EC as PKCS#8", ec.clone()),
        ("EC as SEC1", Certificate { key: inner(&ec.key, "EC PRIVATE KEY"), ..ec.clone() }),
        ("RSA as PKCS#8", rsa.clone()),
        ("RSA as PKCS#1", Certificate { key: inner(&rsa.key, "RSA PRIVATE KEY"), ..rsa }),
        ("Ed25519", authority.certificate_of(&[NAME], &ed, 2091)),
    ];
    for (form, made) in cases {
        let (running, _) = serving(&made, options()).await;
        assert_eq!(got(&running, client(&running, &authority)).await.unwrap(), "HTTP/2.0 secure=true", "{form}");
    }
    let one_file = format!("{}{}", ec.certificate, ec.key);
    assert!(Files::new().pair_of(&one_file, &one_file).is_ok(), "both in one file");
}

#[tokio::test]
async fn another_pair_is_for_new_connections_and_open_ones_go_on() {
    let authority = Authority::new();
    let (first, second) = (authority.certificate(&[NAME]), authority.certificate(&[NAME]));
    let (running, tls) = serving(&first, options()).await;
    let mut open = secured(&running, &authority).await;
    assert!(exchange(&mut open).await.ends_with("secure=true"));
    let before = tls.pair().fingerprint().to_owned();
    assert_eq!(presented(&open), before);
    tls.replace(Files::new().pair(&second).unwrap());
    assert!(exchange(&mut open).await.ends_with("secure=true"), "a connection that is open goes on");
    let mut new = secured(&running, &authority).await;
    assert!(exchange(&mut new).await.ends_with("secure=true"));
    assert_eq!(presented(&new), tls.pair().fingerprint());
    assert_ne!(presented(&new), before);
}

#[test]
fn what_is_wrong_with_files_is_told() {
    let (authority, files) = (Authority::new(), Files::new());
    let (one, other) = (authority.certificate(&[NAME]), authority.certificate(&[NAME]));
    let said = |certificate: &str, key: &str| {
        let error = files.pair_of(certificate, key).unwrap_err();
        format!("{error}: {}", error.expected()).replace(&format!("{}/", files.folder.path().display()), "")
    };
    let cases = [
        ("", one.key.as_str(), "certificate.pem: it holds no certificate: PEM is expected"),
        (&one.certificate, "", "key.pem: it holds no key: PEM is expected"),
        (&one.certificate[..200], &one.key, "certificate.pem: the PEM ends before its"),
        (
            &one.certificate,
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "key.pem: the key is encrypted",
        ),
        (
            &one.certificate,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "key.pem: the key is of a kind",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &one.key,
            "certificate.pem: certificate 1 cannot be used",
        ),
        (
            &one.certificate,
            &other.key,
            "key.pem: the key does not belong to the certificate in certificate.pem: give the key",
        ),
        (
            &format!("{}{}", other.certificate, one.certificate),
            &one.key,
            "the key belongs to certificate 2 of the file",
        ),
    ];
    for (certificate, key, expected) in cases {
        let said = said(certificate, key);
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let nowhere = Pair::read(&files.folder.path().join("none.pem"), &files.write("key.pem", &one.key)).unwrap_err();
    assert!(nowhere.to_string().contains("none.pem: No such file"), "{nowhere}");
    assert!(nowhere.expected().starts_with("write the path of a file that is there"));
    let large = files.pair_of(&"x".repeat(2 << 20), &one.key).unwrap_err();
    assert!(large.to_string().contains("more than 1048576 bytes"), "{large}");
}

#[test]
fn from_when_until_when_a_certificate_is_valid_is_known() {
    let authority = Authority::new();
    let pair = Files::new().pair(&authority.certificate_until(&[NAME], 2022)).unwrap();
    assert_eq!(pair.begins().to_string(), "2020-01-01T00:00:00.000Z");
    assert_eq!(pair.ends().to_string(), "2022-01-01T00:00:00.000Z");
    let late = Files::new().pair(&authority.certificate_until(&[NAME], 9999)).unwrap();
    assert_eq!(late.ends().to_string(), "9999-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_so() {
    let (running, _) = serving(&Authority::new().certificate(&[NAME]), options()).await;
    let mut stream = connect(&running).await;
    send(&mut stream, GET).await;
    let text = until_closed(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n") && text.contains("https_only"), "{text}");
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(text.contains(&format!("content-length: {}\r\n", body.len())), "{text}");
    counted(&running, "plain_http", 1).await;
    let mut stream = connect(&running).await;
    send(&mut stream, "\0\0 what is this").await;
    assert_eq!(until_closed(&mut stream).await, "");
    counted(&running, "handshake_failed", 1).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_closed() {
    let quick = ListenOptions { header_timeout: Duration::from_millis(40), ..options() };
    let (running, _) = serving(&Authority::new().certificate(&[NAME]), quick).await;
    let mut silent = connect(&running).await;
    assert_eq!(until_closed(&mut silent).await, "");
    let mut half = connect(&running).await;
    // The head of a record of 512 bytes, of which nothing comes.
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    assert_eq!(until_closed(&mut half).await, "");
    counted(&running, "handshake_timeout", 2).await;
}

#[tokio::test]
async fn a_client_that_trusts_somebody_else_is_counted() {
    let (running, _) = serving(&Authority::new().certificate(&[NAME]), options()).await;
    let error = got(&running, client(&running, &Authority::new())).await.unwrap_err();
    assert!(error.is_connect(), "{error}");
    counted(&running, "handshake_failed", 1).await;
}

#[tokio::test]
async fn a_client_that_takes_no_byte_of_its_answer_is_closed_over_tls_too() {
    let authority = Authority::new();
    let tls = Tls::new(Files::new().pair(&authority.certificate(&[NAME])).unwrap()).unwrap();
    let quick = ListenOptions {
        header_timeout: Duration::from_millis(20),
        write_timeout: Duration::from_millis(60),
        tls: Some(tls),
        ..options()
    };
    let (running, gone) = start_endless(quick).await;
    let mut stream = secured(&running, &authority).await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    timeout(LONG, gone.notified()).await.expect("the sender learns that the client is gone");
    counted(&running, "write_timeout", 1).await;
}

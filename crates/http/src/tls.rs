//! TLS with certificate files of the operator's own.
//!
//! A [`Pair`] is a certificate with its key, read from two PEM files and checked: that the key belongs to the certificate is
//! seen when the files are read, and not by the first client. A [`Tls`] is what a listener presents; another pair can be put
//! in its place at any time. Connections that are open keep what they were made with, as TLS has it; new ones get the new
//! pair. Who reads the files again, and when, is decided above: here nothing looks at a clock or a folder.
//!
//! TLS 1.2 and 1.3, no older; HTTP/2 and HTTP/1.1 by ALPN. Sessions are resumed by tickets that the client keeps, so that a
//! browser's next connection costs no signature and the server no memory. There is one pair per listener and the name that a
//! client asks for is not looked at: whoever serves several names has a certificate that holds them, or a proxy in front.

mod pair;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anole_event::code_enum;
use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

pub use pair::{Pair, TlsError, fingerprint};

code_enum! {
    /// The stable code of what is answered before there is TLS.
    pub enum TlsCode {
        /// The client speaks plain http.
        HttpsOnly "https_only",
    }
}

/// The first byte of a TLS connection: a record of the handshake.
const HANDSHAKE: u8 = 0x16;
/// How much of a request in plain http is read before the connection is closed, and for how long: what is left unread makes
/// the kernel send a reset, and a client that sees one throws the answer away.
const PLAIN_BYTES: u64 = 64 << 10;
const PLAIN_TIME: Duration = Duration::from_secs(1);

/// What a listener presents to its clients. Clones of the [`Arc`] are the same.
#[derive(Debug)]
pub struct Tls {
    in_force: Arc<InForce>,
    acceptor: TlsAcceptorOf,
}

/// The pair that new connections get.
#[derive(Debug)]
struct InForce(ArcSwap<Pair>);

/// [`TlsAcceptor`] has no `Debug`.
struct TlsAcceptorOf(TlsAcceptor);

/// What a client has begun with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Tls,
    /// The beginning of a request in plain http.
    Plain,
    Other,
    /// It went away before it said a word.
    Nothing,
}

// === impl Tls ===

impl Tls {
    /// Presents this pair.
    ///
    /// # Errors
    ///
    /// When no source of randomness is there to make the keys of tickets with.
    pub fn new(pair: Pair) -> Result<Arc<Self>, TlsError> {
        let in_force = Arc::new(InForce(ArcSwap::from_pointee(pair)));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&in_force) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Unusable)?;
        // One ticket is enough for the one connection that a client opens next; each costs an encryption and 200 bytes.
        config.send_tls13_tickets = 1;
        Ok(Arc::new(Self { in_force, acceptor: TlsAcceptorOf(TlsAcceptor::from(Arc::new(config))) }))
    }

    /// Puts another pair in force: connections that are made from now on get it.
    pub fn replace(&self, pair: Pair) {
        self.in_force.0.store(Arc::new(pair));
    }

    /// The pair in force.
    #[must_use]
    pub fn pair(&self) -> Arc<Pair> {
        self.in_force.0.load_full()
    }

    /// A handshake over this stream, of which nothing has been read.
    pub(crate) fn accept<S>(&self, stream: S) -> tokio_rustls::Accept<S>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        self.acceptor.0.accept_with(stream, |session: &mut ServerConnection| {
            // What a client that has stopped to read can make us hold, beside what hyper holds.
            session.set_buffer_limit(Some(16 << 10));
        })
    }
}

// === impl InForce ===

impl ResolvesServerCert for InForce {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().certified())
    }
}

// === impl TlsAcceptorOf ===

impl std::fmt::Debug for TlsAcceptorOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

// === impl Opening ===

impl Opening {
    /// Looks at a client's first byte, and leaves it where it is. rustls would find out as well, but by then the bytes are
    /// gone and an alert is on its way, behind which no browser reads a sentence.
    pub(crate) async fn of(stream: &TcpStream) -> Self {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE => Self::Tls,
            // Methods are capital letters.
            Ok(1) if first[0].is_ascii_uppercase() => Self::Plain,
            Ok(1) => Self::Other,
            _ => Self::Nothing,
        }
    }
}

/// Tells a client that speaks plain http to a port of TLS what is wrong, in plain http.
pub(crate) async fn answer_plain(stream: &mut TcpStream, address: Option<SocketAddr>) {
    let port = address.map_or(443, |address| address.port());
    let code = TlsCode::HttpsOnly;
    let body = format!(
        "{{\"success\":false,\"code\":\"{code}\",\"message\":\"this port speaks https: call https://…:{port}\"}}"
    );
    let head =
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncache-control: no-store\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(PLAIN_BYTES), &mut tokio::io::sink()).await
    };
    // Whether it was read or not, the connection ends.
    let _in_time = timeout(PLAIN_TIME, told).await.is_ok();
}

/// The one provider, named so that no other one that is installed in the process is taken.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

//! A connection of a vendor: bytes, with or without TLS, and the requests in them.

use std::collections::HashSet;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::book::Event;
use super::tls::Certificate;

/// The most bytes of a request.
const MOST: usize = 64 << 20;
/// The most headers of one.
const HEADERS: usize = 64;

/// A connection.
pub(super) struct Socket {
    wire: Wire,
    buffer: Vec<u8>,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// A request as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) bytes: usize,
    pub(super) events: Vec<Event>,
}

// === impl Read ===

impl Read {
    /// Whether one of these nonces is in it.
    pub(super) fn holds(&self, nonces: &HashSet<String>) -> bool {
        self.events.iter().any(|event| nonces.contains(&event.nonce))
    }
}

// === impl Socket ===

impl Socket {
    pub(super) async fn open(stream: TcpStream, certificate: Option<Certificate>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let wire = match certificate {
            None => Wire::Plain(stream),
            Some(certificate) => Wire::Tls(Box::new(certificate.acceptor().accept(stream).await?)),
        };
        Ok(Self { wire, buffer: Vec::new() })
    }

    /// The next request, once it is there whole; none when the caller closed. May be dropped and called again.
    pub(super) async fn next_request(&mut self) -> io::Result<Option<Read>> {
        loop {
            match self.parse() {
                Ok(Some(read)) => return Ok(Some(read)),
                Ok(None) => {}
                // As a server does that is spoken to in TLS where it expects HTTP.
                Err(error) => {
                    self.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?;
                    return Err(error);
                }
            }
            if self.buffer.len() > MOST {
                return Err(io::Error::other("the request is too long"));
            }
            let Self { wire, buffer } = self;
            if wire.bytes().read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wire = self.wire.bytes();
        wire.write_all(bytes).await?;
        wire.flush().await
    }

    /// Waits until the caller has gone.
    pub(super) async fn gone(&mut self) {
        let mut rest = [0; 1024];
        // An error is an end too.
        while self.wire.bytes().read(&mut rest).await.unwrap_or(0) > 0 {}
    }

    /// Breaks the connection: a reset instead of an end.
    pub(super) fn reset(&self) {
        match &self.wire {
            Wire::Plain(stream) => reset(stream),
            Wire::Tls(stream) => reset(stream.get_ref().0),
        }
    }

    /// Takes a whole request out of the buffer.
    fn parse(&mut self) -> io::Result<Option<Read>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(&self.buffer).map_err(|error| io::Error::other(error.to_string()))?;
        let httparse::Status::Complete(head) = parsed else { return Ok(None) };
        let target = format!("{} {}", request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let shown = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers: Vec<_> =
            request.headers.iter().map(|header| (header.name.to_ascii_lowercase(), shown(header.value))).collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(Ok(0), |(_, value)| value.parse::<usize>()).map_err(io::Error::other)?;
        let Some(body) = self.buffer.get(head..head + length) else { return Ok(None) };
        let read = Read { target, headers, bytes: length, events: events(body) };
        self.buffer.drain(..head + length);
        Ok(Some(read))
    }
}

// === impl Wire ===

impl Wire {
    fn bytes(&mut self) -> &mut dyn Bytes {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream,
        }
    }
}

/// Lets the end of a connection be a reset.
pub(super) fn reset(stream: &TcpStream) {
    // A connection that is broken already needs no reset.
    let _broken = stream.set_zero_linger();
}

/// The nonces in a body, each with the visitor behind it.
fn events(body: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(body);
    let value = |text: &str, name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split('"').next().map(str::to_owned)
    };
    let parts = text.split("\"nonce\":\"").skip(1);
    parts
        .filter_map(|part| {
            let nonce = part.split('"').next()?.to_owned();
            Some(Event { nonce, visitor: value(part, "\"visitorCode\":\"").unwrap_or_default() })
        })
        .collect()
}

//! One connection: hyper serves it, and a look every few seconds decides whether it may stay.
//!
//! # Why not hyper's own header timeout
//!
//! hyper's header timeout starts when the connection becomes idle, so it is the keep-alive timeout as well: with 10 s
//! for a head, a client that pauses for 11 s between two requests would find its connection closed, now and then just
//! as it writes. It also costs an allocation and a timer per request, and does not cover the first bytes, by which
//! HTTP/2 is told from HTTP/1.1. So the socket and the service only leave marks in [`Activity`], without asking for the
//! time, and a slow timer per connection reads them:
//!
//! - a head that has begun and stays unfinished for `header_timeout`: closed;
//! - no request under way for `idle_timeout`: closed, gracefully, so that HTTP/2 clients are told;
//! - an answer of which the client takes no byte for `write_timeout`: closed.
//!
//! A state must be seen at one look and still stand at a later one, so each ends after its time and up to half a
//! `header_timeout` more. How long a request may take is not decided here: bodies have [`crate::body::Limits`], and an
//! answer may rightly be an hour of server-sent events.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::body::{Body, InFlight};
use crate::{ListenOptions, Peer, Shutdown};

/// The marks that a connection leaves.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    in_flight: AtomicU32,
    /// Requests begun and ended.
    requests: AtomicU64,
    /// Bytes came in while no request was under way: a head has begun. Never set on HTTP/2, whose pings would look so.
    in_head: AtomicBool,
    /// A write found the client's window full.
    blocked: AtomicBool,
    /// Writes that found it open.
    writes: AtomicU64,
}

/// The socket, leaving marks.
struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
    /// Whether it speaks HTTP/2; unknown until the first byte.
    http2: Option<bool>,
}

/// What the looks at a connection have found so far.
#[derive(Default)]
struct Watch {
    requests: u64,
    writes: u64,
    quiet: Duration,
    in_head: Duration,
    blocked: Duration,
}

/// The mark of an answer that is not to be given: hyper takes an error of the service as the end of the connection, or
/// of the stream on HTTP/2.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cut off on purpose")]
pub(crate) struct CutOff;

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Stay,
    Retire,
    Close,
}

/// Makes the builder that all connections of a listener share.
pub(crate) fn builder(options: &ListenOptions) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let head = options.max_header_bytes.max(8 << 10);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(options.idle_timeout / 2))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(options.max_streams)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX));
    builder
}

/// Serves one connection to its end, to the end of its patience, or to `killed`.
pub(crate) async fn serve<S, F>(
    builder: &Builder<TokioExecutor>,
    options: &ListenOptions,
    stream: TcpStream,
    peer: Peer,
    service: S,
    (shutdown, killed): (Shutdown, Shutdown),
) where
    S: Fn(Request<Incoming>, Peer) -> F,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity), http2: None });
    let marks = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let in_flight = InFlight::new(Arc::clone(&marks));
        let answer = service(request, peer);
        async move {
            let mut answer = answer.await;
            if answer.extensions().get::<CutOff>().is_some() {
                return Err(CutOff);
            }
            answer.body_mut().hold(in_flight);
            Ok(answer)
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let every = (options.header_timeout / 2).max(Duration::from_millis(1));
    let mut looks = interval_at(Instant::now() + every, every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::default();
    let mut stopping = std::pin::pin!(shutdown.wait());
    let mut killing = std::pin::pin!(killed.wait());
    let mut retiring = false;
    loop {
        tokio::select! {
            biased;
            // An error here is the client's: a reset, a broken head. It is answered where it can be, by hyper.
            _ended = connection.as_mut() => return,
            _now = looks.tick() => match watch.look(&activity, options, every) {
                Verdict::Stay => {}
                Verdict::Retire if !retiring => {
                    retiring = true;
                    connection.as_mut().graceful_shutdown();
                }
                Verdict::Retire | Verdict::Close => return,
            },
            () = stopping.as_mut(), if !retiring => {
                retiring = true;
                connection.as_mut().graceful_shutdown();
            }
            () = killing.as_mut() => return,
        }
    }
}

// === impl Activity ===

impl Activity {
    pub(crate) fn request_began(&self) {
        self.in_flight.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.in_head.store(false, Relaxed);
    }

    pub(crate) fn request_ended(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
    }
}

// === impl Watch ===

impl Watch {
    fn look(&mut self, activity: &Activity, options: &ListenOptions, passed: Duration) -> Verdict {
        let (requests, writes) = (activity.requests.load(Relaxed), activity.writes.load(Relaxed));
        let busy = activity.in_flight.load(Relaxed) > 0;
        let moved = requests != std::mem::replace(&mut self.requests, requests);
        let wrote = writes != std::mem::replace(&mut self.writes, writes);
        count(&mut self.quiet, !busy && !moved, passed);
        count(&mut self.in_head, !busy && !moved && activity.in_head.load(Relaxed), passed);
        count(&mut self.blocked, !wrote && activity.blocked.load(Relaxed), passed);
        // Each count starts at the look that first saw the state, hence ">": one whole look more.
        if self.in_head > options.header_timeout || self.blocked > options.write_timeout {
            Verdict::Close
        } else if self.quiet > options.idle_timeout {
            Verdict::Retire
        } else {
            Verdict::Stay
        }
    }
}

fn count(sum: &mut Duration, stands: bool, passed: Duration) {
    *sum = if stands { sum.saturating_add(passed) } else { Duration::ZERO };
}

// === impl Watched ===

impl Watched {
    fn read(&mut self, bytes: &[u8]) {
        // No method of HTTP/1.1 begins with "PRI", which RFC 9113 chose for that reason.
        let preface = &bytes[..bytes.len().min(3)];
        let http2 = *self.http2.get_or_insert_with(|| preface == b"PRI");
        if !http2 && self.activity.in_flight.load(Relaxed) == 0 {
            self.activity.in_head.store(true, Relaxed);
        }
    }

    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        if result.is_pending() {
            self.activity.blocked.store(true, Relaxed);
        } else {
            self.activity.writes.fetch_add(1, Relaxed);
            self.activity.blocked.store(false, Relaxed);
        }
        result
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(bytes @ [_, ..]) = buf.filled().get(before..) {
            self.read(bytes);
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

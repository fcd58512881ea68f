//! The body of an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;

use crate::crowd::Activity;

/// Whatever made a streamed body fail.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer: whole, fed through a channel, or any other body. A whole one costs no allocation.
pub struct Body {
    kind: Kind,
    in_flight: Option<InFlight>,
}

enum Kind {
    Whole(Option<Bytes>),
    Channel(mpsc::Receiver<Bytes>),
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
}

/// Feeds a [`Body::channel`]. The body ends when the sender is dropped.
#[derive(Debug, Clone)]
pub struct BodySender(mpsc::Sender<Bytes>);

/// The client went away while its answer was being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct ClientGone;

/// Held from the moment a request is handed to the service until the last byte of its answer is taken: a connection
/// with one of these is not idle, however long it is silent.
#[derive(Debug)]
pub(crate) struct InFlight {
    activity: Arc<Activity>,
    /// Whether the client has to take something before the answer can go on.
    owed: bool,
}

// === impl Body ===

impl Body {
    /// A body of these bytes.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(Kind::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self::of(Kind::Whole(None))
    }

    /// A body that is sent piece by piece, for server-sent events and long listings. At most `capacity` pieces wait for
    /// the client; then [`BodySender::send`] waits too. An open body keeps a graceful shutdown waiting until the grace
    /// is over, so a sender should also watch the [`crate::Shutdown`].
    #[must_use]
    pub fn channel(capacity: usize) -> (BodySender, Self) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (BodySender(sender), Self::of(Kind::Channel(receiver)))
    }

    /// A body of the pieces of a stream. An error breaks the answer off, so that the client sees that it is not whole.
    #[must_use]
    pub fn stream<E: Into<BoxError> + 'static>(pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Self {
        let frames = pieces.map_ok(Frame::data).map(|piece| piece.map_err(Into::into));
        Self::of(Kind::Boxed(Box::pin(StreamBody::new(frames))))
    }

    /// Any other body, such as the one of an axum answer.
    #[must_use]
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(Kind::Boxed(Box::pin(body.map_err(Into::into))))
    }

    pub(crate) fn hold(&mut self, mut in_flight: InFlight) {
        // Until it is asked for its first piece, which a client of HTTP/2 decides.
        in_flight.owes(true);
        self.in_flight = Some(in_flight);
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, in_flight: None }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self::full(bytes)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let piece = match &mut self.kind {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Channel(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        };
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.activity.asked();
            // Where no piece is there, the client waits for us.
            in_flight.owes(piece.is_ready());
        }
        piece
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Channel(_) => false,
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Channel(_) => SizeHint::default(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.kind {
            Kind::Whole(_) => "whole",
            Kind::Channel(_) => "channel",
            Kind::Boxed(_) => "boxed",
        };
        f.debug_struct("Body").field("kind", &kind).finish_non_exhaustive()
    }
}

// === impl BodySender ===

impl BodySender {
    /// Sends a piece; waits while the client is behind by the channel's capacity.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub async fn send(&self, piece: impl Into<Bytes>) -> Result<(), ClientGone> {
        self.0.send(piece.into()).await.map_err(|_| ClientGone)
    }

    /// Waits until the client is gone.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

// === impl InFlight ===

impl InFlight {
    pub(crate) fn new(activity: Arc<Activity>) -> Self {
        activity.request_began();
        Self { activity, owed: false }
    }

    fn owes(&mut self, owed: bool) {
        if self.owed != owed {
            self.owed = owed;
            self.activity.owes(owed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.owes(false);
        self.activity.request_ended();
    }
}

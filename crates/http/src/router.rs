//! A tower service, such as an axum router, on the same loop.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{Service, ServiceExt};

use crate::Peer;
use crate::body::{Body, BodyError, BoxError};

/// The body of a request to a router: it fails when nothing comes for a while, or when it takes too long altogether, which a
/// router's own extractors would wait out.
#[derive(Debug)]
pub struct PacedBody {
    body: Incoming,
    pace: Pace,
    end: Instant,
    alarm: Pin<Box<Sleep>>,
}

/// How slow the body of a request to a router may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long it may pause.
    pub idle: Duration,
    /// How long the whole may take.
    pub whole: Duration,
}

/// Makes what [`crate::Listener::serve`] takes out of an axum router or any other tower service. The [`Peer`] is in the
/// request's extensions.
///
/// A body must keep the `pace`. Its size is for the service to bound: axum's extractors stop at 2 MiB by default.
pub fn tower_service<T, B>(
    service: T,
    pace: Pace,
) -> impl Fn(Request<Incoming>, Peer) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> + Clone + Send + 'static
where
    T: Service<Request<PacedBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    T::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    move |mut request, peer| {
        request.extensions_mut().insert(peer);
        let request = request.map(|body| PacedBody::new(body, pace));
        let answer = service.clone().oneshot(request);
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer.map(Body::new),
                Err(never) => match never {},
            }
        })
    }
}

// === impl PacedBody ===

impl PacedBody {
    fn new(body: Incoming, pace: Pace) -> Self {
        let now = Instant::now();
        Self { body, pace, end: now + pace.whole, alarm: Box::pin(sleep_until(now + pace.idle.min(pace.whole))) }
    }
}

impl http_body::Body for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            // What comes is looked at before the clock is: a client that sends on and on meets the size, not the time.
            let next = (Instant::now() + self.pace.idle).min(self.end);
            self.alarm.as_mut().reset(next);
            return Poll::Ready(frame.map(|frame| frame.map_err(|_| BodyError::Aborted)));
        }
        self.alarm.as_mut().poll(cx).map(|()| Some(Err(BodyError::Timeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

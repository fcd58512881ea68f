//! One connection: TLS where it is asked for, then hyper, until it ends or the [crowd](crate::crowd) says so.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anole_telemetry::CutReason;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;

use crate::body::{Body, InFlight};
use crate::crowd::{Activity, Crowd, Order};
use crate::socket::{Socket, Stream, Watched};
use crate::tls::{Opening, answer_plain};
use crate::{ListenOptions, Peer, Tls};

/// The mark of an answer that is not to be given: hyper takes an error of the service as the end of the connection, or
/// of the stream on HTTP/2.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cut off on purpose")]
pub(crate) struct CutOff;

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

/// Agrees on TLS where the listener has a certificate. `None` when nothing came of it.
pub(crate) async fn opened(
    tls: Option<&Tls>,
    mut stream: TcpStream,
    activity: &Arc<Activity>,
    crowd: &Crowd,
) -> Option<Stream> {
    let Some(tls) = tls else { return Some(Stream::Plain(Socket::new(stream, Arc::clone(activity)))) };
    activity.handshake(true);
    let agreed = async {
        match Opening::of(&stream).await {
            Opening::Tls => {
                let agreed = tls.accept(Socket::new(stream, Arc::clone(activity))).await.ok();
                if agreed.is_none() {
                    crowd.cut(CutReason::NoTls);
                }
                agreed
            }
            Opening::Plain => {
                crowd.cut(CutReason::PlainHttp);
                let address = stream.local_addr().ok();
                answer_plain(&mut stream, address).await;
                None
            }
            Opening::Other => {
                crowd.cut(CutReason::NoTls);
                None
            }
            // Load balancers look so whether we live.
            Opening::Nothing => None,
        }
    };
    // Boxed, as it is large and over before anything else begins.
    let mut agreed = Box::pin(agreed);
    let agreed = poll_fn(|cx| match activity.order(cx) {
        Order::Stay => agreed.as_mut().poll(cx),
        Order::Retire | Order::Close => Poll::Ready(None),
    });
    let agreed = agreed.await?;
    activity.handshake(false);
    Some(Stream::Tls(Box::new(agreed)))
}

/// Serves one connection to its end.
pub(crate) async fn serve<S, F>(
    builder: &Builder<TokioExecutor>,
    stream: Stream,
    peer: Peer,
    service: S,
    activity: &Arc<Activity>,
) where
    S: Fn(Request<Incoming>, Peer) -> F,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let io = TokioIo::new(Watched::new(stream, Arc::clone(activity)));
    let marks = Arc::clone(activity);
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
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut retiring = false;
    poll_fn(|cx| {
        match activity.order(cx) {
            Order::Stay => {}
            Order::Retire if retiring => {}
            Order::Retire => {
                retiring = true;
                connection.as_mut().graceful_shutdown();
            }
            Order::Close => return Poll::Ready(()),
        }
        // An error here is the client's: a reset, a broken head. It is answered where it can be, by hyper.
        connection.as_mut().poll(cx).map(|_ended| ())
    })
    .await;
}

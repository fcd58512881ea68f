//! What the accept loop promises, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "common/support.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use anole_http::{ListenOptions, Listener, ManualClock, Pace, Peer, body::Body, reply, tower_service};
use anole_telemetry::Telemetry;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use support::{LONG, answer, connect, counted, options, send, start, start_endless, until_closed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

const GET: &str = "GET / HTTP/1.1\r\nhost: here\r\n\r\n";

async fn hello(_: Request<Incoming>, _: Peer) -> Response<Body> {
    Response::new(Body::full("hello"))
}

#[tokio::test]
async fn a_connection_serves_several_requests_and_is_counted() {
    let running = start(options(), hello).await;
    let mut stream = connect(&running).await;
    for _ in 0..3 {
        send(&mut stream, GET).await;
        assert!(answer(&mut stream).await.ends_with("\r\n\r\nhello"));
    }
    let metrics = running.telemetry.render();
    assert!(metrics.contains("anole_connections{listener=\"collect\"} 1"), "{metrics}");
    running.shutdown.begin();
    timeout(LONG, running.served).await.unwrap().unwrap();
    let metrics = running.telemetry.render();
    assert!(metrics.contains("anole_connections{listener=\"collect\"} 0"), "{metrics}");
}

#[tokio::test]
async fn http2_is_spoken_on_the_same_port() {
    let running = start(options(), |request: Request<Incoming>, _| async move {
        Response::new(Body::full(format!("{:?} {}", request.version(), request.uri().path())))
    })
    .await;
    let io = hyper_util::rt::TokioIo::new(connect(&running).await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
    let driver = tokio::spawn(connection);
    for path in ["/one", "/two"] {
        let request = Request::get(format!("http://here{path}")).body(Body::empty()).unwrap();
        let answer = timeout(LONG, client.send_request(request)).await.unwrap().unwrap();
        let limits = anole_http::body::Limits::of(100);
        let text = anole_http::body::read(answer.into_body(), &limits).await.unwrap();
        assert_eq!(text, format!("HTTP/2.0 {path}"));
    }
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_explained() {
    let telemetry = Telemetry::new(Arc::new(ManualClock::default()));
    let first = Listener::bind(options(), Arc::clone(&telemetry)).await.unwrap();
    let address = first.local_addr();
    let error = Listener::bind(ListenOptions::new("collect", address), Arc::clone(&telemetry)).await.unwrap_err();
    let expected = format!("collect.listen: {address} is taken by another program: stop it, or choose another address");
    assert_eq!(error.to_string(), expected);
    let foreign = ListenOptions::new("admin", "192.0.2.1:0".parse().unwrap());
    let error = Listener::bind(foreign, telemetry).await.unwrap_err();
    assert!(error.to_string().starts_with("admin.listen: 192.0.2.1 is not an address of this machine"), "{error}");
}

#[tokio::test]
async fn at_the_cap_a_connection_waits_until_another_ends() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (said, waited) = (Arc::clone(&entered), Arc::clone(&go_on));
    let busy = ListenOptions { max_connections: 1, look: Duration::from_millis(5), ..options() };
    let running = start(busy, move |request: Request<Incoming>, peer| {
        let (said, waited) = (Arc::clone(&said), Arc::clone(&waited));
        async move {
            if request.method() == http::Method::POST {
                said.notify_one();
                waited.notified().await;
            }
            hello(request, peer).await
        }
    })
    .await;
    let mut first = connect(&running).await;
    send(&mut first, "POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n").await;
    entered.notified().await;
    let mut second = connect(&running).await;
    send(&mut second, GET).await;
    let open = "anole_connections_total{listener=\"collect\"} 1";
    assert!(running.telemetry.render().contains(open), "the second one is not taken");
    go_on.notify_one();
    assert!(answer(&mut first).await.ends_with("hello"), "who is served is not closed to make room");
    assert!(answer(&mut second).await.ends_with("hello"), "who is idle then is");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_closed() {
    let quick = ListenOptions { header_timeout: Duration::from_millis(40), ..options() };
    let running = start(quick, hello).await;
    let mut stream = connect(&running).await;
    send(&mut stream, "POST / HTTP/1.1\r\nhost: he").await;
    until_closed(&mut stream).await;
    // And so is one that begins after a whole request.
    let mut stream = connect(&running).await;
    send(&mut stream, GET).await;
    answer(&mut stream).await;
    send(&mut stream, "GET / HT").await;
    until_closed(&mut stream).await;
    counted(&running, "header_timeout", 2).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_own_time_only() {
    let quick = ListenOptions {
        header_timeout: Duration::from_millis(20),
        idle_timeout: Duration::from_millis(300),
        ..options()
    };
    let running = start(quick, hello).await;
    let mut silent = connect(&running).await;
    let mut used = connect(&running).await;
    send(&mut used, GET).await;
    answer(&mut used).await;
    let begun = tokio::time::Instant::now();
    until_closed(&mut used).await;
    assert!(begun.elapsed() > Duration::from_millis(250), "the header timeout is not the idle timeout");
    until_closed(&mut silent).await;
    counted(&running, "idle_timeout", 2).await;
}

#[tokio::test]
async fn an_answer_that_takes_its_time_is_not_idle() {
    let quick = ListenOptions {
        header_timeout: Duration::from_millis(10),
        idle_timeout: Duration::from_millis(30),
        ..options()
    };
    let running = start(quick, |_: Request<Incoming>, _| async {
        let (pieces, body) = Body::channel(1);
        tokio::spawn(async move {
            for piece in ["one ", "two ", "three"] {
                // Longer than the idle timeout: the time itself is what is tested.
                tokio::time::sleep(Duration::from_millis(90)).await;
                pieces.send(piece).await.unwrap();
            }
        });
        Response::new(body)
    })
    .await;
    let mut stream = connect(&running).await;
    send(&mut stream, GET).await;
    let text = until_closed(&mut stream).await;
    assert!(text.contains("one ") && text.contains("two ") && text.contains("three\r\n0\r\n"), "{text}");
}

#[tokio::test]
async fn a_client_that_takes_no_byte_of_its_answer_is_closed() {
    let quick = ListenOptions {
        header_timeout: Duration::from_millis(20),
        write_timeout: Duration::from_millis(60),
        ..options()
    };
    let (running, gone) = start_endless(quick).await;
    let mut stream = connect(&running).await;
    send(&mut stream, GET).await;
    timeout(LONG, gone.notified()).await.expect("the sender learns that the client is gone");
    counted(&running, "write_timeout", 1).await;
}

#[tokio::test]
async fn a_shutdown_lets_requests_end_and_takes_no_new_ones() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (said, waited) = (Arc::clone(&entered), Arc::clone(&go_on));
    let running = start(options(), move |_: Request<Incoming>, _| {
        let (said, waited) = (Arc::clone(&said), Arc::clone(&waited));
        async move {
            said.notify_one();
            waited.notified().await;
            reply::json(StatusCode::OK, "{\"success\":true}")
        }
    })
    .await;
    let mut idle = connect(&running).await;
    let mut stream = connect(&running).await;
    send(&mut stream, GET).await;
    entered.notified().await;
    running.shutdown.begin();
    until_closed(&mut idle).await;
    assert!(!running.served.is_finished(), "a request is under way");
    go_on.notify_one();
    let text = until_closed(&mut stream).await;
    assert!(text.ends_with("{\"success\":true}"), "{text}");
    timeout(LONG, running.served).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(running.address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn after_the_grace_what_is_left_is_cut_off() {
    let entered = Arc::new(Notify::new());
    let said = Arc::clone(&entered);
    let short = ListenOptions { grace: Duration::from_millis(30), ..options() };
    let running = start(short, move |_: Request<Incoming>, _| {
        said.notify_one();
        std::future::pending::<Response<Body>>()
    })
    .await;
    let mut stream = connect(&running).await;
    send(&mut stream, GET).await;
    entered.notified().await;
    running.shutdown.begin();
    timeout(LONG, running.served).await.unwrap().unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let running = start(ListenOptions { max_header_bytes: 8 << 10, ..options() }, hello).await;
    let mut stream = connect(&running).await;
    send(&mut stream, &format!("GET / HTTP/1.1\r\nhost: here\r\nx-big: {}\r\n\r\n", "y".repeat(20_000))).await;
    let text = until_closed(&mut stream).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    let mut stream = connect(&running).await;
    send(&mut stream, &format!("GET / HTTP/1.1\r\nhost: here\r\nx-big: {}\r\n\r\n", "y".repeat(4_000))).await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_axum_router_runs_on_the_same_loop() {
    use axum::extract::{Extension, Json};
    use axum::routing::{get, post};
    let router = axum::Router::new()
        .route("/peer", get(|Extension(peer): Extension<Peer>| async move { peer.address.ip().to_string() }))
        .route("/echo", post(|Json(value): Json<Vec<u64>>| async move { Json(value) }));
    let running = start(options(), tower_service(router, pace(10_000, 60_000))).await;
    let mut stream = connect(&running).await;
    send(&mut stream, "GET /peer HTTP/1.1\r\nhost: here\r\n\r\n").await;
    assert!(answer(&mut stream).await.ends_with("127.0.0.1"));
    let post =
        "POST /echo HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n[1,2,3]";
    send(&mut stream, post).await;
    assert!(answer(&mut stream).await.ends_with("[1,2,3]"));
}

fn pace(idle: u64, whole: u64) -> Pace {
    Pace { idle: Duration::from_millis(idle), whole: Duration::from_millis(whole) }
}

#[tokio::test]
async fn a_routers_body_may_not_stall() {
    use axum::routing::post;
    let router = axum::Router::new().route("/", post(|text: String| async move { text }));
    let running = start(options(), tower_service(router, pace(30, 60_000))).await;
    let mut stream = connect(&running).await;
    send(&mut stream, "POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 9\r\n\r\nhalf").await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_panic_in_the_service_costs_its_connection_only() {
    let running =
        start(ListenOptions { max_connections: 1, ..options() }, |request: Request<Incoming>, _| async move {
            assert_ne!(request.uri().path(), "/panic", "asked for");
            Response::new(Body::full("fine"))
        })
        .await;
    let mut stream = connect(&running).await;
    send(&mut stream, "GET /panic HTTP/1.1\r\nhost: here\r\n\r\n").await;
    until_closed(&mut stream).await;
    let mut stream = connect(&running).await;
    send(&mut stream, GET).await;
    assert!(answer(&mut stream).await.ends_with("fine"), "its slot is free again");
}

#[tokio::test]
async fn an_answer_may_be_withheld_by_closing() {
    let running = start(options(), |_: Request<Incoming>, _| async { reply::cut_off() }).await;
    let mut stream = connect(&running).await;
    send(&mut stream, GET).await;
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn requests_that_were_sent_in_one_go_are_all_answered() {
    let running = start(options(), hello).await;
    let mut stream = connect(&running).await;
    stream.write_all(GET.repeat(50).as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while String::from_utf8_lossy(&text).matches("hello").count() < 50 {
        assert_ne!(timeout(LONG, stream.read_buf(&mut text)).await.unwrap().unwrap(), 0);
    }
}

#[tokio::test]
async fn a_client_of_http2_that_gives_a_stream_no_window_is_closed_though_it_pings() {
    let quick = ListenOptions {
        header_timeout: Duration::from_millis(20),
        write_timeout: Duration::from_millis(60),
        ..options()
    };
    let running = start(quick, hello).await;
    let io = hyper_util::rt::TokioIo::new(connect(&running).await);
    let mut builder = hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
    builder
        .timer(hyper_util::rt::TokioTimer::new())
        .initial_stream_window_size(0)
        .keep_alive_interval(Duration::from_millis(5))
        .keep_alive_while_idle(true);
    let (mut client, connection) = builder.handshake(io).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::get("http://here/").body(Body::empty()).unwrap();
    let answer = timeout(LONG, client.send_request(request)).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "the head needs no window");
    let ended = timeout(LONG, driver).await.expect("the connection is closed").unwrap();
    drop((ended, answer));
    counted(&running, "write_timeout", 1).await;
}

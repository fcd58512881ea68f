//! Who goes when there are too many connections, and how few one address may have.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "common/support.rs"]
mod support;

use std::time::Duration;

use anole_http::{ListenOptions, Peer, body, body::Body, reply};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use support::{LONG, Running, answer, connect, counted, options, send, start, until_closed};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

const GET: &str = "GET / HTTP/1.1\r\nhost: here\r\n\r\n";

async fn hello(_: Request<Incoming>, _: Peer) -> Response<Body> {
    Response::new(Body::full("hello"))
}

fn crowded(max_connections: usize) -> ListenOptions {
    ListenOptions { max_connections, look: Duration::from_millis(10), ..options() }
}

async fn served(running: &Running) -> TcpStream {
    let mut stream = connect(running).await;
    send(&mut stream, GET).await;
    assert!(answer(&mut stream).await.ends_with("hello"));
    stream
}

#[tokio::test]
async fn at_the_cap_the_connection_that_was_idle_longest_makes_room() {
    let running = start(crowded(3), hello).await;
    let mut first = served(&running).await;
    // Later by more than a look: the order is what is tested.
    tokio::time::sleep(Duration::from_millis(60)).await;
    let mut second = served(&running).await;
    let mut third = served(&running).await;
    let _fourth = served(&running).await;
    assert_eq!(until_closed(&mut first).await, "");
    counted(&running, "crowded", 1).await;
    for stream in [&mut second, &mut third] {
        send(stream, GET).await;
        assert!(answer(stream).await.ends_with("hello"), "the others stay");
    }
}

#[tokio::test]
async fn connections_that_never_say_a_word_or_never_end_a_head_lock_nobody_out() {
    let running = start(crowded(20), hello).await;
    let mut silent = Vec::new();
    for number in 0..20 {
        let mut stream = connect(&running).await;
        if number % 2 == 0 {
            send(&mut stream, "GET / HT").await;
        }
        silent.push(stream);
    }
    for _ in 0..5 {
        served(&running).await;
    }
    assert!(running.telemetry.render().contains("reason=\"crowded\""), "they made room");
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_closed() {
    let running = start(ListenOptions { header_timeout: Duration::from_millis(60), ..options() }, hello).await;
    let mut stream = connect(&running).await;
    let trickle = async {
        // Each byte is progress; only the whole counts.
        while stream.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, trickle).await.expect("it is closed although it never pauses");
    counted(&running, "header_timeout", 1).await;
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_refused_after_its_time() {
    let limits = body::Limits { bytes: 1 << 20, idle: Duration::from_secs(20), whole: Duration::from_millis(80) };
    let running = start(options(), move |request: Request<Incoming>, _| async move {
        match body::read(request.into_body(), &limits).await {
            Ok(_) => reply::empty(StatusCode::OK),
            Err(error) => reply::body_error(&error),
        }
    })
    .await;
    let mut stream = connect(&running).await;
    send(&mut stream, "POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 100000\r\n\r\n").await;
    let (mut reading, mut writing) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut text = Vec::new();
    let told = async {
        while !String::from_utf8_lossy(&text).contains("body_timeout") {
            assert_ne!(tokio::io::AsyncReadExt::read_buf(&mut reading, &mut text).await.unwrap(), 0);
        }
    };
    timeout(LONG, told).await.expect("an answer comes");
    assert!(text.starts_with(b"HTTP/1.1 408"));
    drop(reading);
    trickle.abort();
}

#[tokio::test]
async fn an_address_may_have_only_so_many() {
    let running = start(ListenOptions { max_per_address: Some(2), ..options() }, hello).await;
    let first = served(&running).await;
    let _second = served(&running).await;
    assert_eq!(until_closed(&mut connect(&running).await).await, "");
    counted(&running, "address_cap", 1).await;
    // Another address of this machine is another client.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(running.address).await.unwrap();
    send(&mut other, GET).await;
    assert!(answer(&mut other).await.ends_with("hello"));
    drop(first);
    let again = async {
        loop {
            let mut stream = connect(&running).await;
            // The first one's end may not have been seen yet.
            if stream.write_all(GET.as_bytes()).await.is_ok() && until_closed_or_answered(&mut stream).await {
                return;
            }
        }
    };
    timeout(LONG, again).await.expect("there is room again");
}

async fn until_closed_or_answered(stream: &mut TcpStream) -> bool {
    let mut text = Vec::new();
    matches!(tokio::io::AsyncReadExt::read_buf(stream, &mut text).await, Ok(1..))
}

#[tokio::test]
async fn a_proxy_may_have_any_number() {
    let proxy =
        ListenOptions { max_per_address: Some(1), uncounted: vec!["127.0.0.0/8".parse().unwrap()], ..options() };
    let running = start(proxy, hello).await;
    let _one = served(&running).await;
    served(&running).await;
}

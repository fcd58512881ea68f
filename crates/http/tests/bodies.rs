//! How bodies are read and refused, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "common/support.rs"]
mod support;

use std::time::Duration;

use anole_http::body::{self, Body, BodyError, Limits};
use anole_http::{Peer, reply};
use async_compression::tokio::bufread::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use support::{answer, connect, options, send, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LIMITS: Limits = Limits { bytes: 100_000, idle: Duration::from_millis(50), whole: Duration::from_millis(150) };

async fn measure(request: Request<Incoming>, _: Peer) -> Response<Body> {
    match body::read_decoded(request, &LIMITS).await {
        Ok(bytes) => reply::json(StatusCode::OK, format!("{{\"bytes\":{}}}", bytes.len())),
        Err(error) => reply::body_error(&error),
    }
}

fn head(more: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: here\r\n{more}\r\n\r\n")
}

#[tokio::test]
async fn bodies_with_a_length_and_in_chunks_are_read() {
    let running = start(options(), measure).await;
    let mut stream = connect(&running).await;
    send(&mut stream, &head("content-length: 5")).await;
    send(&mut stream, "12345").await;
    assert!(answer(&mut stream).await.ends_with("{\"bytes\":5}"));
    send(&mut stream, &head("transfer-encoding: chunked")).await;
    send(&mut stream, "3\r\nabc\r\n").await;
    send(&mut stream, "4\r\ndefg\r\n0\r\n\r\n").await;
    assert!(answer(&mut stream).await.ends_with("{\"bytes\":7}"));
    send(&mut stream, &head("content-length: 0")).await;
    assert!(answer(&mut stream).await.ends_with("{\"bytes\":0}"));
}

#[tokio::test]
async fn a_refused_body_is_drained_so_that_the_client_reads_the_answer() {
    let running = start(options(), measure).await;
    for said in ["content-length: 3000000", "transfer-encoding: chunked"] {
        let mut stream = connect(&running).await;
        send(&mut stream, &head(said)).await;
        // A client that reads only after it has sent all of it, as most do.
        let body = vec![b'x'; 3_000_000];
        if said.starts_with("transfer") {
            send(&mut stream, "2dc6c0\r\n").await;
        }
        stream.write_all(&body).await.unwrap();
        if said.starts_with("transfer") {
            send(&mut stream, "\r\n0\r\n\r\n").await;
        }
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 413"), "{text}");
        let expected = r#"{"success":false,"code":"body_too_large","message":"the body is larger than 100000 bytes"}"#;
        assert!(text.ends_with(expected), "{text}");
        send(&mut stream, &head("content-length: 1")).await;
        send(&mut stream, "y").await;
        assert!(answer(&mut stream).await.ends_with("{\"bytes\":1}"), "the connection is still good");
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken() {
    let running = start(options(), measure).await;
    let mut stream = connect(&running).await;
    send(&mut stream, &head("content-length: 100000")).await;
    stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
    assert!(answer(&mut stream).await.ends_with("{\"bytes\":100000}"));
}

#[tokio::test]
async fn a_body_that_stalls_times_out() {
    let running = start(options(), measure).await;
    let mut stream = connect(&running).await;
    send(&mut stream, &head("content-length: 10")).await;
    send(&mut stream, "123").await;
    let text = answer(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("body_timeout"), "{text}");
}

#[tokio::test]
async fn a_body_that_trickles_for_ever_times_out_as_a_whole() {
    let running = start(options(), measure).await;
    let stream = connect(&running).await;
    let (mut from, mut to) = stream.into_split();
    to.write_all(head("content-length: 10000").as_bytes()).await.unwrap();
    let trickle = tokio::spawn(async move {
        // The pace is what is tested: always within the idle time, never done within the whole.
        while to.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("body_timeout") {
        assert_ne!(tokio::time::timeout(support::LONG, from.read_buf(&mut text)).await.unwrap().unwrap(), 0);
    }
    drop(from);
    tokio::time::timeout(support::LONG, trickle).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_is_aborted() {
    let (told, mut heard) = tokio::sync::mpsc::channel(1);
    let running = start(options(), move |request: Request<Incoming>, _| {
        let told = told.clone();
        async move {
            told.send(body::read(request.into_body(), &Limits::of(100)).await).await.unwrap();
            reply::empty(StatusCode::NO_CONTENT)
        }
    })
    .await;
    let mut stream = connect(&running).await;
    // A chunk length that is none: the connection lives, the body is broken.
    send(&mut stream, &head("transfer-encoding: chunked")).await;
    send(&mut stream, "3\r\nabc\r\nzz\r\n").await;
    assert_eq!(heard.recv().await.unwrap(), Err(BodyError::Aborted));
}

async fn encoded(name: &str, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let done = match name {
        "gzip" => GzipEncoder::new(plain).read_to_end(&mut out).await,
        "zlib" => ZlibEncoder::new(plain).read_to_end(&mut out).await,
        "deflate" => DeflateEncoder::new(plain).read_to_end(&mut out).await,
        "br" => BrotliEncoder::new(plain).read_to_end(&mut out).await,
        "zstd" => ZstdEncoder::new(plain).read_to_end(&mut out).await,
        other => panic!("{other}"),
    };
    assert!(done.unwrap() > 0);
    out
}

fn named(encoding: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::CONTENT_ENCODING, HeaderValue::from_str(encoding).unwrap())])
}

const ALL: [(&str, &str); 5] =
    [("gzip", "gzip"), ("zlib", "deflate"), ("deflate", "deflate"), ("br", "BR"), ("zstd", "zstd")];

#[tokio::test]
async fn every_encoding_is_undone_and_bounded() {
    let plain = r#"{"batch":[{"type":"track","event":"Order Completed"}]}"#.repeat(100);
    let bomb = vec![0_u8; 5_000_000];
    for (format, header) in ALL {
        let bytes = Bytes::from(encoded(format, plain.as_bytes()).await);
        let exactly = body::decode(&named(header), bytes.clone(), plain.len()).await;
        assert_eq!(exactly.as_deref(), Ok(plain.as_bytes()), "{format}");
        let limit = plain.len() - 1;
        let over = body::decode(&named(header), bytes.clone(), limit).await;
        assert_eq!(over, Err(BodyError::TooLarge { limit }), "{format}");
        let small = Bytes::from(encoded(format, &bomb).await);
        assert!(small.len() < 50_000, "{format}: {}", small.len());
        let refused = body::decode(&named(header), small, 100_000).await;
        assert_eq!(refused, Err(BodyError::TooLarge { limit: 100_000 }), "{format}");
        let half = bytes.slice(..bytes.len() / 2);
        assert!(matches!(body::decode(&named(header), half, 1 << 20).await, Err(BodyError::Corrupt(_))), "{format}");
        let garbage = Bytes::from_static(b"{\"this\":\"is not encoded\"}");
        let refused = body::decode(&named(header), garbage, 1 << 20).await;
        assert!(matches!(refused, Err(BodyError::Corrupt(_))), "{format}: {refused:?}");
        assert_eq!(body::decode(&named(header), Bytes::new(), 10).await.as_deref(), Ok(&b""[..]), "{format}");
    }
}

#[tokio::test]
async fn gzip_in_several_members_is_one_body() {
    let mut bytes = encoded("gzip", b"one ").await;
    bytes.extend(encoded("gzip", b"two").await);
    assert_eq!(body::decode(&named("x-gzip"), bytes.into(), 100).await.as_deref(), Ok(&b"one two"[..]));
}

#[tokio::test]
async fn an_unknown_or_stacked_encoding_is_named_and_identity_is_none() {
    let bytes = Bytes::from_static(b"plain");
    let unknown = body::decode(&named("compress"), bytes.clone(), 100).await;
    assert_eq!(unknown, Err(BodyError::Encoding("compress".to_owned())));
    let stacked = body::decode(&named("gzip, br"), bytes.clone(), 100).await;
    assert_eq!(stacked, Err(BodyError::Encoding("gzip, br".to_owned())));
    assert_eq!(body::decode(&named("identity"), bytes.clone(), 100).await, Ok(bytes));
}

#[tokio::test]
async fn encoded_bodies_arrive_over_the_wire() {
    let running = start(options(), measure).await;
    let mut stream = connect(&running).await;
    let gzip = encoded("gzip", &[b'x'; 5_000]).await;
    send(&mut stream, &head(&format!("content-encoding: gzip\r\ncontent-length: {}", gzip.len()))).await;
    stream.write_all(&gzip).await.unwrap();
    assert!(answer(&mut stream).await.ends_with("{\"bytes\":5000}"));
    send(&mut stream, &head("content-encoding: rot13\r\ncontent-length: 3")).await;
    send(&mut stream, "abc").await;
    let text = answer(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 415") && text.contains("\\\"rot13\\\""), "{text}");
}

#[tokio::test]
async fn a_refusal_says_the_reason_and_when_to_come_back() {
    let answer = reply::Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "the \"journal\" is full")
        .reason("journal_full")
        .retry_after(Duration::from_millis(1_200))
        .answer();
    assert_eq!(answer.headers()["retry-after"], "2");
    assert_eq!(answer.headers()["content-type"], "application/json");
    let text = body::read(answer.into_body(), &Limits::of(1_000)).await.unwrap();
    let expected =
        r#"{"success":false,"code":"overloaded","message":"the \"journal\" is full","reason":"journal_full"}"#;
    assert_eq!(text, expected);
}

//! Over a real connection.

use std::sync::Arc;

use anole_event::{Clock, Seeded, SystemClock};
use anole_http::{ListenOptions, Listener, Shutdown};
use anole_ingest::{Ground, Ingest, IngestOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Map, Tape, shop};

#[tokio::test]
async fn a_request_over_the_wire_is_answered_and_kept() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let telemetry = anole_telemetry::Telemetry::new(Arc::clone(&clock));
    let journal = Arc::new(Tape::default());
    let ground = Ground {
        journal: Arc::clone(&journal) as Arc<dyn anole_journal::Journal>,
        state: Arc::new(Map::default()),
        telemetry: Arc::clone(&telemetry),
        clock,
        random: Box::new(Seeded::new(1)),
    };
    let ingest = Ingest::new(IngestOptions::default(), ground, [Arc::new(shop())]);
    let listener = Listener::bind(ListenOptions::new("collect", ([127, 0, 0, 1], 0).into()), telemetry).await.unwrap();
    let address = listener.local_addr();
    let shutdown = Shutdown::new();
    let service = move |request, peer| Arc::clone(&ingest).handle(request, peer);
    let serving = tokio::spawn(listener.serve(service, shutdown.clone()));

    let body = r#"{"event":"E","messageId":"m-1"}"#;
    let head = "POST /v1/track?writeKey=wk HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"true}") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
    }
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200 ok\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-anole-ack: fsync\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nset-cookie: _anole_id=") && !answer.contains("secure"),
        "curl would throw it away: {answer}"
    );
    assert_eq!(journal.only()["event"], "E");

    drop(stream);
    shutdown.begin();
    serving.await.unwrap();
}

//! Tokens of OAuth 2 client credentials, against a token endpoint and a vendor on loopback.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anole_delivery::{Answered, Outgoing, Sender, SenderOptions};
use anole_event::{Clock, ManualClock, Timestamp};
use anole_pipeline::{Auth, LanePlan, OAuth2, Secret};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::plan;

/// A vendor, and where it gives out tokens.
struct Vendor {
    origin: String,
    /// Whether it gives out tokens.
    gives: AtomicBool,
    /// Whether it accepts those that it gave out last.
    accepts: AtomicBool,
    asked: AtomicUsize,
    /// What came with each request.
    shown: Mutex<Vec<Option<String>>>,
}

struct World {
    vendor: Arc<Vendor>,
    sender: Sender,
    clock: ManualClock,
    plan: Arc<LanePlan>,
}

impl Vendor {
    async fn serve(&self, mut stream: TcpStream) {
        let mut buffer = vec![0; 8_192];
        loop {
            let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
            let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
            let (status, body) = if head.starts_with("POST /token") {
                let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
                match self.gives.load(Ordering::SeqCst) {
                    true => ("200 OK", format!(r#"{{"access_token":"token-{number}","expires_in":600}}"#)),
                    false => ("500 Internal Server Error", String::new()),
                }
            } else {
                let of = |line: &&str| line.to_ascii_lowercase().starts_with("authorization: ");
                let token = head.lines().find(of).map(|line| line["authorization: Bearer ".len()..].to_owned());
                let refused = token.is_some() && !self.accepts.load(Ordering::SeqCst);
                self.shown.lock().unwrap().push(token);
                (if refused { "401 Unauthorized" } else { "200 OK" }, String::new())
            };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

impl World {
    async fn new(optional: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vendor = Arc::new(Vendor {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            gives: true.into(),
            accepts: true.into(),
            asked: 0.into(),
            shown: Mutex::default(),
        });
        let serving = Arc::clone(&vendor);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let vendor = Arc::clone(&serving);
                tokio::spawn(async move { vendor.serve(stream).await });
            }
        });
        let auth = Auth::OAuth2(Arc::new(OAuth2 {
            token_url: format!("{}/token", vendor.origin),
            client_id: Secret::new("id"),
            client_secret: Secret::new("secret"),
            scope: None,
            optional,
        }));
        let clock = ManualClock::at(Timestamp::from_millis(1_800_000_000_000));
        let options = SenderOptions { allow_private_addresses: true, ..SenderOptions::default() };
        let sender = Sender::new(&options, Arc::new(clock.clone()) as Arc<dyn Clock>).unwrap();
        Self { vendor, sender, clock, plan: Arc::new(plan::with_auth(auth)) }
    }

    async fn send(&self) -> Answered {
        let mut address = plan::address(0);
        address.url = format!("{}/data", self.vendor.origin);
        let (plan, body) = (Arc::clone(&self.plan), Bytes::from_static(b"[]"));
        let answered =
            self.sender.send(Outgoing { request: 1, address: Arc::new(address), plan, body, sends: 1 }).await;
        if answered.status == Some(401) {
            // As the lane does it.
            self.sender.forget_token(&plan::address(0).endpoint).await;
        }
        answered
    }

    fn shown(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.vendor.shown.lock().unwrap())
    }

    fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn token(number: usize) -> Option<String> {
    Some(format!("token-{number}"))
}

#[tokio::test]
async fn a_token_is_got_once_and_anew_a_minute_before_it_ends() {
    let world = World::new(false).await;
    for _ in 0..3 {
        world.send().await;
    }
    world.seconds(539);
    world.send().await;
    assert_eq!(world.shown(), vec![token(1); 4]);
    world.seconds(2);
    world.send().await;
    assert_eq!(world.shown(), [token(2)]);
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_used_until_its_end() {
    let world = World::new(false).await;
    world.send().await;
    world.vendor.gives.store(false, Ordering::SeqCst);
    world.seconds(580);
    assert_eq!(world.send().await.status, Some(200));
    assert_eq!(world.shown(), [token(1), token(1)]);
    world.seconds(30);
    let failed = world.send().await;
    assert_eq!(failed.status, None);
    let message = failed.error.unwrap().message;
    assert!(message.contains("no token from") && message.contains("500"), "{message}");
}

#[tokio::test]
async fn those_who_wait_for_a_token_share_its_failure() {
    let world = World::new(false).await;
    world.vendor.gives.store(false, Ordering::SeqCst);
    for _ in 0..8 {
        assert!(world.send().await.error.is_some());
    }
    assert_eq!(world.vendor.asked.load(Ordering::SeqCst), 1);
    world.seconds(2);
    world.vendor.gives.store(true, Ordering::SeqCst);
    assert_eq!(world.send().await.status, Some(200));
}

#[tokio::test]
async fn where_a_token_is_optional_two_failures_let_requests_go_without_for_five_minutes() {
    let world = World::new(true).await;
    world.vendor.gives.store(false, Ordering::SeqCst);
    assert!(world.send().await.error.is_some(), "the first is tried again");
    world.seconds(2);
    for _ in 0..5 {
        let answered = world.send().await;
        assert_eq!((answered.status, answered.without_token), (Some(200), true));
    }
    assert_eq!(world.vendor.asked.load(Ordering::SeqCst), 2, "nor is a token asked for meanwhile");
    world.seconds(301);
    assert!(world.send().await.without_token, "one more failure is enough");
    world.vendor.gives.store(true, Ordering::SeqCst);
    world.seconds(301);
    let answered = world.send().await;
    assert_eq!((answered.status, answered.without_token), (Some(200), false));
    assert_eq!(world.shown().pop(), Some(token(4)));
}

#[tokio::test]
async fn a_token_that_is_refused_twice_is_left_out_where_it_is_optional_and_only_there() {
    for (optional, statuses) in [(true, [401, 401, 200, 200]), (false, [401; 4])] {
        let world = World::new(optional).await;
        world.vendor.accepts.store(false, Ordering::SeqCst);
        for status in statuses {
            assert_eq!(world.send().await.status, Some(status), "optional: {optional}");
        }
    }
}

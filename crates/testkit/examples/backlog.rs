//! What a lane that is far behind costs one that is not.
//!
//! ```text
//! backlog PATH-OF-ANOLE [EVENTS] [SECONDS]
//! ```
//!
//! `cargo xtask bench backlog` builds and runs it. The daemon is the release binary; load and vendors are this process, so
//! that an acknowledgement and an arrival are told by one clock. One after the other:
//!
//! 1. *Saturation*: 64 connections post single events to a pipeline with one lane, as fast as they are answered; the rate
//!    is that of the events until the last one has arrived.
//! 2. *Alone*: half of that rate, evenly paced; the time from the acknowledgement of an event to its arrival.
//! 3. A second daemon with a second lane, `slow`, which is paused while EVENTS (two million) are posted in batches and
//!    delivered to the lane `tail`. *Paused*: the delays again.
//! 4. The lane `slow` goes on, first as fast as it can for four seconds; then its vendor takes a third of that. *Behind*: the delays again.
//!
//! Batches wait 20 ms at most here instead of a second, so that the wait does not hide what is measured.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anole_testkit::{Daemon, Folder, client, wire};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

const CONNECTIONS: u64 = 64;
const KEY: &str = "dk_bench_backlog";
/// Events of one batch while the backlog is made.
const BATCH: u64 = 500;
/// What is left out at the beginning of a measurement.
const WARM_UP: f64 = 2.0;
const PATIENCE: Duration = Duration::from_secs(120);
const BLUEPRINT: &str = include_str!("../../../blueprints/kameleoon.yaml");
const WAIT: &str = "wait: 1s";

/// When each event of a measurement was acknowledged and arrived, in microseconds since it began; 0 when not.
struct Track {
    phase: u16,
    began: Instant,
    acknowledged: Vec<AtomicU64>,
    arrived: Vec<AtomicU64>,
}

/// A vendor that counts.
struct Vendor {
    address: SocketAddr,
    events: AtomicU64,
    track: Mutex<Option<Arc<Track>>>,
    /// How many events it takes per second, and when it takes the next.
    limit: Mutex<Option<(f64, Instant)>>,
}

/// Delays in milliseconds.
struct Delays {
    p50: f64,
    p99: f64,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(anole) = arguments.next() else {
        println!("usage: backlog PATH-OF-ANOLE [EVENTS] [SECONDS]");
        return;
    };
    let events = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(20.0);
    let anole = Path::new(&anole);
    let (rate, alone) = alone(anole, seconds).await;
    behind(anole, events, rate, seconds, &alone).await;
}

/// One lane: saturation, then half of it.
async fn alone(anole: &Path, seconds: f64) -> (f64, Delays) {
    let tail = Vendor::start().await;
    let folder = folder(&[("tail", &tail)]);
    let daemon = Daemon::start(anole, &folder.config()).await.unwrap();
    let started = Instant::now();
    let sent = saturate(daemon.collect, Duration::from_secs_f64(seconds.min(10.0))).await;
    let answered = started.elapsed().as_secs_f64();
    tail.wait_for(sent).await;
    let (all, rate) = (started.elapsed().as_secs_f64(), sent as f64 / started.elapsed().as_secs_f64());
    println!("saturation: {sent} events answered in {answered:.1} s, arrived in {all:.1} s: {rate:.0} a second");
    let rate = rate / 2.0;
    let delays = measure("alone", &daemon, &tail, 1, rate, seconds).await;
    assert_eq!(daemon.stop().await, Ok(0));
    (rate, delays)
}

/// Two lanes, one of them far behind.
async fn behind(anole: &Path, events: u64, rate: f64, seconds: f64, alone: &Delays) {
    let (tail, slow) = (Vendor::start().await, Vendor::start().await);
    let folder = folder(&[("tail", &tail), ("slow", &slow)]);
    let daemon = Daemon::start(anole, &folder.config()).await.unwrap();
    tell_lane(&daemon, "pause").await;
    let started = Instant::now();
    fill(daemon.collect, events).await;
    tail.wait_for(events).await;
    println!("{events} events accepted and delivered to tail in {:.0} s", started.elapsed().as_secs_f64());
    measure("beside a paused lane", &daemon, &tail, 2, rate, seconds / 2.0).await;
    tell_lane(&daemon, "resume").await;
    // What the lane can take while the other one is at work: looked at from a second in, for two seconds.
    let speed = tokio::spawn(Arc::clone(&slow).speed(Duration::from_secs(1), Duration::from_secs(2)));
    measure("beside a lane at full speed", &daemon, &tail, 3, rate, 4.0).await;
    let could = speed.await.unwrap();
    *slow.limit.lock().unwrap() = Some((could / 3.0, Instant::now()));
    let limited = tokio::spawn(Arc::clone(&slow).speed(Duration::from_secs(2), Duration::from_secs_f64(seconds - 3.0)));
    let behind = measure("beside a lane far behind", &daemon, &tail, 4, rate, seconds).await;
    let (taken, took) = (slow.events.load(Ordering::Relaxed), limited.await.unwrap());
    let all = events + (rate * (seconds * 1.5 + 4.0)) as u64;
    println!(
        "the slow lane could take {could:.0} events a second and took {took:.0}; at the end it was {} events behind",
        all.saturating_sub(taken)
    );
    println!(
        "ratio beside a lane far behind to alone: p50 {:.2}, p99 {:.2}",
        behind.p50 / alone.p50,
        behind.p99 / alone.p99
    );
    assert_eq!(daemon.stop().await, Ok(0));
}

/// Posts evenly and tells the delays of the lane `tail`.
async fn measure(name: &str, daemon: &Daemon, tail: &Vendor, phase: u16, rate: f64, seconds: f64) -> Delays {
    let count = (rate * seconds) as usize;
    let times = || (0..count).map(|_| AtomicU64::new(0)).collect();
    let track = Arc::new(Track { phase, began: Instant::now(), acknowledged: times(), arrived: times() });
    *tail.track.lock().unwrap() = Some(Arc::clone(&track));
    let before = tail.events.load(Ordering::Relaxed);
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|connection| tokio::spawn(pace(daemon.collect, Arc::clone(&track), connection, rate)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let took = track.began.elapsed().as_secs_f64();
    tail.wait_for(before + count as u64).await;
    *tail.track.lock().unwrap() = None;
    let measured = (rate * WARM_UP) as usize..;
    let pairs = track.acknowledged[measured.clone()].iter().zip(&track.arrived[measured]);
    let mut delays: Vec<_> = pairs
        .map(|(acknowledged, arrived)| {
            arrived.load(Ordering::Relaxed).saturating_sub(acknowledged.load(Ordering::Relaxed))
        })
        .collect();
    delays.sort_unstable();
    let at = |share: usize| delays[delays.len() * share / 100] as f64 / 1_000.0;
    let delays = Delays { p50: at(50), p99: at(99) };
    println!(
        "{name}: {:.0} a second, from acknowledgement to arrival p50 {:.1} ms, p99 {:.1} ms; memory of the daemon {} MiB",
        count as f64 / took,
        delays.p50,
        delays.p99,
        memory(daemon) / 1024
    );
    delays
}

/// One connection of an even load.
async fn pace(address: SocketAddr, track: Arc<Track>, connection: u64, rate: f64) {
    let mut stream = connect(address).await;
    let mut buffer = Vec::new();
    for number in (connection..track.acknowledged.len() as u64).step_by(CONNECTIONS as usize) {
        let due = track.began + Duration::from_secs_f64(number as f64 / rate);
        tokio::time::sleep_until(due.into()).await;
        post(&mut stream, &mut buffer, "/v1/t", &event(track.phase, number)).await;
        let now = u64::try_from(track.began.elapsed().as_micros()).unwrap();
        track.acknowledged[usize::try_from(number).unwrap()].store(now, Ordering::Relaxed);
    }
}

/// Posts single events as fast as they are answered; how many.
async fn saturate(address: SocketAddr, time: Duration) -> u64 {
    let (next, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let next = Arc::clone(&next);
        tasks.push(tokio::spawn(async move {
            let (mut stream, mut buffer) = (connect(address).await, Vec::new());
            while started.elapsed() < time {
                let number = next.fetch_add(1, Ordering::Relaxed);
                post(&mut stream, &mut buffer, "/v1/t", &event(0, number)).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    next.load(Ordering::Relaxed)
}

/// Posts events in batches.
async fn fill(address: SocketAddr, events: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let next = Arc::clone(&next);
        tasks.push(tokio::spawn(async move {
            let (mut stream, mut buffer) = (connect(address).await, Vec::new());
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                if from >= events {
                    return;
                }
                let items: Vec<_> = (from..events.min(from + BATCH)).map(|number| event(0, number)).collect();
                post(&mut stream, &mut buffer, "/v1/batch", &format!(r#"{{"batch":[{}]}}"#, items.join(","))).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn post(stream: &mut TcpStream, buffer: &mut Vec<u8>, path: &str, body: &str) {
    let request = wire::request(path, KEY, body);
    while wire::exchange(stream, &request, buffer).await.unwrap() != 200 {
        // The queue is full for a moment.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn event(phase: u16, number: u64) -> String {
    let id = format!("00000000-0000-4{phase:03x}-8000-{number:012x}");
    wire::event(&id, &format!("visitor-{}", number % 20_000), number)
}

/// The phase and number of an event, from its nonce.
fn numbers(nonce: &[u8]) -> Option<(u16, usize)> {
    let text = std::str::from_utf8(nonce.get(..36)?).ok()?;
    let phase = u16::from_str_radix(&text[15..18], 16).ok()?;
    Some((phase, usize::from_str_radix(&text[24..], 16).ok()?))
}

async fn tell_lane(daemon: &Daemon, what: &str) {
    let url = daemon.admin_url(&format!("/api/lanes/shop/slow/{what}"));
    let answer = client().post(url).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

fn memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn folder(lanes: &[(&str, &Arc<Vendor>)]) -> Folder {
    let lanes: String = lanes
        .iter()
        .map(|(name, vendor)| {
            format!(
                "  - blueprint: kameleoon\n    name: {name}\n    settings: {{ site_code: f17c21u1ag, region: eu, \
                 base_url: \"http://{}\" }}\n    events:\n      Order Completed: {{ set: {{ goalId: 36151 }} }}\n",
                vendor.address
            )
        })
        .collect();
    let pipeline = format!("pipeline: shop\nkeys: [{{ key: {KEY} }}]\ndestinations:\n{lanes}");
    let folder = Folder::with_settings(&pipeline, "delivery: { allow_private_addresses: true }");
    assert!(BLUEPRINT.contains(WAIT), "the blueprint's wait is written otherwise");
    folder.write("blueprints/kameleoon.yaml", &BLUEPRINT.replace(WAIT, "wait: 20ms"));
    folder
}

// === impl Vendor ===

impl Vendor {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vendor = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            events: AtomicU64::new(0),
            track: Mutex::default(),
            limit: Mutex::default(),
        });
        tokio::spawn(Arc::clone(&vendor).serve(listener));
        vendor
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let vendor = Arc::clone(&self);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(|request: Request<Incoming>| {
                    let vendor = Arc::clone(&vendor);
                    async move {
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        vendor.take(&body).await;
                        let answer = Response::builder().status(204).body(Empty::<Bytes>::new()).unwrap();
                        Ok::<_, Infallible>(answer)
                    }
                });
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
            });
        }
    }

    async fn take(&self, body: &[u8]) {
        const MARK: &[u8] = br#""nonce":""#;
        let track = self.track.lock().unwrap().clone();
        let now = track.as_ref().map_or(0, |track| u64::try_from(track.began.elapsed().as_micros()).unwrap());
        let (mut events, mut rest) = (0, body);
        while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
            rest = &rest[at + MARK.len()..];
            events += 1;
            if let (Some(track), Some((phase, number))) = (&track, numbers(rest))
                && track.phase == phase
            {
                let first = track.arrived[number].compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
                let _seen_before = first.is_err();
            }
        }
        if let Some(until) = self.turn(events) {
            tokio::time::sleep_until(until.into()).await;
        }
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    /// When it has taken so many more.
    fn turn(&self, events: u64) -> Option<Instant> {
        let mut limit = self.limit.lock().unwrap();
        let (rate, next) = limit.as_mut()?;
        *next = (*next).max(Instant::now()) + Duration::from_secs_f64(events as f64 / *rate);
        Some(*next)
    }

    /// Events per second over some time, a little later.
    async fn speed(self: Arc<Self>, later: Duration, time: Duration) -> f64 {
        tokio::time::sleep(later).await;
        let (before, started) = (self.events.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(time).await;
        (self.events.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64()
    }

    async fn wait_for(&self, events: u64) {
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            let now = self.events.load(Ordering::Relaxed);
            if now >= events {
                return;
            }
            if now > last {
                (last, moved) = (now, Instant::now());
            }
            assert!(moved.elapsed() < PATIENCE, "{now} of {events} events arrived");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

//! What a crowd of idle and slow connections costs those who send: latency of normal traffic without and with it.
//!
//! `cargo xtask bench crowd [IDLE] [SLOW] [SECONDS]` builds what it needs and runs it: 10,000 idle and 1,000 slow connections, 15 s a round.
//! The release daemon is a process of its own, at ack level `fsync`, with a pipeline without destinations; the clients are this one.
//!
//! 1. Memory: the resident set of the daemon that has just started, with IDLE connections that have said nothing, and after a request of each.
//! 2. Saturation: 64 connections, each sending its next event when it has its answer.
//! 3. Rounds by turns, without and with the crowd, at half of saturation over 64 connections: an event is sent at its time whether or not
//!    earlier ones are answered by then, and its latency counts from that time where its connection was still waiting.
//!
//! The crowd: IDLE connections that have made one request and are kept open; SLOW ones of which every other sends a head, and every other a body,
//! one byte a second, and which are opened anew as soon as they are cut. Limits are the defaults, but for `body_timeout` of 10 s instead of a minute, so that
//! bodies are cut within a round too.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anole_testkit::{Daemon, Folder, client, wire};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 64;
const KEY: &str = "dk_bench_crowd";
/// How often each condition is measured.
const ROUNDS: usize = 5;
/// The p99 that is asked for: at most so much of the one without the crowd.
const ASKED: f64 = 1.5;
/// Connections that are opened at once.
const OPENING: usize = 256;

/// The last byte of the loopback address from which the next crowd comes: the ports of one run out.
static SOURCE: AtomicU8 = AtomicU8::new(2);
/// Message ids are never used twice.
static RUNS: AtomicU64 = AtomicU64::new(0);

struct Size {
    idle: usize,
    slow: usize,
    took: Duration,
}

/// Slow connections that were cut and opened anew.
#[derive(Default)]
struct Reopened {
    heads: AtomicU64,
    bodies: AtomicU64,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(anole) = arguments.first() else {
        println!("usage: crowd PATH-OF-ANOLE [IDLE] [SLOW] [SECONDS]");
        return;
    };
    let number = |at: usize, otherwise| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let took = Duration::from_secs(number(3, 15) as u64);
    let size = Size { idle: number(1, 10_000), slow: number(2, 1_000), took };
    raise_files(size.idle + size.slow + 1_000);
    let ratio = compare(Path::new(anole), &size).await;
    assert!(ratio <= ASKED, "{ratio:.2} is more than the {ASKED} that is asked for");
}

fn raise_files(needed: usize) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit }).unwrap();
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(most >= needed as u64, "this process may have {most} files and needs {needed}: raise `ulimit -Hn`");
}

async fn compare(anole: &Path, size: &Size) -> f64 {
    let folder = Folder::with_settings(&format!("pipeline: shop\nkeys: [{{ key: {KEY} }}]\n"), "journal: { keep: 1m }");
    let settings = std::fs::read_to_string(folder.config()).unwrap();
    let collect = "collect: { listen: \"127.0.0.1:0\"";
    let with_limit = format!("{collect}, connections: {{ body_timeout: 10s }}");
    folder.write("anole.yaml", &settings.replace(collect, &with_limit));
    let daemon = Daemon::start(anole, &folder.config()).await.unwrap();
    let pid = running_pid(&folder.path("data/anole.run.json"));
    memory(&daemon, pid, size.idle).await;
    let (events, took) = saturate(daemon.collect, size.took).await;
    let most = events as f64 / took.as_secs_f64();
    println!("saturation: {most:.0} events a second over {CONNECTIONS} connections; what follows is at half of it");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let before = cuts(&daemon).await;
    let reopened = Arc::new(Reopened::default());
    println!("round      without: p50     p99     max   MiB      with: p50     p99     max   MiB   (ms; resident)");
    for round in 1..=ROUNDS {
        let one = paced(daemon.collect, most / 2.0, size.took).await;
        let alone = resident(pid);
        let crowd = crowd(daemon.collect, size, &reopened).await;
        let other = paced(daemon.collect, most / 2.0, size.took).await;
        println!("{round:>5}   {} {alone:>5.0}   {} {:>5.0}", shown(&one), shown(&other), resident(pid));
        without.push(one);
        with.push(other);
        drop(crowd);
    }
    let after = cuts(&daemon).await;
    for (limit, count) in &after {
        println!("cut by {limit}: {}", count - before.get(limit).copied().unwrap_or(0));
    }
    let (heads, bodies) = (reopened.heads.load(Ordering::Relaxed), reopened.bodies.load(Ordering::Relaxed));
    println!("slow connections opened anew: {heads} of heads, {bodies} of bodies");
    let (one, other) = (whole(&without), whole(&with));
    println!("all     {}         {}", shown(&one), shown(&other));
    println!("ratio of p99 of all: {:.2}", percentile(&other, 0.99) / percentile(&one, 0.99));
    let ratio = middle(&with) / middle(&without);
    println!("ratio of the median of the rounds' p99: {ratio:.2}, asked for at most {ASKED}");
    assert_eq!(daemon.stop().await, Ok(0));
    ratio
}

/// What idle connections cost in memory.
async fn memory(daemon: &Daemon, pid: u32, idle: usize) {
    let before = resident(pid);
    let mut silent = opened(daemon.collect, idle).await;
    let quiet = resident(pid);
    for streams in silent.chunks_mut(OPENING) {
        for stream in &mut *streams {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        }
        for stream in streams {
            answered(stream).await;
        }
    }
    let used = resident(pid);
    let each = |now: f64| (now - before) * 1024.0 / idle as f64;
    println!(
        "resident: {before:.0} MiB; with {idle} silent connections {quiet:.0} MiB ({:.1} KiB each); after a request of each {used:.0} MiB ({:.1} KiB each)",
        each(quiet),
        each(used)
    );
}

/// Opens connections from a fresh loopback address.
async fn opened(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let source = SOURCE.fetch_add(1, Ordering::Relaxed);
    let mut all = Vec::with_capacity(count);
    let mut opening = JoinSet::new();
    for _ in 0..count {
        if opening.len() >= OPENING {
            all.push(opening.join_next().await.unwrap().unwrap());
        }
        opening.spawn(async move { connect(address, source).await.unwrap() });
    }
    while let Some(stream) = opening.join_next().await {
        all.push(stream.unwrap());
    }
    all
}

async fn connect(address: SocketAddr, source: u8) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, source), 0)))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn answered(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed without an answer");
    }
}

/// The crowd, which goes when the value does.
struct Crowd {
    _idle: Vec<TcpStream>,
    _slow: JoinSet<()>,
}

async fn crowd(address: SocketAddr, size: &Size, reopened: &Arc<Reopened>) -> Crowd {
    let mut idle = opened(address, size.idle).await;
    for stream in &mut idle {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        answered(stream).await;
    }
    let source = SOURCE.fetch_add(1, Ordering::Relaxed);
    let mut slow = JoinSet::new();
    for number in 0..size.slow {
        let reopened = Arc::clone(reopened);
        slow.spawn(async move {
            // Spread over the second, as a real crowd is.
            tokio::time::sleep(Duration::from_micros(number as u64 * 997 % 1_000_000)).await;
            loop {
                let is_head = number % 2 == 0;
                if let Ok(stream) = connect(address, source).await {
                    trickled(stream, is_head).await;
                }
                if is_head { &reopened.heads } else { &reopened.bodies }.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    Crowd { _idle: idle, _slow: slow }
}

/// Sends a byte a second until it is cut.
async fn trickled(mut stream: TcpStream, is_head: bool) {
    let begin = if is_head {
        String::from("POST /v1/t HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
    } else {
        format!("POST /v1/t HTTP/1.1\r\nhost: localhost\r\nx-write-key: {KEY}\r\ncontent-length: 5000\r\n\r\n")
    };
    if stream.write_all(begin.as_bytes()).await.is_err() {
        return;
    }
    let mut answer = [0; 512];
    loop {
        tokio::select! {
            // An answer (408) or the end: cut in either case.
            _ = stream.read(&mut answer) => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
            }
        }
    }
}

/// As many events as the daemon takes.
async fn saturate(address: SocketAddr, took: Duration) -> (u64, Duration) {
    let (start, run) = (Instant::now(), RUNS.fetch_add(1, Ordering::Relaxed));
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        tasks.spawn(async move {
            let (mut stream, mut answer, mut done) = (connect(address, 1).await.unwrap(), Vec::new(), 0_u64);
            while start.elapsed() < took {
                let request = request(run, connection, done);
                assert_eq!(wire::exchange(&mut stream, &request, &mut answer).await.unwrap(), 200);
                done += 1;
            }
            done
        });
    }
    let events = tasks.join_all().await.into_iter().sum();
    (events, start.elapsed())
}

/// Latencies of events that are sent at this rate, in milliseconds and in order.
async fn paced(address: SocketAddr, rate: f64, took: Duration) -> Vec<f64> {
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let every = Duration::from_secs_f64(CONNECTIONS as f64 / rate);
    let start = tokio::time::Instant::now() + Duration::from_millis(100);
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        tasks.spawn(async move {
            let (mut stream, mut answer) = (connect(address, 1).await.unwrap(), Vec::new());
            let mut latencies = Vec::new();
            let first = start + every.mul_f64(connection as f64 / CONNECTIONS as f64);
            let mut ticks = tokio::time::interval_at(first, every);
            let mut free = tokio::time::Instant::now();
            for number in 0_u64.. {
                let due = ticks.tick().await;
                if due >= start + took {
                    break;
                }
                let request = request(run, connection, number);
                // The timer's own lateness is ours; what an answer before was late is the daemon's.
                let from = if free > due { due } else { tokio::time::Instant::now() };
                assert_eq!(wire::exchange(&mut stream, &request, &mut answer).await.unwrap(), 200);
                free = tokio::time::Instant::now();
                latencies.push((free - from).as_secs_f64() * 1e3);
            }
            latencies
        });
    }
    whole(&tasks.join_all().await)
}

fn request(run: u64, connection: usize, number: u64) -> Vec<u8> {
    let id = format!("{run:08x}-0000-4{connection:03x}-8000-{number:012x}");
    wire::request("/v1/t", KEY, &wire::event(&id, &format!("visitor-{connection}-{}", number % 1000), number))
}

fn whole(parts: &[Vec<f64>]) -> Vec<f64> {
    let mut all = parts.concat();
    all.sort_by(f64::total_cmp);
    all
}

fn percentile(sorted: &[f64], of: f64) -> f64 {
    let at = (sorted.len() as f64 * of) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The median of the p99 of each round: a round in which the machine was busy with something else does not decide.
fn middle(rounds: &[Vec<f64>]) -> f64 {
    let mut all: Vec<f64> = rounds.iter().map(|round| percentile(round, 0.99)).collect();
    all.sort_by(f64::total_cmp);
    percentile(&all, 0.5)
}

fn shown(sorted: &[f64]) -> String {
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|of| percentile(sorted, of));
    format!("       {p50:>8.2} {p99:>7.2} {max:>7.1}")
}

/// Connections and bodies that a limit has ended, by limit.
async fn cuts(daemon: &Daemon) -> BTreeMap<String, u64> {
    let mut response = client().get(daemon.admin_url("/metrics")).send().await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let of = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let is_cut = name.starts_with("anole_connections_cut_total{listener=\"collect\"");
        let is_body = name.starts_with("anole_requests_refused_total") && name.contains("body_timeout");
        let limit = if is_body { "body_timeout" } else { name.split("reason=\"").nth(1)?.split('"').next()? };
        (is_cut || is_body).then(|| Some((limit.to_owned(), value.parse().ok()?)))?
    };
    text.lines().filter_map(of).collect()
}

fn running_pid(file: &PathBuf) -> u32 {
    let running: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    u32::try_from(running["pid"].as_u64().unwrap()).unwrap()
}

/// The memory of a process that is in use, in MiB, from Linux' `/proc`.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

//! Events per second and CPU per event of the release binary, beside a bare hyper server, in one run.
//!
//! `cargo xtask bench spine` builds what it needs and runs it. Each server is a process of its own; the load comes from
//! this one: single-event POSTs of about 700 bytes over 64 connections that stay open, each with a fresh message id.
//! CPU is what the operating system counted for the server's process (user and system) from the first request until
//! everything is delivered. The bare server reads the body and answers; anole does so at ack level `fsync`, once for a
//! pipeline without destinations (*collected*), and once with one (*delivered*): then it maps the event to a Kameleoon
//! conversion, delivers it to the sandbox's sink and records it in the delivery log.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anole_testkit::{Daemon, Folder, client, wire};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

const CONNECTIONS: usize = 64;
const KEY: &str = "dk_bench_spine";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("bare") => bare().await,
        Some(anole) => compare(Path::new(anole), arguments.get(1).and_then(|s| s.parse().ok()).unwrap_or(10)).await,
        None => println!("usage: spine PATH-OF-ANOLE [SECONDS]"),
    }
}

/// The bare server: reads the body and answers.
async fn bare() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                assert!(!body.is_empty());
                let answer = Full::new(Bytes::from_static(b"{\"success\":true}"));
                Ok::<_, Infallible>(
                    Response::builder().header("content-type", "application/json").body(answer).unwrap(),
                )
            });
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
        });
    }
}

struct Measured {
    name: &'static str,
    events: u64,
    took: Duration,
    cpu: Duration,
}

async fn compare(anole: &Path, seconds: u64) {
    let took = Duration::from_secs(seconds);
    let bare = measure_bare(took).await;
    let collected = measure_collected(anole, took).await;
    let delivered = measure_delivered(anole, took).await;
    let mut per_event = Vec::new();
    for measured in [&bare, &collected, &delivered] {
        let rate = measured.events as f64 / measured.took.as_secs_f64();
        let cpu = measured.cpu.as_micros() as f64 / measured.events as f64;
        println!(
            "{:>12}: {:>8} events, {rate:>9.0} a second, {cpu:>6.2} us of CPU per event",
            measured.name, measured.events
        );
        per_event.push(cpu);
    }
    println!(
        "collected to bare {:.2}, delivered to bare {:.2}",
        per_event[1] / per_event[0],
        per_event[2] / per_event[0]
    );
}

async fn measure_bare(took: Duration) -> Measured {
    let mut child = Command::new(std::env::current_exe().unwrap()).arg("bare").stdout(Stdio::piped()).spawn().unwrap();
    let address = first_line(&mut child).parse().unwrap();
    let before = cpu_of(child.id());
    let (events, took) = load(address, took).await;
    let cpu = cpu_of(child.id()) - before;
    child.kill().unwrap();
    child.wait().unwrap();
    Measured { name: "bare hyper", events, took, cpu }
}

async fn measure_collected(anole: &Path, took: Duration) -> Measured {
    let folder = Folder::with_settings(&format!("pipeline: shop\nkeys: [{{ key: {KEY} }}]\ndestinations: []\n"), "");
    let daemon = Daemon::start(anole, &folder.config()).await.unwrap();
    let pid = running_pid(&folder.path("data/anole.run.json"));
    let before = cpu_of(pid);
    let (events, took) = load(daemon.collect, took).await;
    let cpu = cpu_of(pid) - before;
    assert_eq!(daemon.stop().await, Ok(0));
    Measured { name: "collected", events, took, cpu }
}

async fn measure_delivered(anole: &Path, took: Duration) -> Measured {
    let mut sandbox = Command::new(anole)
        .args(["sandbox", "--listen", "127.0.0.1:0", "--sink"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let origin = first_line(&mut sandbox);
    let folder = Folder::with_settings(
        &format!(
            "pipeline: shop\nkeys: [{{ key: {KEY} }}]\ndestinations:\n  - blueprint: kameleoon\n    settings:\n      \
             site_code: f17c21u1ag\n      region: eu\n      base_url: \"{origin}\"\n    events:\n      \
             Order Completed: {{ set: {{ goalId: 36151 }} }}\n"
        ),
        "delivery: { allow_private_addresses: true }",
    );
    let daemon = Daemon::start(anole, &folder.config()).await.unwrap();
    let pid = running_pid(&folder.path("data/anole.run.json"));
    let before = cpu_of(pid);
    let (events, took) = load(daemon.collect, took).await;
    wait_for(&origin, events).await;
    let cpu = cpu_of(pid) - before;
    assert_eq!(daemon.stop().await, Ok(0));
    sandbox.kill().unwrap();
    sandbox.wait().unwrap();
    Measured { name: "delivered", events, took, cpu }
}

/// Sends until the time is up; counts answers of 200.
async fn load(address: SocketAddr, took: Duration) -> (u64, Duration) {
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for connection in 0..CONNECTIONS {
        let done = Arc::clone(&done);
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut answer = Vec::new();
            for number in 0_u64.. {
                if start.elapsed() >= took {
                    break;
                }
                let status = wire::exchange(&mut stream, &request(connection, number), &mut answer).await.unwrap();
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    (done.load(Ordering::Relaxed), start.elapsed())
}

fn request(connection: usize, number: u64) -> Vec<u8> {
    let id = format!("00000000-0000-4{connection:03x}-8000-{number:012x}");
    let visitor = format!("visitor-{connection}-{}", number % 1000);
    wire::request("/v1/t", KEY, &wire::event(&id, &visitor, number))
}

/// Waits until the sandbox has counted so many.
async fn wait_for(origin: &str, events: u64) {
    let client = client();
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let mut response = client.get(format!("{origin}/_sandbox/stats")).send().await.unwrap();
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            text.extend_from_slice(&chunk);
        }
        let stats: serde_json::Value = serde_json::from_slice(&text).unwrap();
        if stats["events"].as_u64().unwrap_or(0) >= events {
            return;
        }
        assert!(Instant::now() < deadline, "not delivered in time: {stats}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn first_line(child: &mut Child) -> String {
    use std::io::BufRead;
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

fn running_pid(file: &PathBuf) -> u32 {
    let running: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    u32::try_from(running["pid"].as_u64().unwrap()).unwrap()
}

/// User and system time of a process, from Linux' `/proc`, in ticks of 10 ms.
fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

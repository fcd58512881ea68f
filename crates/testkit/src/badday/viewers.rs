//! Ten viewers of the live feed, one of which reads nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use super::Figures;
use super::load::{pace, saturate};
use super::rig::{Rig, arrived};
use crate::api::Delay;
use crate::vendor::Vendor;

/// How long the machine is saturated, and how long half of that is posted.
const SATURATED: Duration = Duration::from_secs(6);
const HALF: f64 = 15.0;
/// Viewers that read what they are given.
const READERS: usize = 9;
/// What the kernel keeps for the one that does not read.
const SMALL: u32 = 4096;
/// How long a viewer that goes on reading is given until the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a run with viewers may take longer: the goal is "as promptly", and two runs without any differ by as much.
const AS_PROMPTLY: f64 = 1.25;

/// What was measured of one run.
struct Measured {
    delay: Delay,
    last: Duration,
}

pub(super) async fn run(binary: &Path) -> Result<Figures, String> {
    let mut figures = Figures::default();
    let (vendor, began) = (Vendor::start(1).await, Instant::now());
    let rig = Rig::start(binary, &[("vendor", &vendor)], None).await?;
    let sent = saturate(rig.daemon.collect, SATURATED).await?;
    arrived(&vendor, sent, PATIENCE).await?;
    let rate = sent as f64 / began.elapsed().as_secs_f64();
    figures.say(format!("saturation: {sent} events, {rate:.0} a second"));
    rig.stop().await?;

    let before = measure(binary, rate / 2.0, 0, &mut figures).await?;
    let beside = measure(binary, rate / 2.0, READERS, &mut figures).await?;
    let after = measure(binary, rate / 2.0, 0, &mut figures).await?;
    for (what, of) in [("half", (|delay| delay.p50) as fn(&Delay) -> f64), ("99 of 100", |delay| delay.p99)] {
        let alone = of(&before.delay).max(of(&after.delay));
        let ratio = of(&beside.delay) / alone;
        figures.say(format!(
            "{what} of the events: {ratio:.2} times as long under way as in the slower run without viewers"
        ));
        figures.hold(ratio <= AS_PROMPTLY, "with viewers as promptly as without");
    }
    figures.hold(beside.last <= Duration::from_secs(3), "with viewers, everything within 3 s");
    Ok(figures)
}

/// Posts half of what the machine can do, with so many viewers that read and one that does not, or with none.
async fn measure(binary: &Path, rate: f64, readers: usize, figures: &mut Figures) -> Result<Measured, String> {
    let vendor = Vendor::start(1).await;
    let rig = Rig::start(binary, &[("vendor", &vendor)], None).await?;
    let mut viewers = Vec::new();
    for _ in 0..readers {
        let stream = connect(rig.daemon.admin, None).await?;
        viewers.push(tokio::spawn(read_on(stream)));
    }
    let stalled = if readers > 0 { Some(connect(rig.daemon.admin, Some(SMALL)).await?) } else { None };
    let events = (rate * HALF) as u64;
    pace(rig.daemon.collect, 0..events, rate).await?;
    let acknowledged = Instant::now();
    arrived(&vendor, events, PATIENCE).await?;
    let last = acknowledged.elapsed();
    let delay = rig.api.delay(events).await?;
    let who = if readers > 0 { "ten viewers, one stalled" } else { "no viewer" };
    figures.say(format!(
        "{who}, {rate:.0} events a second: {events} delivered, under way for {:.0} ms (half), {:.0} ms (99 of 100); everything {:.2} s after \
         the last acknowledgement",
        delay.p50,
        delay.p99,
        last.as_secs_f64()
    ));
    if let Some(stalled) = stalled {
        // It reads on only now.
        let told =
            timeout(PATIENCE, read_on(stalled)).await.map_err(|_| "the stalled viewer was not dropped".to_owned())?;
        figures.hold(told.contains("event: dropped"), "the stalled viewer is dropped and told so");
        figures.say(format!("the stalled viewer was given {} KiB and then dropped", told.len() / 1024));
    }
    // Ending the daemon ends the feeds.
    rig.stop().await?;
    for viewer in viewers {
        let told = viewer.await.map_err(|error| error.to_string())?;
        figures.hold(!told.contains("event: dropped"), "no viewer that reads is dropped");
        figures.hold(told.contains("\"stage\":\"outcome\""), "viewers see what happens");
    }
    Ok(Measured { delay, last })
}

/// A viewer of the live feed that has asked for it.
async fn connect(address: SocketAddr, receives: Option<u32>) -> Result<TcpStream, String> {
    let words = |error: std::io::Error| error.to_string();
    let socket = TcpSocket::new_v4().map_err(words)?;
    if let Some(bytes) = receives {
        socket.set_recv_buffer_size(bytes).map_err(words)?;
    }
    let mut stream = socket.connect(address).await.map_err(words)?;
    let request = format!("GET /api/feed HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(words)?;
    Ok(stream)
}

/// Reads until the end.
async fn read_on(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is cut has an end too.
    let _end = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

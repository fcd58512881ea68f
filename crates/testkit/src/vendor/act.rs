//! What a vendor does about a request.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::book::Request;
use super::socket::{Read, Socket};
use super::{Fault, HANG, Place, RetryAfter, Shared, locked};

/// Between two bytes of a trickle.
const DROP: Duration = Duration::from_millis(50);
/// A piece of a flood.
const PIECE: usize = 64 << 10;
/// Where a redirect leads: to the vendor itself, so that it would see who follows it.
pub(super) const ELSEWHERE: &str = "/elsewhere";

/// Does it; whether the connection can be used again.
pub(super) async fn act(shared: &Shared, socket: &mut Socket, read: Read, fault: &Fault) -> io::Result<bool> {
    let (status, is_taken_in) = decide(shared, &read, fault);
    let mut request = None;
    shared.counts.send_modify(|counts| {
        request = Some(locked(&shared.book).write(read, status, is_taken_in, counts));
    });
    let Some(request) = request else { return Ok(false) };
    match fault {
        Fault::Reset(place) => {
            broken_answer(socket, *place).await?;
            // The answer's beginning must be on its way before the reset overtakes it.
            tokio::time::sleep(DROP).await;
            socket.reset();
            Ok(false)
        }
        Fault::Hang(place) => {
            if *place == Place::Body {
                broken_answer(socket, *place).await?;
            }
            give_up(socket).await;
            Ok(false)
        }
        Fault::Trickle(place) => trickle(socket, *place, &request).await,
        Fault::Flood(bytes) => flood(socket, *bytes, &request).await,
        Fault::Garbage => {
            socket.write(b"\x16\x03\x01 this is no HTTP at all\r\n\r\n").await?;
            Ok(false)
        }
        _ => {
            let retry_after = match fault {
                Fault::Busy(_, RetryAfter::Text(text)) => Some(text.clone()),
                Fault::Busy(_, RetryAfter::DateIn(time)) => Some(httpdate::fmt_http_date(wall() + *time)),
                _ => None,
            };
            socket.write(answer(status.unwrap_or(204), retry_after.as_deref()).as_bytes()).await?;
            request.answered();
            Ok(true)
        }
    }
}

/// The status, and whether the events are taken in.
fn decide(shared: &Shared, read: &Read, fault: &Fault) -> (Option<u16>, bool) {
    let status = match fault {
        Fault::None | Fault::Refused => 204,
        Fault::Status(status) | Fault::Busy(status, _) => *status,
        Fault::Poison(nonces) if read.holds(nonces) => 400,
        Fault::Odd(nonces) if read.holds(nonces) => 500,
        Fault::Random(part) if locked(&shared.chance).f64() < *part => 500,
        Fault::Limit(_) if !locked(&shared.bucket).take() => 429,
        Fault::Poison(_) | Fault::Odd(_) | Fault::Random(_) | Fault::Limit(_) => 204,
        Fault::Reset(Place::Body) | Fault::Hang(Place::Body) | Fault::Trickle(_) | Fault::Flood(_) => 200,
        Fault::Reset(_) | Fault::Hang(_) => return (None, true),
        Fault::Garbage => return (None, false),
    };
    (Some(status), (200..300).contains(&status))
}

fn answer(status: u16, retry_after: Option<&str>) -> String {
    let body = match status {
        204 | 304 => None,
        200..=299 => Some("{\"ok\":true}".to_owned()),
        _ => Some(format!("{{\"error\":\"the fake vendor answers {status}\"}}")),
    };
    let mut text = format!("HTTP/1.1 {status} Fake\r\n");
    if let Some(wait) = retry_after {
        text += &format!("retry-after: {wait}\r\n");
    }
    if (300..400).contains(&status) {
        text += &format!("location: {ELSEWHERE}\r\n");
    }
    match body {
        Some(body) => {
            format!("{text}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
        None => text + "\r\n",
    }
}

async fn broken_answer(socket: &mut Socket, place: Place) -> io::Result<()> {
    match place {
        Place::Accept => Ok(()),
        Place::Header => socket.write(b"HTTP/1.1 200 Fa").await,
        Place::Body => socket.write(b"HTTP/1.1 200 Fake\r\ncontent-length: 1000\r\n\r\n{\"ok\":").await,
    }
}

async fn trickle(socket: &mut Socket, place: Place, request: &Arc<Request>) -> io::Result<bool> {
    // A header that comes byte by byte ends at some time; a body of this length does not.
    let head = "HTTP/1.1 200 Fake\r\ncontent-length: 1000000\r\n\r\n";
    if place == Place::Body {
        socket.write(head.as_bytes()).await?;
    } else {
        for byte in head.bytes() {
            socket.write(&[byte]).await?;
            tokio::time::sleep(DROP).await;
        }
    }
    for _ in 0..1_000_000 {
        socket.write(b" ").await?;
        tokio::time::sleep(DROP).await;
    }
    request.answered();
    Ok(false)
}

async fn flood(socket: &mut Socket, bytes: u64, request: &Arc<Request>) -> io::Result<bool> {
    socket.write(format!("HTTP/1.1 200 Fake\r\ncontent-length: {bytes}\r\n\r\n").as_bytes()).await?;
    let piece = vec![b' '; PIECE];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        socket.write(&piece[..now]).await?;
        left -= now as u64;
    }
    request.answered();
    Ok(true)
}

/// Waits until the caller has gone, or for a long time.
async fn give_up(socket: &mut Socket) {
    // Whichever comes first.
    let _gone = tokio::time::timeout(HANG, socket.gone()).await;
}

#[allow(
    clippy::disallowed_methods,
    reason = "a vendor has a clock of its own: a date in its answer is one of the real time"
)]
fn wall() -> SystemTime {
    SystemTime::now()
}

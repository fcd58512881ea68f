//! A vendor that has bad days, on a real socket.
//!
//! It knows none of anole's types: it reads HTTP/1.1 from the wire, keeps every request with what it did about it, and looks
//! into bodies only for `"nonce":"…"` and the `"visitorCode":"…"` behind it. What it does can be changed at any time, and holds for
//! requests that come from then on. Unlike the sandbox it does not judge what it gets: it is for faults that an HTTP library does
//! not let one have, below and beside HTTP.
//!
//! # What counts as taken in
//!
//! A request whose events the vendor keeps is *taken in*: every one that it answers with 2xx, and those whose answer it breaks off
//! after its work was done. Of these the caller cannot know the outcome ([`Request::is_answered`] is false), so it may come
//! again, and must come under the same nonces.

mod act;
mod book;
mod limit;
mod socket;
mod tls;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use self::book::Book;
pub use self::book::{Counts, Event, Request};
use self::limit::Bucket;
use self::socket::Socket;
pub use self::tls::{AUTHORITY, Certificate};

/// The sockets that wait to be accepted.
const QUEUE: u32 = 1_024;
/// A hanging connection is given up after this time even if the caller is still there.
const HANG: Duration = Duration::from_secs(300);

/// What the vendor does.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fault {
    /// Takes everything in and answers 204.
    #[default]
    None,
    /// Answers this status; takes in what it answers with 2xx.
    Status(u16),
    /// Answers this status with this `Retry-After`.
    Busy(u16, RetryAfter),
    /// Answers 400 when one of these nonces is in the body.
    Poison(HashSet<String>),
    /// Answers 500 when one of these nonces is in the body.
    Odd(HashSet<String>),
    /// Answers 500 to this part of the requests, 0 to 1, by chance.
    Random(f64),
    /// Answers 429, without `Retry-After`, to what is more than so many requests a second. A second's worth may come at once.
    Limit(f64),
    /// Nobody listens.
    Refused,
    /// Breaks the connection with a reset.
    Reset(Place),
    /// Goes silent.
    Hang(Place),
    /// Answers a byte every 50 milliseconds, without end in the body.
    Trickle(Place),
    /// Answers 200 with a body of so many bytes, as fast as they are taken.
    Flood(u64),
    /// Answers what is no HTTP.
    Garbage,
}

/// Where in an exchange a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// When the connection was accepted: nothing is read.
    Accept,
    /// After the request, in the middle of the answer's header. The events were taken in.
    Header,
    /// After a header of 200, in the middle of the body. The events were taken in.
    Body,
}

/// The value of a `Retry-After` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Whatever is written.
    Text(String),
    /// The date so long after the answer.
    DateIn(Duration),
}

/// A fake vendor; it ends with the value.
#[derive(Debug)]
pub struct Vendor {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

/// What the vendor's connections share.
#[derive(Debug)]
struct Shared {
    mood: watch::Sender<Mood>,
    book: Mutex<Book>,
    counts: watch::Sender<Counts>,
    chance: Mutex<Rng>,
    bucket: Mutex<Bucket>,
}

/// What it does, and by which certificate; none is plain http.
#[derive(Clone, Debug, Default, PartialEq)]
struct Mood {
    fault: Fault,
    certificate: Option<Certificate>,
}

// === impl Vendor ===

impl Vendor {
    /// A vendor on a free port of loopback that speaks plain http and has no fault. The seed decides its chance.
    pub async fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            mood: watch::Sender::new(Mood::default()),
            book: Mutex::default(),
            counts: watch::Sender::new(Counts::default()),
            chance: Mutex::new(Rng::with_seed(seed)),
            bucket: Mutex::default(),
        });
        let task = tokio::spawn(listen(Arc::clone(&shared), listener, address));
        Self { shared, address, task }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has this fault from now on.
    pub fn set(&self, fault: Fault) {
        if let Fault::Limit(rate) = fault {
            *locked(&self.shared.bucket) = Bucket::new(rate);
        }
        self.shared.mood.send_modify(|mood| mood.fault = fault);
    }

    /// Has no fault any more.
    pub fn heal(&self) {
        self.set(Fault::None);
    }

    /// Speaks TLS with this certificate from now on, or plain http. Connections that wait for a request are closed.
    pub fn set_certificate(&self, certificate: Option<Certificate>) {
        self.shared.mood.send_modify(|mood| mood.certificate = certificate);
    }

    /// Every request that came whole, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<Request>> {
        locked(&self.shared.book).requests.clone()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are so; false when that took longer than the patience.
    pub async fn wait_for(&self, patience: Duration, mut is_so: impl FnMut(&Counts) -> bool) -> bool {
        let mut counts = self.shared.counts.subscribe();
        let waited = tokio::time::timeout(patience, counts.wait_for(|now| is_so(now))).await;
        matches!(waited, Ok(Ok(_)))
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Shared ===

impl Shared {
    fn mood(&self) -> Mood {
        self.mood.borrow().clone()
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }
}

// === impl Mood ===

impl Mood {
    /// Whether connections that wait for a request cannot stay.
    fn closes(&self, before: &Self) -> bool {
        let breaks = matches!(self.fault, Fault::Refused | Fault::Reset(Place::Accept));
        self.certificate != before.certificate || breaks
    }
}

/// Accepts connections, or refuses them for as long as the fault says so.
async fn listen(shared: Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut mood = shared.mood.subscribe();
    let mut listener = listener;
    loop {
        if mood.borrow_and_update().fault == Fault::Refused {
            // A socket that is bound and does not listen keeps the port and refuses.
            drop(listener);
            let keeper = bind(address).await;
            let healed = mood.wait_for(|mood| mood.fault != Fault::Refused).await;
            if healed.is_err() {
                return;
            }
            drop(healed);
            listener = keeper.listen(QUEUE).expect("a bound socket can listen");
        }
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                tokio::spawn(serve(Arc::clone(&shared), stream));
            }
            changed = mood.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Binds the address again. The socket that had it may need a moment to be gone.
async fn bind(address: SocketAddr) -> TcpSocket {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.set_reuseaddr(true).expect("a socket's options can be set");
        match socket.bind(address) {
            Ok(()) => return socket,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{address} cannot be bound again: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One connection, until it ends or is broken.
async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    shared.count(|counts| counts.connections += 1);
    let mood = shared.mood();
    if mood.fault == Fault::Reset(Place::Accept) {
        socket::reset(&stream);
        return;
    }
    // A caller who leaves in the middle is no fault of the vendor.
    let Ok(mut socket) = Socket::open(stream, mood.certificate).await else { return };
    let mut changes = shared.mood.subscribe();
    let mut before = changes.borrow_and_update().clone();
    loop {
        let read = tokio::select! {
            read = socket.next_request() => read,
            changed = changes.changed() => {
                let now = changes.borrow_and_update().clone();
                if changed.is_err() || now.closes(&before) {
                    return;
                }
                before = now;
                continue;
            }
        };
        let Ok(Some(read)) = read else { return };
        let fault = shared.mood().fault;
        if !act::act(&shared, &mut socket, read, &fault).await.unwrap_or(false) {
            return;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A bound port and its accept loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anole_telemetry::{AcceptFailed, ConnectionClosed, ConnectionOpened, ConnectionsAtCap, ListenerOpened, Telemetry};
use http::{Request, Response};
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::body::Body;
use crate::crowd::{Crowd, Order, Place};
use crate::{Shutdown, Tls, connection};

/// The first pause after the operating system gave no connection; it doubles up to [`BACK_OFF_MOST`]. Trying again at
/// once would spin: with no file descriptor free, the connection that could not be taken stays in the queue.
const BACK_OFF_LEAST: Duration = Duration::from_millis(5);
const BACK_OFF_MOST: Duration = Duration::from_secs(1);
/// Connections that the operating system holds until they are accepted, as tokio has it.
const BACKLOG: u32 = 1024;
/// How often room is made at the cap while nobody goes by himself.
const ROOM: Duration = Duration::from_millis(100);

/// How a listener listens. [`ListenOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// What it is for, in metrics, log lines and errors: `collect`, `admin`, `sandbox`.
    pub name: &'static str,
    /// Where it listens. Port 0 takes any free one.
    pub address: SocketAddr,
    /// How many connections may be open. Where one more comes, those that have been idle longest make room; where none is
    /// idle, it waits in the operating system's queue. 10,000.
    pub max_connections: usize,
    /// How many connections one address may have open, of IPv6 one /64; further ones are closed at once. Any number.
    pub max_per_address: Option<u32>,
    /// The networks to which that does not apply: proxies, behind which are many clients. None.
    pub uncounted: Vec<IpNet>,
    /// What is presented to clients that speak TLS. `None`: plain http.
    pub tls: Option<Arc<Tls>>,
    /// How often connections are looked at, at the most: a limit strikes after its time and up to two looks more. 1 s.
    pub look: Duration,
    /// How many requests may be under way on one HTTP/2 connection. 200.
    pub max_streams: u32,
    /// How long the head of a request may take, and how long a TLS handshake. 10 s.
    pub header_timeout: Duration,
    /// How long a connection without a request is kept. 75 s: load balancers keep theirs for 60, and of two that keep a
    /// connection for the same time one now and then writes as the other closes.
    pub idle_timeout: Duration,
    /// How long a client may take no byte of its answer. 30 s.
    pub write_timeout: Duration,
    /// How much of an answer the operating system holds for a client that does not take it, in bytes; `None`: what it likes,
    /// which is megabytes. Small, it shows early that a client has stopped to read, and slows those far away.
    pub send_buffer: Option<u32>,
    /// The largest head of a request, at least 8 KiB. 64 KiB. It is also the read buffer of an HTTP/1.1 connection.
    pub max_header_bytes: usize,
    /// How long requests under way may go on after a shutdown has begun. 10 s.
    pub grace: Duration,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address of the socket. Behind a proxy it is the proxy's.
    pub address: SocketAddr,
    /// Whether it speaks TLS to us.
    pub secure: bool,
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    options: ListenOptions,
    telemetry: Arc<Telemetry>,
    socket: TcpListener,
    address: SocketAddr,
}

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{listener}.listen: {}", explained(*address, source))]
pub struct BindError {
    /// The name of the listener.
    pub listener: &'static str,
    /// Where it should have listened.
    pub address: SocketAddr,
    /// What the operating system said.
    pub source: io::Error,
}

// === impl ListenOptions ===

impl ListenOptions {
    /// The defaults.
    #[must_use]
    pub const fn new(name: &'static str, address: SocketAddr) -> Self {
        Self {
            name,
            address,
            max_connections: 10_000,
            max_per_address: None,
            uncounted: Vec::new(),
            tls: None,
            look: Duration::from_secs(1),
            max_streams: 200,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            send_buffer: None,
            max_header_bytes: 64 << 10,
            grace: Duration::from_secs(10),
        }
    }
}

/// As [`TcpListener::bind`]; connections inherit the buffer's size.
fn bind_with(address: SocketAddr, send_buffer: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(send_buffer)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

// === impl Listener ===

impl Listener {
    /// Binds the port. Clients may connect from now on; they are served once [`Listener::serve`] runs.
    ///
    /// # Errors
    ///
    /// When the address is taken, not of this machine, or not allowed.
    pub async fn bind(options: ListenOptions, telemetry: Arc<Telemetry>) -> Result<Self, BindError> {
        let failed = |source| BindError { listener: options.name, address: options.address, source };
        let socket = match options.send_buffer {
            None => TcpListener::bind(options.address).await,
            Some(bytes) => bind_with(options.address, bytes),
        };
        let socket = socket.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        telemetry.emit(ListenerOpened { listener: options.name, address });
        Ok(Self { options, telemetry, socket, address })
    }

    /// Where it listens: the real port when port 0 was asked for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` begins. Then the port is closed, idle connections are closed, and requests under way
    /// have the grace to end; what is still there after it is cut off. Returns when no connection is left.
    ///
    /// A request is dropped in the middle (its future is not polled again) when its client goes away.
    pub async fn serve<S, F>(self, service: S, shutdown: Shutdown)
    where
        S: Fn(Request<Incoming>, Peer) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Self { options, telemetry, socket, .. } = self;
        let builder = Arc::new(connection::builder(&options));
        let options = Arc::new(options);
        let crowd = Crowd::new(Arc::clone(&options), Arc::clone(&telemetry));
        let looking = tokio::spawn(look_at(Arc::clone(&crowd)));
        // tokio bounds the number of permits, and `acquire_many` counts in 32 bits.
        let cap = u32::try_from(options.max_connections).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        let slots = Arc::new(Semaphore::new(cap as usize));
        loop {
            let next = next_connection(&socket, &slots, &crowd, &options, &telemetry);
            let (stream, address, slot) = tokio::select! {
                next = next => next,
                () = shutdown.wait() => break,
            };
            let Some(place) = crowd.enter(address.ip()) else { continue };
            let open = Open::new(options.name, Arc::clone(&telemetry), place, slot);
            let peer = Peer { address, secure: options.tls.is_some() };
            let (builder, options, service) = (Arc::clone(&builder), Arc::clone(&options), service.clone());
            let crowd = Arc::clone(&crowd);
            tokio::spawn(async move {
                let activity = &open.place.activity;
                if let Some(stream) = connection::opened(options.tls.as_deref(), stream, activity, &crowd).await {
                    connection::serve(&builder, stream, peer, service, activity).await;
                }
            });
        }
        drop(socket);
        crowd.order_all(Order::Retire);
        if timeout(options.grace, slots.acquire_many(cap)).await.is_err() {
            crowd.order_all(Order::Close);
            // Never closed, so this only waits for the connections to be dropped, which needs no client.
            let _all = slots.acquire_many(cap).await.is_ok();
        }
        looking.abort();
    }
}

/// Looks at all connections, for as long as the listener serves.
async fn look_at(crowd: Arc<Crowd>) {
    let every = crowd.every();
    let mut looks = interval_at(Instant::now() + every, every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        crowd.look(every);
    }
}

/// Waits for a slot, then for a connection to put into it.
async fn next_connection(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
    crowd: &Crowd,
    options: &ListenOptions,
    telemetry: &Telemetry,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    let mut slot = Arc::clone(slots).try_acquire_owned().ok();
    while slot.is_none() {
        let asked = crowd.make_room();
        telemetry.emit(ConnectionsAtCap { listener: options.name, cap: options.max_connections, asked });
        slot = timeout(ROOM, Arc::clone(slots).acquire_owned()).await.ok().and_then(Result::ok);
    }
    let mut pause = BACK_OFF_LEAST;
    loop {
        match socket.accept().await {
            Ok((stream, address)) => {
                // Answers are small and written whole; waiting to fill a segment would only delay them. An error here
                // means that the client is gone already, which the first read will say.
                let _set = stream.set_nodelay(true).is_ok();
                return (stream, address, slot);
            }
            // The client was gone before it was taken: nothing is wrong here.
            Err(error) if of_the_client(&error) => {}
            Err(error) => {
                telemetry.emit(AcceptFailed { listener: options.name, error });
                sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF_MOST);
            }
        }
    }
}

fn of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Counts a connection as open while it lives, also when its task panics.
struct Open {
    listener: &'static str,
    telemetry: Arc<Telemetry>,
    place: Place,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Open {
    fn new(
        listener: &'static str,
        telemetry: Arc<Telemetry>,
        place: Place,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Self {
        telemetry.emit(ConnectionOpened { listener });
        Self { listener, telemetry, place, _slot: slot }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.telemetry.emit(ConnectionClosed { listener: self.listener });
    }
}

fn explained(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{address} is taken by another program: stop it, or choose another address")
        }
        io::ErrorKind::AddrNotAvailable => format!(
            "{} is not an address of this machine: use one that is, or 0.0.0.0 or [::] for all of them",
            address.ip()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "this user may not listen on {address}: use a port from 1024 on, or allow it (CAP_NET_BIND_SERVICE)"
        ),
        _ => format!("cannot listen on {address}: {error}"),
    }
}

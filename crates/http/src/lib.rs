//! The accept loop of every listener: limits, timeouts, bounded bodies, graceful shutdown.
//!
//! ```no_run
//! # use std::sync::Arc;
//! use anole_http::{ListenOptions, Listener, Peer, Shutdown, body, reply};
//! use http::{Request, StatusCode};
//!
//! # async fn example(telemetry: Arc<anole_telemetry::Telemetry>) -> Result<(), anole_http::BindError> {
//! let options = ListenOptions::new("collect", ([127, 0, 0, 1], 8080).into());
//! let listener = Listener::bind(options, telemetry).await?;
//! let service = |request: Request<body::Incoming>, _peer: Peer| async move {
//!     match body::read_decoded(request, &body::Limits::of(5 << 20)).await {
//!         Ok(bytes) => reply::json(StatusCode::OK, format!("{{\"bytes\":{}}}", bytes.len())),
//!         Err(error) => reply::body_error(&error),
//!     }
//! };
//! listener.serve(service, Shutdown::new()).await;
//! # Ok(())
//! # }
//! ```
//!
//! hyper serves the connections, HTTP/1.1 and HTTP/2 on the same port. The loop around it is ours, because with it the
//! connection cap, the timeouts and the shutdown are ours too, and because a hot route is then a plain function: what
//! axum's router and its layers cost was measured at 15 to 40 % of the throughput. Everything that is not hot is an
//! axum router on the same loop, by [`tower_service`].

pub mod body;
mod connection;
mod crowd;
mod listener;
pub mod reply;
mod router;
mod shutdown;
mod socket;
mod tls;

pub use anole_event::{Clock, ManualClock, Mono, SystemClock, Timestamp};
pub use listener::{BindError, ListenOptions, Listener, Peer};
pub use router::{Pace, PacedBody, tower_service};
pub use shutdown::Shutdown;
pub use tls::{Pair, Tls, TlsCode, TlsError, fingerprint};

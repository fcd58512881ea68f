//! Protocols to events: keys, CORS, cookies, identity, de-duplication, admission.
//!
//! [`Ingest`] answers the collection endpoint. A request goes one way, whatever protocol it speaks: its route is looked up
//! in one table (`route`), its module under `protocol` reads it into drafts of canonical events (`draft`) with what is known
//! of consent (`consent`), what is personal is dropped or hashed (`redact`), the identity map adds what it knows (`identity`), known events are told apart (`dedup`), the others go into the journal in one
//! append (`keep`, `landing`), and only when that is safe is the answer given (`answer`).
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use anole_ingest::{Ground, Ingest, IngestOptions};
//! # async fn example(ground: Ground, listener: anole_http::Listener, shutdown: anole_http::Shutdown) {
//! let ingest = Ingest::new(IngestOptions::default(), ground, [Arc::new(anole_pipeline::Intake::new("shop"))]);
//! let service = move |request, peer| Arc::clone(&ingest).handle(request, peer);
//! listener.serve(service, shutdown).await;
//! # }
//! ```

mod answer;
mod client;
mod code;
mod collector;
mod consent;
mod context;
mod cookie;
mod cors;
mod dedup;
mod draft;
mod envelope;
mod ga4;
mod identity;
mod ids;
mod ingest;
mod intakes;
mod json;
mod keep;
mod key;
mod landing;
mod options;
mod protocol;
mod rates;
mod redact;
mod robots;
mod route;
mod salvage;
mod settings;
mod skew;
mod verdict;
mod visit;

pub use code::{RefusalCode, Rule};
pub use dedup::DedupOptions;
pub use ingest::Ingest;
pub use options::{Ground, IngestOptions};
pub use rates::RateLimits;

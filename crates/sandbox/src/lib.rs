//! A strict local stand-in for the Kameleoon Data API. Knows none of anole's types: an independent judge.
//!
//! The real endpoint answers 204 to nearly everything that parses and drops later, without a word, what it cannot use.
//! The sandbox answers as the vendor documents, and gives each event a verdict with reasons beside that:
//!
//! | verdict | meaning |
//! |---|---|
//! | `accepted` | nothing speaks against it |
//! | `doubtful` | the documents do not say, or contradict each other |
//! | `duplicate` | a retry: the same event came before under the same nonce |
//! | `error` | another event came before under the same nonce |
//! | `lost` | the real endpoint would drop it without a word |
//!
//! It serves `POST /visit/events`, `POST /oauth/token`, a page at `/` that shows what arrived, and a side door at
//! `/_sandbox/` ([`control`]) where programs look at what arrived and set faults ([`fault`]). In a test it is used as a
//! library: [`Sandbox::start`], [`Sandbox::events`], [`Sandbox::set_fault`], [`Sandbox::wait_for`].
//!
//! The checks at the level of HTTP, in their order: path (404), method (405), size of the body (413 over 3,000,000
//! bytes), faults, query and site code (400), User-Agent (403), token (401 when one is sent that is not good), encoding
//! and form of the body (400).

mod agent;
mod batch;
pub mod control;
pub mod fault;
mod fields;
mod inner;
mod judge;
mod ledger;
mod options;
mod query;
mod reason;
mod receive;
mod sandbox;
mod service;
mod store;
mod token;
mod view;

pub use fault::{ActiveFault, Fault, FaultError, On, Poison, Reset, RetryAfter};
pub use options::{Client, Goal, NonceForm, Options, UnknownNonceForm};
pub use reason::{Reason, Verdict, Weight};
pub use sandbox::{Sandbox, StartError};
pub use store::{Judged, Received, Stats};
pub use view::{Arrived, Filter};

//! What tests of the whole stand on: a real daemon in a folder of its own that can be killed, and an oracle that compares
//! what was acknowledged with what arrived.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must say so and stop")]

mod api;
pub mod badday;
pub mod certificates;
mod daemon;
pub mod faults;
mod folder;
pub mod history;
pub mod kill;
pub mod lanes;
mod oracle;
pub mod order;
pub mod power;
pub mod sqlite;
pub mod vendor;
pub mod wire;

pub use daemon::{Daemon, Started};
pub use folder::Folder;
pub use oracle::{Oracle, Verdict};

/// An HTTP client for loopback.
#[must_use]
pub fn client() -> reqwest::Client {
    // An error means that a provider is installed already.
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client can be made")
}

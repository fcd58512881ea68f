//! Plans that are replaced while lanes are at work: real stores, a real vendor on loopback that answers when it is told to.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must say so and stop")]

mod deferred;
mod swap;
mod vendor;
mod world;

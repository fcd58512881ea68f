//! The lane machine, played against vendors on a clock that the tests move.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must say so and stop")]

mod deferrals;
mod endpoints;
mod machine;
mod outages;
mod plan;
mod random_vendors;
mod replays;
mod support;
mod tokens;

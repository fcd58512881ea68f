//! The collection endpoint as its clients see it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod admission;
mod anything;
mod duplicates;
mod governance;
mod identity;
mod measurement;
mod pages;
mod pixel;
mod segment;
mod signed;
mod web;
mod wire;
#[allow(dead_code, reason = "the measurement in examples/ uses the rest")]
mod world;

//! The whole of anole: the real binary, real sockets, real files; the vendor is the sandbox in the test's own process, so
//! that it outlives a daemon that is killed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must say so and stop")]

mod bench;
mod browser;
mod checks;
mod cli;
mod clients;
mod console;
mod crash;
mod damage;
mod disk;
mod dry;
mod faults;
mod filled;
mod forget;
mod governance;
mod hostile;
mod journal;
mod kameleoon;
mod lanes;
mod matrix;
mod newcomer;
mod operator;
mod pages;
mod parked;
mod reload;
mod story;
mod tail;
mod tls;
mod tutorial;

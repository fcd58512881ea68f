//! Configuration as a person writes it: what comes out, and what is said when something is wrong.

#![allow(missing_docs, clippy::expect_used, reason = "tests")]

mod anything;
mod errors;
mod explain;
mod golden;
mod governance;
mod language;
mod layers;
mod mapping;
mod merged;
mod remote;
mod schemas;
mod settings;
mod support;

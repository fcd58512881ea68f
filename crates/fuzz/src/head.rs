//! Heads of requests: lines of `name: value`, the first line a path.

use http::Method;

use crate::collect::play;

/// The headers that the endpoint reads; the first byte of a line chooses.
const NAMES: [&str; 20] = [
    "authorization",
    "x-write-key",
    "cookie",
    "origin",
    "referer",
    "user-agent",
    "accept-language",
    "x-forwarded-for",
    "forwarded",
    "x-forwarded-proto",
    "x-forwarded-host",
    "content-type",
    "content-encoding",
    "x-timestamp",
    "x-signature",
    "host",
    "sec-fetch-site",
    "sec-gpc",
    "access-control-request-headers",
    "if-none-match",
];
const METHODS: [Method; 5] = [Method::POST, Method::GET, Method::OPTIONS, Method::HEAD, Method::PUT];
const EVENT: &[u8] = br#"{"type":"track","event":"Order Completed","userId":"u-42","properties":{"revenue":23.50}}"#;

pub(crate) fn run(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some([first, path @ ..]) = lines.next() else { return };
    let Ok(path) = std::str::from_utf8(path) else { return };
    let headers: Vec<(&str, &[u8])> = lines
        .filter_map(|line| line.split_first())
        .map(|(name, value)| (NAMES[usize::from(*name) % NAMES.len()], value))
        .collect();
    play(METHODS[usize::from(*first) % METHODS.len()].clone(), &format!("/{path}"), &headers, EVENT);
}

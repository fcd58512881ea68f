//! Compressed bodies.

use anole_http::body::decode;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use tokio::runtime::Runtime;

/// The encodings; the first byte of an input chooses.
const ENCODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// The most bytes that a body may expand to here.
const LIMIT: usize = 1 << 20;

std::thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
}

pub(crate) fn run(input: &[u8]) {
    let Some((first, bytes)) = input.split_first() else { return };
    let name = ENCODINGS[usize::from(*first) % ENCODINGS.len()];
    let headers = HeaderMap::from_iter([(CONTENT_ENCODING, name.parse().unwrap())]);
    let expanded = RUNTIME.with(|runtime| runtime.block_on(decode(&headers, Bytes::copy_from_slice(bytes), LIMIT)));
    if let Ok(expanded) = expanded {
        assert!(expanded.len() <= LIMIT, "{} bytes of {name}", expanded.len());
    }
}

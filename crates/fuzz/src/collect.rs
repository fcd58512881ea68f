//! Requests of each protocol. Each gives back how many events were kept of it.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, Uri};
use sha2::Sha256;

use crate::kept::Shop;

/// The paths that bodies in Segment's form come by; the first byte of an input chooses.
const SEGMENT: [&str; 14] = [
    "/v1/track",
    "/v1/page",
    "/v1/screen",
    "/v1/identify",
    "/v1/group",
    "/v1/alias",
    "/v1/batch",
    "/v1/import",
    "/v1/t",
    "/b",
    "/batch",
    "/api/s/track",
    "/api/s/s2s/page",
    "/api/s/s2s/batch",
];

std::thread_local! {
    static SHOP: Shop = Shop::open();
}

/// Plays a request by this path; how many events were kept of it.
pub(crate) fn play(method: Method, uri: &str, headers: &[(&str, &[u8])], body: &[u8]) -> usize {
    // Other paths than these a client's own HTTP library would not send, and hyper would not take.
    let Ok(uri) = uri.parse::<Uri>() else { return 0 };
    let mut request = Request::builder().method(method).uri(uri).header("host", "data.shop.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let Ok(request) = request.body(Bytes::copy_from_slice(body)) else { return 0 };
    SHOP.with(|shop| shop.play(request))
}

/// A byte that chooses, and the rest.
fn chosen(input: &[u8]) -> Option<(usize, &[u8])> {
    input.split_first().map(|(first, rest)| (usize::from(*first), rest))
}

pub(crate) fn segment(input: &[u8]) -> usize {
    let Some((first, body)) = chosen(input) else { return 0 };
    play(Method::POST, SEGMENT[first % SEGMENT.len()], &[("x-write-key", b"wk")], body)
}

/// The first line is the query, the rest the body.
pub(crate) fn web(input: &[u8]) -> usize {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let Ok(query) = std::str::from_utf8(input[..end].trim_ascii_end()) else { return 0 };
    let body = input.get(end + 1..).unwrap_or_default();
    let method = if body.is_empty() { Method::GET } else { Method::POST };
    let headers: [(&str, &[u8]); 2] = [("origin", b"https://shop.test"), ("user-agent", b"Mozilla/5.0")];
    play(method, &format!("/g/collect?v=2&tid=G-1&{query}"), &headers, body)
}

pub(crate) fn measurement(input: &[u8]) -> usize {
    let Some((first, body)) = chosen(input) else { return 0 };
    let path = if first % 4 == 3 { "/debug/mp/collect" } else { "/mp/collect" };
    play(Method::POST, &format!("{path}?measurement_id=G-1&api_secret=s3cret"), &[], body)
}

pub(crate) fn signed(body: &[u8]) -> usize {
    // The clock stands still but for what passes between two inputs, which is well within what a signature may be old.
    let time = SHOP.with(|shop| shop.now().millis().to_string());
    let mut mac = Hmac::<Sha256>::new_from_slice(b"signing secret").unwrap();
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = format!("sha256={hex}");
    let headers: [(&str, &[u8]); 3] =
        [("x-write-key", b"wk"), ("x-timestamp", time.as_bytes()), ("x-signature", signature.as_bytes())];
    play(Method::POST, "/v1/events", &headers, body)
}

pub(crate) fn pixel(query: &[u8]) -> usize {
    let Ok(query) = std::str::from_utf8(query) else { return 0 };
    play(Method::GET, &format!("/v1/pixel/track?wk=wk&{query}"), &[], b"")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target whose inputs are all refused at the door would hold whatever is behind it.
    #[test]
    fn the_seeds_get_through_the_door() {
        assert_eq!(segment(include_bytes!("../corpus/segment/track")), 1);
        assert_eq!(segment(include_bytes!("../corpus/segment/batch")), 5);
        assert_eq!(segment(include_bytes!("../corpus/segment/nan")), 1);
        assert_eq!(web(include_bytes!("../corpus/web/batch")), 2);
        assert_eq!(measurement(include_bytes!("../corpus/measurement/purchase")), 2);
        assert_eq!(signed(include_bytes!("../corpus/signed/batch")), 5);
        assert_eq!(pixel(include_bytes!("../corpus/pixel/plain")), 1);
    }
}

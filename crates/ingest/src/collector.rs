//! The collector script: our own small client for pages.
//!
//! It is served from memory, as it is and gzipped, with an `ETag` by which a browser asks whether it has changed. An hour
//! of caching is a compromise: a new version of anole reaches a page within it, and a page load seldom waits for it.

use std::io::Write;

use anole_http::body::Body;
use anole_http::reply;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

const SOURCE: &str = include_str!("collector/anole.js");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The script, ready to be served.
#[derive(Debug)]
pub(crate) struct Collector {
    zipped: Option<Bytes>,
    tag: HeaderValue,
}

// === impl Collector ===

impl Collector {
    pub(crate) fn new() -> Self {
        let tag = format!("\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(SOURCE.as_bytes()));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Compressing in memory does not fail; if it did, the plain script would be served.
        let zipped = encoder.write_all(SOURCE.as_bytes()).and_then(|()| encoder.finish()).ok().map(Bytes::from);
        Self { zipped, tag: HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"anole\"")) }
    }

    /// The answer to a request with these headers.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| self.is_known(value));
        let zipped = self.zipped.as_ref().filter(|_| takes_gzip(headers));
        let mut answer = match (known, zipped) {
            (true, _) => reply::empty(StatusCode::NOT_MODIFIED),
            (false, Some(zipped)) => reply::typed(StatusCode::OK, JAVASCRIPT, zipped.clone()),
            (false, None) => reply::typed(StatusCode::OK, JAVASCRIPT, Bytes::from_static(SOURCE.as_bytes())),
        };
        let headers = answer.headers_mut();
        if known {
            headers.remove(CONTENT_TYPE);
        } else if zipped.is_some() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(ETAG, self.tag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        // A page that isolates itself from other origins takes only scripts that say this.
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
        answer
    }

    fn is_known(&self, value: &HeaderValue) -> bool {
        let (value, tag) = (value.to_str().unwrap_or_default(), self.tag.to_str().unwrap_or_default());
        // A proxy that compresses makes the tag a weak one.
        value.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
    }
}

const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");

fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, ""));
        let refused = quality.trim().strip_prefix("q=").is_some_and(|quality| quality.trim().parse() == Ok(0.0_f32));
        matches!(name.trim(), "gzip" | "*") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a header"))])
    }

    #[test]
    fn the_script_is_small() {
        let zipped = Collector::new().zipped.expect("it is compressed");
        assert!(zipped.len() < 4000, "{} bytes gzipped", zipped.len());
    }

    #[test]
    fn a_browser_that_has_the_script_is_told_so() {
        let collector = Collector::new();
        let first = collector.answer(&HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[CONTENT_TYPE], JAVASCRIPT);
        let tag = first.headers()[ETAG].to_str().expect("text");
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = collector.answer(&headers(IF_NONE_MATCH, &known));
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(answer.headers()[ETAG], tag);
        }
        assert_eq!(collector.answer(&headers(IF_NONE_MATCH, "\"other\"")).status(), StatusCode::OK);
    }

    #[test]
    fn it_is_gzipped_for_those_who_take_it() {
        let collector = Collector::new();
        let zipped =
            |value| collector.answer(&headers(ACCEPT_ENCODING, value)).headers().contains_key(CONTENT_ENCODING);
        assert!(zipped("br, gzip;q=0.8") && zipped("gzip"));
        assert!(!zipped("br") && !zipped("gzip;q=0, br"));
    }
}

//! The collector: our own small client for pages, as a script, as a module, and its types.
//!
//! The files are made by `crates/ingest/collector` and checked in, so that a build of anole needs no Node.js; a test holds
//! them against the sources. They are served from memory, as they are and gzipped, with an `ETag` by which a browser asks
//! whether one has changed. An hour of caching is a compromise: a new version of anole reaches a page within it, and a page
//! load never waits for it, as a browser may use the old one for another day while it asks.
//!
//! Under which names: the script under the one that the operator chose, the others under the same with their own ending
//! (`/lib.js`, `/lib.mjs`, `/lib.d.ts`). The types are there a second time as `.d.mts`, as TypeScript looks for them beside a
//! module.

use std::io::Write;

use anole_http::body::Body;
use anole_http::reply;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderName, IF_NONE_MATCH,
    ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

const SCRIPT: &str = include_str!("collector/anole.js");
const MODULE: &str = include_str!("collector/anole.mjs");
const TYPES: &str = include_str!("collector/anole.d.ts");

const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// One of the collector's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    /// For a script tag.
    Script,
    /// For `import`.
    Module,
    /// For TypeScript.
    Types,
}

/// The collector, ready to be served.
#[derive(Debug)]
pub(crate) struct Collector {
    script: Served,
    module: Served,
    types: Served,
}

/// A file, ready to be served.
#[derive(Debug)]
struct Served {
    content_type: HeaderValue,
    plain: &'static str,
    zipped: Option<Bytes>,
    tag: HeaderValue,
}

// === impl File ===

impl File {
    /// The file of a path, where the script has the path `script`. Both without the slash at their front.
    pub(crate) fn at(path: &str, script: &str) -> Option<Self> {
        if path == script {
            return Some(Self::Script);
        }
        match path.strip_prefix(script.strip_suffix(".js").unwrap_or(script))? {
            ".mjs" => Some(Self::Module),
            ".d.ts" | ".d.mts" => Some(Self::Types),
            _ => None,
        }
    }
}

// === impl Collector ===

impl Collector {
    pub(crate) fn new() -> Self {
        Self {
            script: Served::new(JAVASCRIPT, SCRIPT),
            module: Served::new(JAVASCRIPT, MODULE),
            types: Served::new(TEXT, TYPES),
        }
    }

    /// The answer to a request with these headers.
    pub(crate) fn answer(&self, file: File, headers: &HeaderMap) -> Response<Body> {
        match file {
            File::Script => self.script.answer(headers),
            File::Module => self.module.answer(headers),
            File::Types => self.types.answer(headers),
        }
    }
}

// === impl Served ===

impl Served {
    fn new(content_type: HeaderValue, plain: &'static str) -> Self {
        let tag = format!("\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(plain.as_bytes()));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Compressing in memory does not fail; if it did, the plain text would be served.
        let zipped = encoder.write_all(plain.as_bytes()).and_then(|()| encoder.finish()).ok().map(Bytes::from);
        let tag = HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"anole\""));
        Self { content_type, plain, zipped, tag }
    }

    fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        let known = asked.get_all(IF_NONE_MATCH).iter().any(|value| self.is_known(value));
        let zipped = self.zipped.as_ref().filter(|_| takes_gzip(asked));
        let content_type = self.content_type.clone();
        let mut answer = match (known, zipped) {
            (true, _) => reply::empty(StatusCode::NOT_MODIFIED),
            (false, Some(zipped)) => reply::typed(StatusCode::OK, content_type, zipped.clone()),
            (false, None) => reply::typed(StatusCode::OK, content_type, Bytes::from_static(self.plain.as_bytes())),
        };
        let headers = answer.headers_mut();
        if !known && zipped.is_some() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(ETAG, self.tag.clone());
        let caching = HeaderValue::from_static("public, max-age=3600, stale-while-revalidate=86400");
        headers.insert(CACHE_CONTROL, caching);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        // A page that isolates itself from other origins takes only scripts that say this.
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
        // `import` asks with an origin, a tag without one. What a cache keeps of the latter must not be given to the former
        // as an answer that nobody may read.
        if !asked.contains_key(ORIGIN) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        answer
    }

    fn is_known(&self, value: &HeaderValue) -> bool {
        let (value, tag) = (value.to_str().unwrap_or_default(), self.tag.to_str().unwrap_or_default());
        // A proxy that compresses makes the tag a weak one.
        value.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
    }
}

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
    use http::header::CONTENT_TYPE;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a header"))])
    }

    #[test]
    fn script_and_module_are_small() {
        let Collector { script, module, .. } = Collector::new();
        for served in [script, module] {
            let zipped = served.zipped.expect("it is compressed");
            assert!(zipped.len() < 4000, "{} bytes gzipped", zipped.len());
        }
    }

    #[test]
    fn the_files_are_named_after_the_script() {
        let found = |path| File::at(path, "js/lib.js");
        assert_eq!(found("js/lib.js"), Some(File::Script));
        assert_eq!(found("js/lib.mjs"), Some(File::Module));
        assert_eq!(found("js/lib.d.ts"), Some(File::Types));
        assert_eq!(found("js/lib.d.mts"), Some(File::Types));
        for other in ["js/lib", "lib.js", "js/lib.js.mjs", "js/lib.css", "anole.mjs", ""] {
            assert_eq!(found(other), None, "{other}");
        }
        assert_eq!(File::at("t", "t"), Some(File::Script), "a name without an ending");
        assert_eq!(File::at("t.mjs", "t"), Some(File::Module));
    }

    #[test]
    fn a_browser_that_has_a_file_is_told_so() {
        let collector = Collector::new();
        for (file, content_type) in [(File::Script, JAVASCRIPT), (File::Module, JAVASCRIPT), (File::Types, TEXT)] {
            let first = collector.answer(file, &HeaderMap::new());
            assert_eq!(first.status(), StatusCode::OK);
            assert_eq!(first.headers()[CONTENT_TYPE], content_type);
            assert_eq!(first.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(first.headers()[CROSS_ORIGIN_RESOURCE_POLICY], "cross-origin");
            let tag = first.headers()[ETAG].to_str().expect("text");
            for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
                let answer = collector.answer(file, &headers(IF_NONE_MATCH, &known));
                assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
                assert_eq!(answer.headers()[ETAG], tag);
            }
            assert_eq!(collector.answer(file, &headers(IF_NONE_MATCH, "\"other\"")).status(), StatusCode::OK);
        }
    }

    #[test]
    fn it_is_gzipped_for_those_who_take_it() {
        let collector = Collector::new();
        let zipped = |value| {
            let answer = collector.answer(File::Script, &headers(ACCEPT_ENCODING, value));
            answer.headers().contains_key(CONTENT_ENCODING)
        };
        assert!(zipped("br, gzip;q=0.8") && zipped("gzip"));
        assert!(!zipped("br") && !zipped("gzip;q=0, br"));
    }

    #[test]
    fn what_a_tag_got_may_be_read_by_an_import_too() {
        let answer = Collector::new().answer(File::Module, &HeaderMap::new());
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let vary: Vec<_> = answer.headers().get_all(VARY).iter().collect();
        assert_eq!(vary, ["Accept-Encoding", "Origin"]);
    }
}

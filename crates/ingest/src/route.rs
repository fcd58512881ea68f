//! The one table of routes. Each protocol is a module of its own under `protocol`; what is not here answers 404.
//!
//! Clients build paths by gluing, so a doubled slash at the front and one slash too many at the end are overlooked.
//! Still to come, as a variant and a module: webhooks (`/v1/webhook/{source}`).

use anole_event::EventType;
use http::Method;

use crate::collector::File;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// One event of this type in Segment's form.
    Single(EventType),
    /// A batch of events in Segment's form.
    Batch,
    /// One event of this type by Jitsu's client.
    Jitsu(EventType),
    /// Events of a back end that signs them.
    Signed,
    /// One event of this type in the address of a picture.
    Pixel(EventType),
    /// What Segment's clients ask before they send.
    Settings {
        /// The write key as it stands in the path, percent-encoded.
        key: &'a str,
    },
    /// What Segment's clients tell about themselves. Taken and thrown away.
    ClientMetrics,
    /// Google Analytics' Measurement Protocol.
    Measurement {
        /// Whether it is only to be checked.
        debug: bool,
    },
    /// GA4's tag in pages.
    Web,
    /// A file of the collector.
    Collector(File),
    /// Whether the process lives.
    Health,
    /// Whether it can accept and keep events.
    Ready,
}

// === impl Route ===

impl Route<'_> {
    /// Whether events come by it.
    pub(crate) const fn takes_events(&self) -> bool {
        match self {
            Self::Single(_)
            | Self::Batch
            | Self::Jitsu(_)
            | Self::Signed
            | Self::Pixel(_)
            | Self::Web
            | Self::Measurement { .. } => true,
            Self::Settings { .. } | Self::ClientMetrics | Self::Collector(_) | Self::Health | Self::Ready => false,
        }
    }
}

/// What came of looking for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// There is one.
    Route(Route<'a>),
    /// There is one, but not for this method.
    WrongMethod {
        /// The methods it has, as `Allow` lists them.
        allow: &'static str,
    },
    /// There is none.
    Nothing,
}

/// Methods of routes that are written to.
const POST: &str = "POST, OPTIONS";
/// Methods of routes that are written to either way.
const BOTH: &str = "GET, POST, OPTIONS";
/// Methods of a picture that is an event: to ask for its head only is none.
const PICTURE: &str = "GET, OPTIONS";
/// Methods of routes that are read.
const GET: &str = "GET, HEAD, OPTIONS";

/// Looks for the route of a path; `collector` is the path of the script.
pub(crate) fn find<'a>(method: &Method, path: &'a str, collector: &str) -> Found<'a> {
    let Some(route) = route(path, collector) else { return Found::Nothing };
    let allow = match route {
        Route::Single(_)
        | Route::Batch
        | Route::Jitsu(_)
        | Route::Signed
        | Route::ClientMetrics
        | Route::Measurement { .. } => POST,
        Route::Pixel(_) => PICTURE,
        Route::Web => BOTH,
        Route::Settings { .. } | Route::Collector(_) | Route::Health | Route::Ready => GET,
    };
    let fits = match *method {
        Method::POST => allow == POST || allow == BOTH,
        Method::GET => allow != POST,
        Method::HEAD => allow == GET,
        _ => false,
    };
    if fits { Found::Route(route) } else { Found::WrongMethod { allow } }
}

fn route<'a>(path: &'a str, collector: &str) -> Option<Route<'a>> {
    let trimmed = path.trim_start_matches('/');
    let path = trimmed.strip_suffix('/').unwrap_or(trimmed);
    Some(match path {
        "v1/track" | "v1/t" => Route::Single(EventType::Track),
        "v1/page" | "v1/p" => Route::Single(EventType::Page),
        "v1/screen" | "v1/s" => Route::Single(EventType::Screen),
        "v1/identify" | "v1/i" => Route::Single(EventType::Identify),
        "v1/group" | "v1/g" => Route::Single(EventType::Group),
        "v1/alias" | "v1/a" => Route::Single(EventType::Alias),
        // The last ones are what comes of a path that a user has put into a client's host.
        "v1/batch" | "v1/b" | "v1/import" | "b" | "batch" | "v1/batch/b" | "batch/b" | "beacon/v1/batch" => {
            Route::Batch
        }
        "api/s/batch" | "api/s/s2s/batch" => Route::Batch,
        "v1/events" => Route::Signed,
        "v1/m" => Route::ClientMetrics,
        "healthz" => Route::Health,
        "readyz" => Route::Ready,
        _ => match File::at(path, collector.trim_start_matches('/')) {
            Some(file) => Route::Collector(file),
            None => return by_pattern(path),
        },
    })
}

fn by_pattern(path: &str) -> Option<Route<'_>> {
    let under = |path: &'_ str, end: &str| {
        path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    if under(path, "debug/mp/collect") {
        return Some(Route::Measurement { debug: true });
    }
    if under(path, "mp/collect") {
        return Some(Route::Measurement { debug: false });
    }
    if under(path, "g/collect") || under(path, "ag/g/c") {
        return Some(Route::Web);
    }
    if let Some(event_type) = path.strip_prefix("v1/pixel/").and_then(EventType::from_code) {
        return Some(Route::Pixel(event_type));
    }
    if let Some(rest) = path.strip_prefix("api/s/") {
        return EventType::from_code(rest.strip_prefix("s2s/").unwrap_or(rest)).map(Route::Jitsu);
    }
    let settings = path.strip_prefix("v1/").unwrap_or(path).strip_prefix("projects/")?;
    let key = settings.strip_suffix("/settings")?;
    (!key.is_empty() && !key.contains('/')).then_some(Route::Settings { key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &'static str) -> Found<'static> {
        find(method, path, "/anole.js")
    }

    #[test]
    fn a_picture_is_an_event_when_it_is_fetched_and_not_when_it_is_asked_for() {
        assert_eq!(found(&Method::GET, "/v1/pixel/track"), Found::Route(Route::Pixel(EventType::Track)));
        assert_eq!(found(&Method::HEAD, "/v1/pixel/track"), Found::WrongMethod { allow: PICTURE });
        for path in ["/v1/pixel/", "/v1/pixel/gif", "/api/s/", "/api/s/s2s/", "/api/s/tracks"] {
            assert_eq!(found(&Method::GET, path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn a_page_of_ga4_may_get_or_post_under_any_prefix() {
        for path in ["/g/collect", "/data/g/collect", "/ag/g/c", "//x/ag/g/c/"] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(found(&method, path), Found::Route(Route::Web), "{path}");
            }
            assert_eq!(found(&Method::HEAD, path), Found::WrongMethod { allow: BOTH }, "{path}");
        }
        for path in ["/xg/collect", "/g/collect/x", "/g/c"] {
            assert_eq!(found(&Method::POST, path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn every_path_of_a_client_leads_where_it_should() {
        let cases = [
            ("/v1/track", Route::Single(EventType::Track)),
            ("/v1/t", Route::Single(EventType::Track)),
            ("/v1/page", Route::Single(EventType::Page)),
            ("/v1/p", Route::Single(EventType::Page)),
            ("/v1/screen", Route::Single(EventType::Screen)),
            ("/v1/s", Route::Single(EventType::Screen)),
            ("/v1/identify", Route::Single(EventType::Identify)),
            ("/v1/i", Route::Single(EventType::Identify)),
            ("/v1/group", Route::Single(EventType::Group)),
            ("/v1/g", Route::Single(EventType::Group)),
            ("/v1/alias", Route::Single(EventType::Alias)),
            ("/v1/a", Route::Single(EventType::Alias)),
            ("/v1/batch", Route::Batch),
            ("/v1/b", Route::Batch),
            ("/v1/import", Route::Batch),
            ("/b", Route::Batch),
            ("/batch", Route::Batch),
            ("//v1/batch/", Route::Batch),
            ("/v1/m", Route::ClientMetrics),
            ("/batch/b", Route::Batch),
            ("/beacon/v1/batch", Route::Batch),
            ("/api/s/track", Route::Jitsu(EventType::Track)),
            ("/api/s/s2s/page", Route::Jitsu(EventType::Page)),
            ("/api/s/s2s/batch", Route::Batch),
            ("/v1/events", Route::Signed),
            ("/mp/collect", Route::Measurement { debug: false }),
            ("/any/prefix/mp/collect", Route::Measurement { debug: false }),
            ("/debug/mp/collect", Route::Measurement { debug: true }),
            ("/any/debug/mp/collect", Route::Measurement { debug: true }),
        ];
        for (path, route) in cases {
            assert_eq!(found(&Method::POST, path), Found::Route(route), "{path}");
            assert_eq!(found(&Method::GET, path), Found::WrongMethod { allow: POST }, "{path}");
        }
        let cases = [
            ("/v1/projects/wk/settings", Route::Settings { key: "wk" }),
            ("/projects/wk%2F1/settings", Route::Settings { key: "wk%2F1" }),
            ("/anole.js", Route::Collector(File::Script)),
            ("/anole.mjs", Route::Collector(File::Module)),
            ("/anole.d.ts", Route::Collector(File::Types)),
            ("/healthz", Route::Health),
            ("/readyz", Route::Ready),
        ];
        for (path, route) in cases {
            assert_eq!(found(&Method::GET, path), Found::Route(route), "{path}");
            assert_eq!(found(&Method::HEAD, path), Found::Route(route), "{path}");
            assert_eq!(found(&Method::POST, path), Found::WrongMethod { allow: GET }, "{path}");
        }
    }

    #[test]
    fn what_is_no_route_is_not_found() {
        for path in
            ["/", "", "/v1", "/v1/tracks", "/v2/track", "/xmp/collect", "/projects//settings", "/projects/a/b/settings"]
        {
            assert_eq!(found(&Method::POST, path), Found::Nothing, "{path}");
        }
    }
}

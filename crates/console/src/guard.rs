//! Who may do what on the admin listener.
//!
//! - With a token, everything but the sign-in page, its assets and the health checks asks for it: programs send it as a bearer
//!   token, browsers trade it for a [session](crate::session). A page leads to the sign-in page, the API answers 401.
//! - Without a token the listener answers only under an address or localhost. A name that somebody else owns may be made to
//!   point here (DNS rebinding), and then a browser takes that somebody's page for ours.
//! - Whatever changes something must not come from another site's page. `Sec-Fetch-Site` decides where the browser sends it,
//!   which no page can forge; else `Origin` must name the host that was called. A program sends neither, and no browser sends
//!   a form without at least one of them. Rejected: a hidden token in each form, which protects no better and makes a page that
//!   stood open for a day fail.
//! - Everything that is shown may run scripts and styles of this listener only, and no page may frame it.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::answer::error;
use crate::api::Admin;
use crate::code::ApiCode;
use crate::session;

/// The longest query: no filter of ours comes near it.
const MOST_QUERY: usize = 8 * 1024;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What every answer carries.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: browsers then send `Origin: null` with our own forms.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// Asks for the token where there is one.
pub(crate) async fn known(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let Some(token) = &admin.token else { return next.run(request).await };
    let headers = request.headers();
    let bearer = header_of(headers, "authorization").and_then(|value| value.strip_prefix("Bearer "));
    let is_known = bearer.is_some_and(|given| session::is_token(token, given))
        || session::is_valid(token, admin.clock.wall(), headers);
    if is_known {
        return next.run(request).await;
    }
    let is_page = bearer.is_none()
        && request.method() == Method::GET
        && header_of(headers, "accept").is_some_and(|accept| accept.contains("text/html"));
    if is_page {
        let to = request.uri().path_and_query().map_or("/", |to| to.as_str());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("to", to);
        return Redirect::to(&format!("/login?{}", query.finish())).into_response();
    }
    let message = "send the admin token as `Authorization: Bearer …`: it is admin.token in anole.yaml";
    error(StatusCode::UNAUTHORIZED, ApiCode::Unauthorised, message)
}

/// Refuses what another site's page makes a browser send, and says by headers what our own pages may do.
pub(crate) async fn ours(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let mut response = match refused(&admin, &request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn refused(admin: &Admin, request: &Request) -> Option<Response> {
    if admin.token.is_none() && !is_direct(request.headers()) {
        let message = "without a token this listener answers only under an address or localhost: a page of another site \
                       could otherwise reach it under a name of its own. Set admin.token to use a name";
        return Some(error(StatusCode::FORBIDDEN, ApiCode::WrongHost, message));
    }
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_safe && is_foreign(request.headers()) {
        let message = "a page of another site may not change anything here";
        return Some(error(StatusCode::FORBIDDEN, ApiCode::CrossSite, message));
    }
    let length = request.uri().query().map_or(0, str::len);
    (length > MOST_QUERY).then(|| {
        let message = format!("the query has {length} bytes, at most {MOST_QUERY} are read: send less to look for");
        error(StatusCode::URI_TOO_LONG, ApiCode::QueryTooLong, &message)
    })
}

/// The host of a `Host` header, or of an origin: without scheme and port.
fn host_of(text: &str) -> &str {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => text.split(':').next().unwrap_or_default(),
    }
}

pub(crate) fn header_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether the caller used an address or localhost.
fn is_direct(headers: &HeaderMap) -> bool {
    // HTTP/2 and simple clients may leave the header out; a browser never does.
    header_of(headers, "host")
        .map(host_of)
        .is_none_or(|host| host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok())
}

/// Whether a page of another site made a browser send this.
fn is_foreign(headers: &HeaderMap) -> bool {
    if let Some(site) = header_of(headers, "sec-fetch-site") {
        // Not `same-site`: another program on this host, or on a neighbour of our name, is not us.
        return !matches!(site, "same-origin" | "none");
    }
    let origin = header_of(headers, "origin").map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    origin.is_some_and(|origin| Some(origin) != header_of(headers, "host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn a_name_that_points_here_is_not_taken_for_us() {
        for direct in ["127.0.0.1:8081", "localhost:8081", "[::1]:8081", "192.168.1.4"] {
            assert!(is_direct(&headers(&[("host", direct)])), "{direct}");
        }
        for named in ["evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert!(!is_direct(&headers(&[("host", named)])), "{named}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_foreign() {
        assert!(!is_foreign(&headers(&[("host", "127.0.0.1:1")])));
        assert!(!is_foreign(&headers(&[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:1")])));
        assert!(is_foreign(&headers(&[("host", "127.0.0.1:1"), ("origin", "https://evil.example")])));
        assert!(is_foreign(&headers(&[("host", "127.0.0.1:1"), ("sec-fetch-site", "cross-site")])));
    }

    #[test]
    fn the_browsers_own_word_goes_before_the_origin() {
        let behind_a_proxy =
            [("host", "10.0.0.7:8081"), ("origin", "https://anole.example"), ("sec-fetch-site", "same-origin")];
        assert!(!is_foreign(&headers(&behind_a_proxy)), "a proxy that rewrites the host does not lock us out");
        let neighbour = [("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:1"), ("sec-fetch-site", "same-site")];
        assert!(is_foreign(&headers(&neighbour)), "another port of this host is another program");
    }
}

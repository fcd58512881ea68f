//! What Segment's browser and mobile clients ask before they send.
//!
//! The answer names the key, which the client puts into its bodies from then on, and where to send: with `apiHost` and
//! `protocol` a page needs to be told one address only. Both are always there: a client that misses `apiHost` falls back
//! to Segment's own host, and the events of the site would go there.

use anole_event::write_json_str;
use anole_http::body::Body;
use anole_http::reply;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};

/// The settings for a key, for clients that reach us at `host` by `scheme`.
pub(crate) fn answer(key: &str, host: &str, scheme: &str) -> Response<Body> {
    let mut body = Vec::with_capacity(320);
    body.extend_from_slice(br#"{"integrations":{"Segment.io":{"apiKey":"#);
    write_json_str(&mut body, key);
    body.extend_from_slice(br#","unbundledIntegrations":[],"addBundledMetadata":true,"apiHost":"#);
    write_json_str(&mut body, &format!("{host}/v1"));
    body.extend_from_slice(br#","protocol":"#);
    write_json_str(&mut body, scheme);
    // No metrics of the client, no limit on what it may track, no middleware.
    body.extend_from_slice(br#"}},"plan":{"track":{"__default":{"enabled":true,"integrations":{}}}},"#);
    body.extend_from_slice(br#""metrics":{"sampleRate":0},"enabledMiddleware":{}}"#);
    let mut answer = reply::json(StatusCode::OK, body);
    // Short, as the address may change with the proxy's configuration.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn the_settings_name_the_key_and_where_to_send() {
        let answer = answer("wk\"1", "data.shop.test:8443", "https");
        assert_eq!(answer.status(), StatusCode::OK);
        #[expect(clippy::disallowed_methods, reason = "the body is ours")]
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let segment = &json["integrations"]["Segment.io"];
        assert_eq!(segment["apiKey"], "wk\"1");
        assert_eq!(segment["apiHost"], "data.shop.test:8443/v1");
        assert_eq!(segment["protocol"], "https");
        assert_eq!(json["plan"]["track"]["__default"]["enabled"], true);
        assert_eq!(json["metrics"]["sampleRate"], 0);
    }
}

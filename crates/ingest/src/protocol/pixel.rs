//! One event in the address of a picture (`/v1/pixel/track`): for mail and other places that run no script.
//!
//! The event is the JSON of a single call, in base64, as `data`; or it is spelt out in the address:
//!
//! | parameter | is |
//! |---|---|
//! | `e`, `event` | `event` |
//! | `uid`, `userId` | `userId` |
//! | `aid`, `anonymousId` | `anonymousId` |
//! | `gid`, `groupId` | `groupId` |
//! | `mid`, `messageId` | `messageId` |
//! | `ts`, `timestamp` | `timestamp`; digits are Unix milliseconds |
//! | `p.NAME`, `properties.NAME` | a property |
//! | `t.NAME`, `traits.NAME` | a trait |
//!
//! The key is in the address too (`wk`, `writeKey`). What is spelt out is text, as the address has no types; a mapping reads a
//! number in it all the same.
//!
//! The answer is the picture, also when the event was refused: whoever looks at a mail can do nothing about it, and a
//! broken picture would be all they see. What was refused is counted and told in the live tail. Only what cannot be kept
//! just now is answered 503. A picture that is fetched twice is two events unless it has a message id.

use std::sync::Arc;

use anole_event::{EventType, Timestamp};
use anole_http::Peer;
use anole_http::body::{self, Body};
use anole_http::reply;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use url::form_urlencoded;

use super::segment::{self, Brought, allowed, by_body};
use super::values::Values;
use crate::Ingest;
use crate::answer::Stop;
use crate::client::text;
use crate::code::Rule;
use crate::key::{BASE64, ByHead, by_head, parameter};

const PROTOCOL: &str = "pixel";

/// A transparent GIF of one pixel: a screen of 1 x 1 with a table of two colours, the first one transparent, and an image
/// of that one pixel.
const PICTURE: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";

/// The other alphabet, which needs no escapes in an address. Not every client pads.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Answers a request.
pub(crate) async fn answer<B>(
    ingest: &Arc<Ingest>,
    event_type: EventType,
    parts: &Parts,
    body: B,
    peer: Peer,
) -> Result<Response<Body>, Stop>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    body::drain(body).await;
    let mut answer = match take(ingest, event_type, parts, peer).await {
        Ok(answer) => answer,
        Err(stop) if stop.is_passing() => return Err(stop),
        Err(stop) => {
            stop.count(ingest.telemetry(), ingest.clock().now().wall);
            reply::empty(StatusCode::OK)
        }
    };
    *answer.body_mut() = Body::full(PICTURE);
    let headers = answer.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("image/gif"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

async fn take(ingest: &Arc<Ingest>, event_type: EventType, parts: &Parts, peer: Peer) -> Result<Response<Body>, Stop> {
    let intakes = ingest.intakes();
    let query = parts.uri.query().unwrap_or_default();
    let now = ingest.clock().now();
    let json = match parameter(query, &["data"]) {
        Some(data) => decoded(&data)?,
        None => spelt_out(query),
    };
    let (batch, surrogates) = segment::one(&json)?;
    let keyed = match by_head(&intakes, parts) {
        ByHead::Known(keyed) => keyed,
        ByHead::Unknown => return Err(Stop::unknown_key()),
        ByHead::Nothing => by_body(&intakes, &batch)?,
    };
    let keyed = allowed(keyed, text(parts.headers.get(ORIGIN)))?;
    ingest.admit(keyed.key())?;
    let brought = Brought { protocol: PROTOCOL, single: Some(event_type), batch: &batch, surrogates, now };
    segment::take(ingest, keyed, brought, parts, peer).await
}

fn decoded(data: &str) -> Result<String, Stop> {
    // A plus that was not escaped has become a space.
    let data = data.trim().replace(' ', "+");
    let bytes = BASE64.decode(&data).or_else(|_| BASE64_URL.decode(&data));
    let json = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    json.ok_or_else(|| Stop::malformed(Rule::NotBase64, "`data` is not the event's JSON in base64"))
}

/// The event of an address in JSON.
fn spelt_out(query: &str) -> String {
    let (mut event, mut properties, mut traits) = (Values::default(), Values::default(), Values::default());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let plain = match &*name {
            "e" | "event" => "event",
            "uid" | "userId" => "userId",
            "aid" | "anonymousId" => "anonymousId",
            "gid" | "groupId" => "groupId",
            "mid" | "messageId" => "messageId",
            "ts" | "timestamp" => {
                let millis = value.parse::<i64>().ok().and_then(|millis| millis.checked_mul(1000));
                let time =
                    millis.map_or_else(|| value.to_string(), |micros| Timestamp::from_micros(micros).to_string());
                event.text("timestamp", &time);
                continue;
            }
            name => {
                let of = |prefixes: [&str; 2]| {
                    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).map(str::to_owned)
                };
                if let Some(name) = of(["p.", "properties."]) {
                    properties.text(&name, &value);
                } else if let Some(name) = of(["t.", "traits."]) {
                    traits.text(&name, &value);
                }
                continue;
            }
        };
        event.text(plain, &value);
    }
    for (name, values) in [("properties", properties), ("traits", traits)] {
        if !values.is_empty() {
            event.put(name, values.json());
        }
    }
    event.json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_spells_out_an_event() {
        assert_eq!(
            spelt_out(
                "wk=k&e=Mail+Opened&uid=u-42&mid=m-1&ts=1795341590000&p.campaign=spring&properties.n=1&t.plan=pro&cb=7"
            ),
            r#"{"event":"Mail Opened","userId":"u-42","messageId":"m-1","timestamp":"2026-11-22T09:59:50.000Z","properties":{"campaign":"spring","n":"1"},"traits":{"plan":"pro"}}"#
        );
        assert_eq!(spelt_out(""), "{}");
    }

    #[test]
    fn base64_is_read_however_it_is_written() {
        let json = r#"{"event":"E?>","userId":"ü"}"#;
        for engine in [BASE64, BASE64_URL] {
            assert_eq!(decoded(&engine.encode(json)).unwrap(), json);
        }
        assert_eq!(decoded(BASE64.encode(json).trim_end_matches('=')).unwrap(), json);
        assert!(decoded("{}").is_err() && decoded("/w==").is_err());
    }
}

//! The body of a request, split into its events without changing a byte.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::fields::Fields;

/// Why a body is no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

/// The events of a body: slices of it, exactly as they came.
pub(crate) fn split(body: &Bytes, json: bool) -> Result<Vec<Bytes>, Malformed> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(Malformed("the body is not UTF-8".to_owned()));
    };
    if text.trim().is_empty() {
        return Err(Malformed("the body is empty".to_owned()));
    }
    if !json {
        if text.trim_start().starts_with(['[', '{']) {
            let hint =
                "the body looks like JSON, but the query does not say json=true, which means lines of name=value";
            return Err(Malformed(hint.to_owned()));
        }
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        return Ok(lines.filter(|line| !line.is_empty()).map(|line| body.slice_ref(line.as_bytes())).collect());
    }
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(events) => Ok(events.iter().map(|event| body.slice_ref(event.get().as_bytes())).collect()),
        Err(error) if error.is_data() => {
            Err(Malformed("the body must be a JSON array of events, also for a single one".to_owned()))
        }
        Err(error) => Err(Malformed(format!("the body is not JSON: {error}"))),
    }
}

/// The fields of one event.
pub(crate) fn fields(event: &[u8], json: bool) -> Result<Fields<'_>, Malformed> {
    let text = std::str::from_utf8(event).map_err(|_| Malformed("the event is not UTF-8".to_owned()))?;
    if json {
        Fields::from_json(text).ok_or_else(|| Malformed("an event must be a JSON object".to_owned()))
    } else {
        Fields::from_line(text).map_err(|error| Malformed(error.to_string()))
    }
}

/// How many events a body has, without looking at them.
pub(crate) fn count(body: &[u8], json: bool) -> Result<u64, Malformed> {
    if !json {
        return Ok(body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64);
    }
    match serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(body) {
        Ok(events) => Ok(events.len() as u64),
        Err(error) => Err(Malformed(format!("the body is not a JSON array: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_split_without_changing_a_byte() {
        let body = Bytes::from_static(b" [ {\"a\" : 23.50 },\n {\"b\":\"\\u00e9\"} ] ");
        let events = split(&body, true).unwrap();
        assert_eq!(events, [&b"{\"a\" : 23.50 }"[..], &b"{\"b\":\"\\u00e9\"}"[..]]);
    }

    #[test]
    fn lines_are_split_at_line_feeds_with_or_without_a_last_one() {
        for body in ["a=1&b=2\nc=3", "a=1&b=2\nc=3\n", "a=1&b=2\r\nc=3\r\n"] {
            let events = split(&Bytes::from_static(body.as_bytes()), false).unwrap();
            assert_eq!(events, [&b"a=1&b=2"[..], &b"c=3"[..]]);
            assert_eq!(count(body.as_bytes(), false).unwrap(), 2);
        }
    }

    #[test]
    fn what_is_no_batch_is_named() {
        let error = |body: &'static str, json| split(&Bytes::from_static(body.as_bytes()), json).unwrap_err().0;
        assert!(error("{\"nonce\":\"1\"}", true).contains("must be a JSON array"));
        assert!(error("[{\"a\":1}", true).contains("not JSON"));
        assert!(error("  ", true).contains("empty"));
        assert!(error("[{\"a\":1}]", false).contains("json=true"));
        assert!(split(&Bytes::from_static(b"\xff"), true).is_err());
        assert!(count(b"{}", true).is_err());
        assert_eq!(count(b"[{},{}]", true).unwrap(), 2);
    }
}

//! Shaping beyond texts: objects, value maps, hashes, points in time.

use std::borrow::Cow;

use anole_event::{Timestamp, write_json_str};

use crate::number::is_json_number;
use crate::object;
use crate::value::{Got, Wrong};
use crate::{Narrow, Normaliser, Path, Shape, ValueMap};

/// A number below this is a time in seconds (before the year 5138), from it on in milliseconds (after March 1973).
const MILLIS_FROM: f64 = 1e11;

// === impl Got ===

impl<'v> Got<'v> {
    /// The value as JSON.
    pub(crate) fn raw(&self) -> Cow<'_, str> {
        match self {
            Self::Json(json) => Cow::Borrowed(json),
            Self::Text(text) => {
                let mut out = Vec::with_capacity(text.len() + 2);
                write_json_str(&mut out, text);
                Cow::Owned(String::from_utf8(out).unwrap_or_default())
            }
        }
    }

    fn is_structure(&self) -> bool {
        matches!(self, Self::Json(json) if json.starts_with(['{', '[']))
    }

    /// Picks, omits and flattens; other values than objects and lists pass by. Nothing when nothing is left of it.
    pub(crate) fn structured(self, shape: &Shape) -> Option<Self> {
        let asks = !shape.pick.is_empty() || !shape.omit.is_empty() || shape.flatten.is_some();
        if !asks || !self.is_structure() {
            return Some(self);
        }
        let mut json = self.raw().into_owned();
        let steps = |paths: &'_ [Path]| paths.iter().map(|path| path.steps().to_vec()).collect::<Vec<_>>();
        if !shape.pick.is_empty() {
            let paths = steps(&shape.pick);
            let paths: Vec<&[Box<str>]> = paths.iter().map(Vec::as_slice).collect();
            json = object::only(&json, &paths)?.into_owned();
        }
        if !shape.omit.is_empty() {
            let paths = steps(&shape.omit);
            let paths: Vec<&[Box<str>]> = paths.iter().map(Vec::as_slice).collect();
            json = object::without(&json, &paths)?.into_owned();
        }
        if let Some(separator) = &shape.flatten {
            json = object::flattened(&json, separator).unwrap_or(json);
        }
        (json != "{}" && json != "[]").then_some(Self::Json(Cow::Owned(json)))
    }

    /// What the destination's filters leave of it.
    pub(crate) fn narrowed(self, narrow: &Narrow) -> Option<Self> {
        if !self.is_structure() {
            return Some(self);
        }
        let mut json = self.raw().into_owned();
        let without: Vec<&[Box<str>]> = narrow.without.iter().map(|path| &**path).collect();
        json = object::without(&json, &without)?.into_owned();
        if !narrow.only.is_empty() {
            let only: Vec<&[Box<str>]> = narrow.only.iter().map(|path| &**path).collect();
            json = object::only(&json, &only)?.into_owned();
        }
        (json != "{}" && json != "[]").then_some(Self::Json(Cow::Owned(json)))
    }

    /// What stands in for it; nothing when nothing does.
    pub(crate) fn mapped(&self, values: &'v ValueMap) -> Option<Self> {
        let text = self.bare();
        let json = self.raw();
        let known = values.of.iter().find(|(key, _)| text.as_deref() == Some(key) || json == **key);
        known.map(|(_, json)| json).or(values.otherwise.as_ref()).map(|json| Self::json(json))
    }

    /// The SHA-256 of its text, in lower-case hex.
    pub(crate) fn hashed(&self, normaliser: Normaliser) -> Result<Self, Wrong> {
        match self.bare().filter(|_| !self.is_structure()) {
            Some(text) => Ok(Self::Text(Cow::Owned(normaliser.hash(&text)))),
            None => Err(self.wrong("which is no text to be hashed")),
        }
    }
}

/// A point in time: RFC 3339, a date and a time without an offset (UTC), or a number since 1970.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if !is_json_number(text) {
        return Timestamp::parse(text).ok();
    }
    let number: f64 = text.parse().ok().filter(|number: &f64| number.abs() < 1e16)?;
    let micros = if number.abs() < MILLIS_FROM { number * 1e6 } else { number * 1e3 };
    #[allow(clippy::cast_possible_truncation, reason = "it is below 1e19 micros only where it fits: checked above")]
    (micros.abs() < 9e18).then(|| Timestamp::from_micros(micros.round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_is_read_in_every_usual_form() {
        let read = |text| time(text).map(|time| time.to_string());
        for same in
            ["2026-11-24T10:00:00Z", "2026-11-24T11:00:00+01:00", "1795514400", "1795514400000", "2026-11-24T10:00:00"]
        {
            assert_eq!(read(same).as_deref(), Some("2026-11-24T10:00:00.000Z"), "{same}");
        }
        for none in ["", "yesterday", "24.11.2026", "1e300", "true"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}

//! The fields of one event, in either format, read with the types that the vendor's documents give them.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One event's fields in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

#[derive(Debug)]
enum Value<'a> {
    /// `json=true`.
    Json(&'a RawValue),
    /// The line format, where everything is text.
    Line(Cow<'a, str>),
}

/// What was found under a name.
#[derive(Debug, PartialEq)]
pub(crate) enum Got<T> {
    /// The field is not there.
    Missing,
    /// The field is JSON null.
    Null,
    /// A value of the right type.
    Is(T),
    /// The right value, but written as JSON text where the native type belongs.
    AsText(T),
    /// Something else.
    Wrong,
}

/// Why an event of the line format cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("`{0}` is not name=value")]
    NotAPair(String),
    #[error("`{0}` is not percent-encoded UTF-8")]
    Encoding(String),
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// From a JSON object. `None` when the value is something else.
    pub(crate) fn from_json(raw: &'a str) -> Option<Self> {
        serde_json::from_str(raw).ok()
    }

    /// From a line of `name=value&name=value`.
    pub(crate) fn from_line(line: &'a str) -> Result<Self, LineError> {
        let decoded = |part: &'a str| {
            if has_bad_escape(part) {
                return Err(LineError::Encoding(shortened(part)));
            }
            percent_decode_str(part).decode_utf8().map_err(|_| LineError::Encoding(shortened(part)))
        };
        let mut fields = Vec::new();
        for pair in line.split('&') {
            let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
                return Err(LineError::NotAPair(shortened(pair)));
            };
            fields.push((decoded(name)?, Value::Line(decoded(value)?)));
        }
        Ok(Self(fields))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The first name that occurs twice.
    pub(crate) fn doubled(&self) -> Option<&str> {
        self.names().enumerate().find(|(at, name)| self.names().take(*at).any(|other| other == *name)).map(|(_, n)| n)
    }

    pub(crate) fn text(&self, name: &str) -> Got<Cow<'_, str>> {
        match self.get(name) {
            None => Got::Missing,
            Some(Value::Line(text)) => Got::Is(Cow::Borrowed(text)),
            Some(Value::Json(raw)) => match unquoted(raw) {
                Some(text) => Got::Is(text),
                None if raw.get() == "null" => Got::Null,
                None => Got::Wrong,
            },
        }
    }

    /// The text under a name, whatever else may be wrong with it.
    pub(crate) fn text_of(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.text(name) {
            Got::Is(text) => Some(text),
            Got::Missing | Got::Null | Got::AsText(_) | Got::Wrong => None,
        }
    }

    pub(crate) fn integer(&self, name: &str) -> Got<i64> {
        self.read(name, |text| text.parse().ok())
    }

    pub(crate) fn number(&self, name: &str) -> Got<f64> {
        // Rust also reads "inf" and "NaN", which no JSON number is, and 1e999 becomes infinite.
        self.read(name, |text| text.parse().ok().filter(|number: &f64| number.is_finite()))
    }

    pub(crate) fn boolean(&self, name: &str) -> Got<bool> {
        self.read(name, |text| text.parse().ok())
    }

    /// An object or an array.
    pub(crate) fn nested(&self, name: &str) -> Got<serde_json::Value> {
        self.read(name, |text| {
            let value = serde_json::from_str::<serde_json::Value>(text).ok()?;
            (value.is_object() || value.is_array()).then_some(value)
        })
    }

    /// A hash over all fields, whatever their order: two tries at one event have the same.
    pub(crate) fn fingerprint(&self, visitor: Option<&str>) -> u64 {
        let mut sorted: Vec<(&str, &str)> = self
            .0
            .iter()
            .map(|(name, value)| match value {
                Value::Json(raw) => (name.as_ref(), raw.get()),
                Value::Line(text) => (name.as_ref(), text.as_ref()),
            })
            .collect();
        sorted.sort_unstable();
        let mut hasher = DefaultHasher::new();
        sorted.hash(&mut hasher);
        visitor.hash(&mut hasher);
        hasher.finish()
    }

    /// The last one wins, as with most readers.
    fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    fn read<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Got<T> {
        match self.get(name) {
            None => Got::Missing,
            Some(Value::Line(text)) => parse(text).map_or(Got::Wrong, Got::Is),
            Some(Value::Json(raw)) if raw.get() == "null" => Got::Null,
            Some(Value::Json(raw)) => match unquoted(raw) {
                Some(text) => parse(&text).map_or(Got::Wrong, Got::AsText),
                None => parse(raw.get()).map_or(Got::Wrong, Got::Is),
            },
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    fields.push((name, Value::Json(value)));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn unquoted(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(text).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// The decoder leaves a lone `%` as it is; the format asks for an encoded one.
fn has_bad_escape(text: &str) -> bool {
    text.match_indices('%').any(|(at, _)| {
        !matches!(text.as_bytes().get(at + 1..at + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    })
}

pub(crate) fn shortened(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(57).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_values_are_read_by_type_and_text_is_told_from_native() {
        let fields =
            Fields::from_json(r#"{"a":41877,"b":"41877","c":41877.0,"d":null,"e":"caf\u00e9 \"x\""}"#).unwrap();
        assert_eq!(fields.integer("a"), Got::Is(41877));
        assert_eq!(fields.integer("b"), Got::AsText(41877));
        assert_eq!(fields.integer("c"), Got::Wrong);
        assert_eq!(fields.number("c"), Got::Is(41877.0));
        assert_eq!(fields.integer("d"), Got::Null);
        assert_eq!(fields.integer("z"), Got::Missing);
        assert_eq!(fields.text("e"), Got::Is("caf\u{e9} \"x\"".into()));
        assert_eq!(fields.text("a"), Got::Wrong);
        assert!(Fields::from_json("[1]").is_none());
    }

    #[test]
    fn numbers_that_json_does_not_have_are_wrong() {
        let fields = Fields::from_json(r#"{"a":"NaN","b":"inf","c":1e999,"d":"-0.5"}"#).unwrap();
        assert_eq!(fields.number("a"), Got::Wrong);
        assert_eq!(fields.number("b"), Got::Wrong);
        assert_eq!(fields.number("c"), Got::Wrong);
        assert_eq!(fields.number("d"), Got::AsText(-0.5));
    }

    #[test]
    fn lines_are_decoded_and_typed_from_text() {
        let fields = Fields::from_line("goalId=41877&metadata=%7B%226%22%3A%5B%22a%2Bb%22%5D%7D&title=a+b").unwrap();
        assert_eq!(fields.integer("goalId"), Got::Is(41877));
        assert_eq!(fields.nested("metadata"), Got::Is(serde_json::json!({"6": ["a+b"]})));
        assert_eq!(fields.text("title"), Got::Is("a+b".into()), "a plus is a plus");
        assert!(Fields::from_line("goalId").is_err());
        assert!(Fields::from_line("a=%zz").is_err());
        assert!(Fields::from_line("a=%ff").is_err());
    }

    #[test]
    fn the_fingerprint_does_not_depend_on_the_order() {
        let one = Fields::from_json(r#"{"a":1,"b":"x"}"#).unwrap();
        let two = Fields::from_json(r#"{"b":"x","a":1}"#).unwrap();
        let other = Fields::from_json(r#"{"b":"x","a":2}"#).unwrap();
        assert_eq!(one.fingerprint(None), two.fingerprint(None));
        assert_ne!(one.fingerprint(None), other.fingerprint(None));
        assert_ne!(one.fingerprint(None), one.fingerprint(Some("v")));
    }

    #[test]
    fn a_field_that_is_given_twice_is_found() {
        assert_eq!(Fields::from_json(r#"{"a":1,"b":2,"a":3}"#).unwrap().doubled(), Some("a"));
        assert_eq!(Fields::from_json(r#"{"a":1,"b":2}"#).unwrap().doubled(), None);
    }
}

//! A value on its way from the event to the item: shaping and checking.

use std::borrow::Cow;
use std::cmp::Ordering;

use anole_event::write_json_str;

use crate::number::{self, compare, integer, number};
use crate::read::unquote;
use crate::shape::time;
use crate::{Case, Check, Kind, Shape};

/// The most characters of a value that a detail shows.
const MAX_SHOWN: usize = 60;

/// A value on its way: JSON as it was written, or a text that is not yet quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got<'v> {
    Json(Cow<'v, str>),
    Text(Cow<'v, str>),
}

/// A value that cannot be used: as a person reads it, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) shown: String,
    pub(crate) what: String,
}

// === impl Got ===

impl<'v> Got<'v> {
    pub(crate) fn json(raw: &'v str) -> Self {
        Self::Json(Cow::Borrowed(raw))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Json(json) => out.extend_from_slice(json.as_bytes()),
            Self::Text(text) => write_json_str(out, text),
        }
    }

    /// The text of a text; others stay what they are.
    fn into_text(self) -> Result<Cow<'v, str>, Self> {
        let Self::Json(raw) = self else {
            return match self {
                Self::Text(text) => Ok(text),
                json @ Self::Json(_) => Err(json),
            };
        };
        if !raw.starts_with('"') {
            return Err(Self::Json(raw));
        }
        match raw {
            Cow::Borrowed(raw) => unquote(raw).ok_or(Self::json(raw)),
            Cow::Owned(raw) => match unquote(&raw).map(Cow::into_owned) {
                Some(text) => Ok(Cow::Owned(text)),
                None => Err(Self::Json(Cow::Owned(raw))),
            },
        }
    }

    pub(crate) fn is_text(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Json(json) => json.starts_with('"'),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Json(json) if json == "null")
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Json(json) => json == "\"\"",
        }
    }

    /// As a person reads it, but not all of a long one.
    fn shown(&self) -> String {
        let whole = match self {
            Self::Json(json) => json.to_string(),
            Self::Text(text) => format!("\"{text}\""),
        };
        match whole.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}…", &whole[..end]),
            None => whole,
        }
    }

    pub(crate) fn wrong(&self, what: impl Into<String>) -> Wrong {
        Wrong { shown: self.shown(), what: what.into() }
    }

    /// Shapes a value. `own` is the type of its field, which a rule's `absolute` relies on.
    pub(crate) fn shaped(self, shape: &'v Shape, own: Option<Kind>) -> Result<Option<Self>, Wrong> {
        let Some(mut value) = self.structured(shape) else { return Ok(None) };
        let rewords = shape.trim || shape.strip_prefix.is_some() || shape.case.is_some() || shape.max_length.is_some();
        if rewords && value.is_text() {
            value = value.into_text().map_or_else(|other| other, |text| Self::Text(reworded(text, shape)));
            if value.is_empty() && !shape.keep_empty {
                return Ok(None);
            }
        }
        if let Some(values) = &shape.values {
            match value.mapped(values) {
                Some(mapped) => value = mapped,
                None => return Ok(None),
            }
        }
        if let Some(normaliser) = shape.sha256
            && !value.is_null()
        {
            value = value.hashed(normaliser)?;
        }
        let kind = shape.kind.or(if shape.absolute || shape.round.is_some() { own } else { None });
        if let Some(kind) = kind {
            value = value.coerced(kind)?;
        }
        if shape.absolute
            && let Self::Json(json) = &value
            && let Some(positive) = json.strip_prefix('-')
        {
            value = Self::Json(Cow::Owned(positive.to_owned()));
        }
        if let Some(digits) = shape.round
            && let Self::Json(json) = &value
            && let Some(rounded) = number::round(json, digits)
        {
            value = Self::Json(Cow::Owned(rounded));
        }
        Ok(Some(value))
    }

    /// Turns a value into a type, if it can be read as one.
    pub(crate) fn coerced(self, kind: Kind) -> Result<Self, Wrong> {
        if self.is_null() || (kind == Kind::Text && self.is_text()) {
            return Ok(self);
        }
        self.read_as(kind).ok_or_else(|| self.wrong(format!("which is {}", kind.negated())))
    }

    fn read_as(&self, kind: Kind) -> Option<Self> {
        let was_text = self.is_text();
        if kind == Kind::JsonText {
            return Some(Self::Text(Cow::Owned(self.raw().into_owned())));
        }
        let text = self.bare()?;
        let json = match kind {
            Kind::Text if text.starts_with(['{', '[']) => return None,
            Kind::Text => return Some(Self::Text(text)),
            Kind::Number => read(text, |text| number(text).map(Cow::Borrowed)),
            Kind::Integer => read(text, integer),
            Kind::IsoTime => return Some(Self::Text(Cow::Owned(time(&text)?.to_string()))),
            Kind::UnixSeconds => Some(Cow::Owned(time(&text)?.micros().div_euclid(1_000_000).to_string())),
            Kind::UnixMillis => Some(Cow::Owned(time(&text)?.micros().div_euclid(1_000).to_string())),
            Kind::JsonText => None,
            Kind::Boolean => read(text, |text| match text {
                "true" | "false" => Some(Cow::Borrowed(text)),
                "True" | "TRUE" if was_text => Some(Cow::Borrowed("true")),
                "False" | "FALSE" if was_text => Some(Cow::Borrowed("false")),
                _ => None,
            }),
        };
        json.map(Self::Json)
    }

    /// A text without its quotes, and other values as they are written.
    pub(crate) fn bare(&self) -> Option<Cow<'v, str>> {
        match self {
            Self::Json(Cow::Borrowed(raw)) if raw.starts_with('"') => unquote(raw),
            Self::Json(raw) if raw.starts_with('"') => unquote(raw).map(|text| Cow::Owned(text.into_owned())),
            Self::Json(raw) => Some(raw.clone()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// Checks a value, giving it the field's type first.
    pub(crate) fn checked(self, check: &Check) -> Result<Self, Wrong> {
        let value = match check.kind {
            Some(kind) => self.coerced(kind)?,
            None => self,
        };
        if value.is_null() {
            return Ok(value);
        }
        let beyond = |bound: &Option<Box<str>>, side: Ordering| {
            let bound = bound.as_deref()?;
            let Self::Json(json) = &value else { return Some(bound.to_owned()) };
            compare(json, bound).is_none_or(|order| order == side).then(|| bound.to_owned())
        };
        if let Some(min) = beyond(&check.min, Ordering::Less) {
            return Err(value.wrong(format!("but must be at least {min}")));
        }
        if let Some(max) = beyond(&check.max, Ordering::Greater) {
            return Err(value.wrong(format!("but must be at most {max}")));
        }
        if check.url && !(value.is_text() && value.bare().is_some_and(|text| is_url(&text))) {
            return Err(value.wrong("which is no absolute http or https address"));
        }
        Ok(value)
    }
}

/// Reads a number or a boolean out of a text, borrowing where that goes.
fn read<'v>(text: Cow<'v, str>, with: impl FnOnce(&str) -> Option<Cow<'_, str>>) -> Option<Cow<'v, str>> {
    let trimmed = text.trim();
    let digits = with(trimmed)?;
    if digits.len() == text.len() {
        // What is as long as the text is the text: nothing here makes a value longer or puts others in its place but for
        // the case of a boolean.
        return Some(if *digits == *text { text } else { Cow::Owned(digits.into_owned()) });
    }
    Some(Cow::Owned(digits.into_owned()))
}

fn reworded<'v>(text: Cow<'v, str>, shape: &Shape) -> Cow<'v, str> {
    let (mut start, mut end) = (0, text.len());
    if shape.trim {
        start = text.len() - text.trim_start().len();
        end = start + text.trim().len();
    }
    if let Some(prefix) = &shape.strip_prefix
        && text[start..end].starts_with(&**prefix)
    {
        start += prefix.len();
    }
    if let Some(most) = shape.max_length
        && let Some((cut, _)) = text[start..end].char_indices().nth(most)
    {
        end = start + cut;
    }
    let narrow = &text[start..end];
    match shape.case {
        Some(Case::Lower) => Cow::Owned(narrow.to_lowercase()),
        Some(Case::Upper) => Cow::Owned(narrow.to_uppercase()),
        None if narrow.len() == text.len() => text,
        None => Cow::Owned(narrow.to_owned()),
    }
}

/// An absolute http or https address with a host, and without blanks. Vendors read addresses with parsers of their own, so
/// only what all of them must agree on is asked.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
        && host.starts_with(|c: char| c.is_alphanumeric() || c == '[')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coerced(json: &str, kind: Kind) -> Result<String, String> {
        let written = |got: Got<'_>| {
            let mut out = Vec::new();
            got.write(&mut out);
            String::from_utf8(out).expect("UTF-8")
        };
        Got::json(json).coerced(kind).map(written).map_err(|wrong| format!("{}, {}", wrong.shown, wrong.what))
    }

    #[test]
    fn a_number_keeps_its_digits_whether_it_came_as_text_or_not() {
        for (json, number) in [
            ("23.50", "23.50"),
            ("\"23.50\"", "23.50"),
            ("\" 23.50 \"", "23.50"),
            ("1e3", "1e3"),
            ("\"1e3\"", "1e3"),
            ("12345678901234567890", "12345678901234567890"),
            ("\"2\\u0033.50\"", "23.50"),
            ("null", "null"),
        ] {
            assert_eq!(coerced(json, Kind::Number).as_deref(), Ok(number), "{json}");
        }
        for bad in
            ["\"NaN\"", "\"Infinity\"", "1e999", "\"12 EUR\"", "\"1,234.50\"", "true", "{}", "[1]", "\"\"", "\"0x10\""]
        {
            assert!(coerced(bad, Kind::Number).is_err(), "{bad}");
        }
        assert_eq!(coerced("\"abc\"", Kind::Number), Err("\"abc\", which is no finite number".to_owned()));
    }

    #[test]
    fn other_types_are_read_strictly() {
        assert_eq!(coerced("\"36151\"", Kind::Integer).as_deref(), Ok("36151"));
        assert_eq!(coerced("36151.0", Kind::Integer).as_deref(), Ok("36151"));
        assert_eq!(coerced("36151.5", Kind::Integer), Err("36151.5, which is no whole number".to_owned()));
        assert_eq!(coerced("\"True\"", Kind::Boolean).as_deref(), Ok("true"));
        assert_eq!(coerced("\" false \"", Kind::Boolean).as_deref(), Ok("false"));
        assert_eq!(coerced("1", Kind::Boolean), Err("1, which is neither true nor false".to_owned()));
        assert_eq!(coerced("23.50", Kind::Text).as_deref(), Ok("\"23.50\""));
        assert_eq!(coerced("true", Kind::Text).as_deref(), Ok("\"true\""));
        assert_eq!(coerced("\"a\\u00e9\"", Kind::Text).as_deref(), Ok("\"a\\u00e9\""), "kept as it was written");
        assert_eq!(coerced("{}", Kind::Text), Err("{}, which is no text".to_owned()));
    }

    #[test]
    fn texts_are_reworded_and_other_values_pass() {
        let shape = Shape {
            trim: true,
            strip_prefix: Some("x-".into()),
            case: Some(Case::Upper),
            max_length: Some(3),
            ..Shape::default()
        };
        let shaped = |json| Got::json(json).shaped(&shape, None).map(|got| got.map(|got| got.shown()));
        assert_eq!(shaped("\"  x-äbcd \""), Ok(Some("\"ÄBC\"".to_owned())));
        assert_eq!(shaped("\" x- \""), Ok(None), "nothing is left");
        assert_eq!(shaped("12.5"), Ok(Some("12.5".to_owned())));
        let absolute = Shape { absolute: true, ..Shape::default() };
        let absolute =
            |json| Got::json(json).shaped(&absolute, Some(Kind::Number)).map(|got| got.map(|got| got.shown()));
        assert_eq!(absolute("\"-23.50\""), Ok(Some("23.50".to_owned())));
        assert_eq!(absolute("23.50"), Ok(Some("23.50".to_owned())));
    }

    #[test]
    fn bounds_and_addresses_are_checked() {
        let goal = Check {
            kind: Some(Kind::Integer),
            min: Some("1".into()),
            max: Some("2147483647".into()),
            ..Check::default()
        };
        let checked = |json, check: &Check| {
            Got::json(json).checked(check).map_err(|wrong| format!("{}, {}", wrong.shown, wrong.what))
        };
        assert!(checked("\"2147483647\"", &goal).is_ok());
        assert_eq!(checked("2147483648", &goal).err().as_deref(), Some("2147483648, but must be at most 2147483647"));
        assert_eq!(checked("0", &goal).err().as_deref(), Some("0, but must be at least 1"));
        let bare = Check { min: Some("0".into()), ..Check::default() };
        assert!(checked("\"5\"", &bare).is_err(), "without a type a text is no number");
        let url = Check { url: true, ..Check::default() };
        for good in
            ["\"https://example.com/checkout\"", "\"HTTP://x\"", "\"http://[::1]:80/?q=1\"", "\"https:\\/\\/a.b\""]
        {
            assert!(checked(good, &url).is_ok(), "{good}");
        }
        for bad in [
            "\"/checkout\"",
            "\"ftp://x/\"",
            "\"https://\"",
            "\"https:///path\"",
            "\"https://a b/\"",
            "5",
            "\"https://?\"",
        ] {
            assert!(checked(bad, &url).is_err(), "{bad}");
        }
    }
}

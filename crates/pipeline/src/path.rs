//! Where a value stands in an event: `properties.cart.id`.
//!
//! A step is a key, or the number of a place in a list (`properties.products.0.sku`). A key that holds a dot, a quote, a
//! blank or a brace is written in double quotes: `properties."my.key"`. Within quotes, `\"` is a quote and `\\` a backslash.

use std::fmt;
use std::hash::Hash;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The most steps that a path may have.
const MAX_STEPS: usize = 32;

/// A path into an event. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Box<[Box<str>]>);

/// A text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is nothing.
    #[error("a path is missing: write one such as properties.revenue")]
    Empty,
    /// There is a dot at the start, at the end, or beside another.
    #[error("a step is missing beside a dot")]
    EmptyStep,
    /// A character that only stands in quotes.
    #[error("`{0}` may only stand within double quotes: properties.\"my key\"")]
    Character(char),
    /// A quote is not closed, or something other than a dot follows it.
    #[error("a double quote is not closed")]
    Quote,
    /// Too many steps.
    #[error("a path has at most {MAX_STEPS} steps")]
    TooLong,
}

// === impl Path ===

impl Path {
    /// Reads a written path.
    ///
    /// # Errors
    /// When the text is no path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (step, left) = if rest.starts_with('"') { quoted(rest)? } else { bare(rest)? };
            if steps.len() == MAX_STEPS {
                return Err(PathError::TooLong);
            }
            steps.push(step);
            match left.strip_prefix('.') {
                Some(left) => rest = left,
                None if left.is_empty() => return Ok(Self(steps.into())),
                None => return Err(PathError::Quote),
            }
        }
    }

    /// The path of these steps.
    ///
    /// # Errors
    /// When there are none, or too many.
    pub fn of(steps: Vec<String>) -> Result<Self, PathError> {
        match steps.len() {
            0 => Err(PathError::Empty),
            1..=MAX_STEPS => Ok(Self(steps.into_iter().map(Into::into).collect())),
            _ => Err(PathError::TooLong),
        }
    }

    /// The first step: `properties`.
    #[must_use]
    pub fn root(&self) -> &str {
        self.0.first().map_or("", |root| root)
    }

    /// The steps behind the first.
    #[must_use]
    pub fn rest(&self) -> &[Box<str>] {
        self.0.get(1..).unwrap_or_default()
    }

    /// All steps.
    #[must_use]
    pub fn steps(&self) -> &[Box<str>] {
        &self.0
    }
}

fn bare(text: &str) -> Result<(Box<str>, &str), PathError> {
    let end = text.find('.').unwrap_or(text.len());
    let (step, rest) = text.split_at(end);
    if step.is_empty() {
        return Err(PathError::EmptyStep);
    }
    match step.chars().find(|c| is_special(*c)) {
        Some(special) => Err(PathError::Character(special)),
        None => Ok((step.into(), rest)),
    }
}

fn quoted(text: &str) -> Result<(Box<str>, &str), PathError> {
    let mut step = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((step.into(), &text[at + 1..])),
            '\\' => step.push(chars.next().ok_or(PathError::Quote)?.1),
            other => step.push(other),
        }
    }
    Err(PathError::Quote)
}

fn is_special(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\' | '{' | '}' | '[' | ']' | '*' | '?')
}

/// The path as it is written.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            if step.is_empty() || step.contains(|c| c == '.' || is_special(c)) {
                write!(f, "\"{}\"", step.replace('\\', "\\\\").replace('"', "\\\""))?;
            } else {
                f.write_str(step)?;
            }
        }
        Ok(())
    }
}

/// Looks a value up in a JSON text and gives it as it was written; `None` when it is not there or the text is no JSON.
///
/// For the few look-ups of ingest. A plan reads all its paths at once. Of equal keys the last one holds.
#[must_use]
pub fn find<'a>(json: &'a str, path: &[impl AsRef<str>]) -> Option<&'a str> {
    let mut at = json.trim_ascii();
    for step in path {
        at = member(at, step.as_ref())?;
    }
    Some(at)
}

/// One step into an object or a list.
pub(crate) fn member<'a>(json: &'a str, step: &str) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    match json.as_bytes().first()? {
        b'{' => deserializer.deserialize_map(Member(step)).ok()?,
        b'[' => deserializer.deserialize_seq(Item(step.parse().ok()?)).ok()?,
        _ => None,
    }
}

struct Member<'s>(&'s str);

struct IsKey<'s>(&'s str);

struct Item(usize);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_key) = map.next_key_seed(IsKey(self.0))? {
            if is_key {
                found = Some(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

impl<'de> Visitor<'de> for Item {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut index, mut found) = (0, None);
        while let Some(item) = list.next_element::<&RawValue>()? {
            if index == self.0 {
                found = Some(item.get());
            }
            index += 1;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_printed_as_it_is_written() {
        for text in
            ["properties", "properties.a.b", "context.page.url", "properties.products.0.sku", "traits.\"my.key\".x"]
        {
            assert_eq!(Path::parse(text).map(|path| path.to_string()).as_deref(), Ok(text));
        }
        let path = Path::parse(r#"properties."a \"b\" \\ c"#.to_owned().as_str());
        assert_eq!(path, Err(PathError::Quote));
        let path = Path::parse(r#"properties."a \"b\" \\ c""#).expect("a path");
        assert_eq!((path.root(), &*path.rest()[0]), ("properties", r#"a "b" \ c"#));
        assert_eq!(path.to_string(), r#"properties."a \"b\" \\ c""#);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        assert_eq!(Path::parse(""), Err(PathError::Empty));
        for text in [".", "a.", ".a", "a..b"] {
            assert_eq!(Path::parse(text), Err(PathError::EmptyStep), "{text}");
        }
        assert_eq!(Path::parse("a b"), Err(PathError::Character(' ')));
        assert_eq!(Path::parse("a[0]"), Err(PathError::Character('[')));
        assert_eq!(Path::parse("a.*"), Err(PathError::Character('*')));
        assert_eq!(Path::parse("\"a\"b"), Err(PathError::Quote));
        assert_eq!(Path::parse(&vec!["a"; 33].join(".")), Err(PathError::TooLong));
    }

    #[test]
    fn a_value_is_found_as_it_was_written() {
        let json = r#" {"a":{"b":23.50,"c":[1,{"d":"x\"y"}]},"k\u0065y":null,"a2":1e999} "#;
        assert_eq!(find(json, &["a", "b"]), Some("23.50"));
        assert_eq!(find(json, &["a", "c", "1", "d"]), Some(r#""x\"y""#));
        assert_eq!(find(json, &["key"]), Some("null"), "escapes in keys are read");
        assert_eq!(find(json, &["a", "x"]), None);
        assert_eq!(find(json, &["a", "b", "c"]), None, "a number has no members");
        assert_eq!(find(json, &["a", "c", "7"]), None);
        assert_eq!(find(r#"{"a":1,"a":2}"#, &["a"]), Some("2"), "the last of equal keys holds");
        assert_eq!(find("{\"a\":", &["a"]), None);
        assert_eq!(find("", &["a"]), None);
    }
}

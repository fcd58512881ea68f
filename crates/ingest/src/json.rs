//! Reading JSON without taking it apart: values stay the slices that the client wrote.
//!
//! serde_json walks a raw value without recursion and without looking at what escapes mean, which is why it is lean; two
//! things are therefore checked here. A value that nests deeper than [`MAX_DEPTH`] is refused, as everything behind the
//! journal parses with recursion and stops at 128. And an escape that is half of a surrogate pair (`\ud83d` alone, which
//! is what cutting a text in the middle of an emoji gives) is refused, as no parser behind the journal could read it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// How deep an event may nest, its own braces included.
pub(crate) const MAX_DEPTH: usize = 100;

/// How many members the outer level of an object may have where we look at each: `context`, and what a GA4 event calls
/// parameters. More is a mistake, and looking for a key among them is linear.
pub(crate) const MAX_MEMBERS: usize = 256;

/// A key of an object, borrowed where it has no escapes.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

/// One member of an object.
#[derive(Clone, Debug)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: &'a RawValue,
}

/// The outer level of an object, its values as they were written.
#[derive(Clone, Debug, Default)]
pub(crate) enum Object<'a> {
    /// It is not there, or `null`.
    #[default]
    Absent,
    /// Its members in order; of two with one key the last one stands.
    Members(Vec<Member<'a>>),
    /// It has more than [`MAX_MEMBERS`] members.
    TooMany,
    /// It is something else.
    Wrong,
}

/// The elements of an array, each as it was written; those beyond a limit are counted only.
#[derive(Debug, Default)]
pub(crate) struct Elements<'a> {
    pub(crate) list: Vec<&'a RawValue>,
    pub(crate) over: usize,
}

/// What a raw value says where a text is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text<'a> {
    /// `null`, or the empty text: as good as not there.
    Absent,
    /// A text; a number counts as one, with the digits it was written with.
    Is(Cow<'a, str>),
    /// Something else.
    Wrong,
}

/// A value of an object in the making.
#[derive(Clone, Debug)]
pub(crate) enum Part<'a> {
    /// What the client wrote.
    Raw(&'a RawValue),
    /// A text.
    Text(Cow<'a, str>),
    /// `true` or `false`.
    Bool(bool),
    /// An object.
    Object(Parts<'a>),
    /// An array.
    List(Vec<Part<'a>>),
}

/// An object in the making: what was there, and what was changed or added. That no key comes twice is the caller's
/// concern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts<'a>(pub(crate) Vec<(Cow<'a, str>, Part<'a>)>);

// === impl Key ===

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    /// The members; none when it is absent.
    pub(crate) fn members(&self) -> &[Member<'a>] {
        match self {
            Self::Members(members) => members,
            Self::Absent | Self::TooMany | Self::Wrong => &[],
        }
    }

    /// The value of a key; `null` counts as not there.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.members()
            .iter()
            .find(|member| member.key == key)
            .map(|member| member.value)
            .filter(|value| !is_null(value))
    }

    /// Takes the outer level of a raw value apart.
    pub(crate) fn of(raw: &'a RawValue) -> Self {
        // What is raw has been parsed once, so a failure means a key that is no text: half of a surrogate pair.
        serde_json::from_str(raw.get()).unwrap_or(Object::Wrong)
    }

    /// How many bytes its members have.
    pub(crate) fn bytes(&self) -> usize {
        self.members().iter().map(|member| member.key.len() + member.value.get().len() + 4).sum()
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<Member<'de>> = Vec::with_capacity(12);
        while let Some(Key(key)) = map.next_key()? {
            let value = map.next_value()?;
            if members.len() == MAX_MEMBERS {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Object::TooMany);
            }
            put(&mut members, key, value);
        }
        Ok(Object::Members(members))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Object::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Object::Wrong)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Object::Wrong)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Object::Wrong)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Object::Wrong)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Object::Wrong)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Object::Wrong)
    }
}

/// Puts a member into a list; the last one of a key stands, where the first one stood.
pub(crate) fn put<'a>(members: &mut Vec<Member<'a>>, key: Cow<'a, str>, value: &'a RawValue) {
    match members.iter_mut().find(|member| member.key == key) {
        Some(member) => member.value = value,
        None => members.push(Member { key, value }),
    }
}

// === impl Elements ===

impl<'a> Elements<'a> {
    /// The elements of a raw value, at most so many; `None` when it is no array.
    pub(crate) fn of(raw: &'a RawValue, most: usize) -> Option<Self> {
        serde_json::Deserializer::from_str(raw.get()).deserialize_seq(ElementsVisitor(most)).ok()
    }
}

struct ElementsVisitor(usize);

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Elements::default();
        while elements.list.len() < self.0 {
            match seq.next_element()? {
                Some(element) => elements.list.push(element),
                None => return Ok(elements),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            elements.over += 1;
        }
        Ok(elements)
    }
}

// === impl Text ===

impl<'a> Text<'a> {
    /// Reads a raw value as text.
    pub(crate) fn of(raw: &'a RawValue) -> Self {
        Self::of_json(raw.get())
    }

    /// Reads a JSON value without white space around it as text.
    pub(crate) fn of_json(json: &'a str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => {
                let inner = &json[1..json.len() - 1];
                let text = if inner.contains('\\') {
                    match serde_json::from_str::<String>(json) {
                        Ok(text) => Cow::Owned(text),
                        Err(_) => return Self::Wrong,
                    }
                } else {
                    Cow::Borrowed(inner)
                };
                if text.is_empty() { Self::Absent } else { Self::Is(text) }
            }
            Some(b'n') => Self::Absent,
            Some(b'-' | b'0'..=b'9') => Self::Is(Cow::Borrowed(json)),
            _ => Self::Wrong,
        }
    }

    /// The text, where there is one.
    pub(crate) fn ok(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Is(text) => Some(text),
            Self::Absent | Self::Wrong => None,
        }
    }
}

// === impl Parts ===

impl<'a> Parts<'a> {
    /// Adds a member.
    pub(crate) fn push(&mut self, key: impl Into<Cow<'a, str>>, part: Part<'a>) {
        self.0.push((key.into(), part));
    }

    /// Whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// The JSON. Members are not parsed again: they are JSON already.
    pub(crate) fn to_raw(&self) -> Option<Box<RawValue>> {
        // Writing into memory what is JSON already cannot fail; if it did, the object would be left out.
        to_raw_value(self).ok()
    }
}

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, part) in &self.0 {
            map.serialize_entry(&**key, part)?;
        }
        map.end()
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Raw(raw) => raw.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Object(parts) => parts.serialize(serializer),
            Self::List(parts) => serializer.collect_seq(parts),
        }
    }
}

/// Whether a raw value is `null`.
pub(crate) fn is_null(raw: &RawValue) -> bool {
    raw.get().as_bytes().first() == Some(&b'n')
}

/// Whether a raw value is an object.
pub(crate) fn is_object(raw: &RawValue) -> bool {
    raw.get().as_bytes().first() == Some(&b'{')
}

/// Whether a JSON text nests deeper than this.
pub(crate) fn is_deeper(json: &str, most: usize) -> bool {
    // Each level costs two bytes, and most values are shorter or have fewer brackets in all: the exact count is rare.
    json.len() >= 2 * most && opening(json) > most && depth(json) > most
}

/// How many opening brackets there are, those within texts included.
fn opening(json: &str) -> usize {
    // `[` and `{` differ in the bit 0x20 only, and nothing else becomes `{` by it. In pieces that a byte can count, so that
    // the compiler takes many bytes at once.
    let is_opening = |byte: &u8| u8::from(*byte | 0x20 == b'{');
    let pieces = json.as_bytes().chunks(255);
    pieces.map(|piece| usize::from(piece.iter().map(is_opening).sum::<u8>())).sum()
}

fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether a JSON text holds an escape that is half of a surrogate pair.
pub(crate) fn has_lone_surrogate(json: &str) -> bool {
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        rest = &rest[at..];
        match unit(rest) {
            Some(0xd800..=0xdbff) => {
                if !matches!(rest.get(6..).and_then(unit), Some(0xdc00..=0xdfff)) {
                    return true;
                }
                rest = rest.get(12..).unwrap_or_default();
            }
            Some(0xdc00..=0xdfff) => return true,
            Some(_) => rest = rest.get(6..).unwrap_or_default(),
            None => rest = rest.get(2..).unwrap_or_default(),
        }
    }
    false
}

/// The UTF-16 unit of the `\uXXXX` that a text begins with.
fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).expect("JSON")
    }

    #[test]
    fn a_text_may_be_written_as_a_number_and_is_never_anything_else() {
        let cases = [
            (r#""u-42""#, Text::Is("u-42".into())),
            (r#""\u0061""#, Text::Is("a".into())),
            ("12345678901234567890123", Text::Is("12345678901234567890123".into())),
            ("-1.50", Text::Is("-1.50".into())),
            ("null", Text::Absent),
            (r#""""#, Text::Absent),
            ("true", Text::Wrong),
            ("{}", Text::Wrong),
            ("[]", Text::Wrong),
            (r#""\ud800""#, Text::Wrong),
        ];
        for (json, expected) in cases {
            assert_eq!(Text::of(raw(json)), expected, "{json}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_stands() {
        let object: Object<'_> = serde_json::from_str(r#"{"a":1,"b":2,"\u0061":3}"#).expect("JSON");
        assert_eq!(object.members().len(), 2);
        assert_eq!(object.get("a").map(RawValue::get), Some("3"));
    }

    #[test]
    fn an_object_with_too_many_members_is_told_from_one_that_is_none() {
        let many = format!("{{{}\"z\":1}}", (0..MAX_MEMBERS).map(|n| format!("\"k{n}\":0,")).collect::<String>());
        assert!(matches!(serde_json::from_str(&many).expect("JSON"), Object::TooMany));
        for wrong in ["[1,{}]", "true", "1", "-1", "1.5", "\"x\""] {
            assert!(matches!(serde_json::from_str(wrong).expect("JSON"), Object::Wrong), "{wrong}");
        }
        assert!(matches!(serde_json::from_str("null").expect("JSON"), Object::Absent));
    }

    #[test]
    fn elements_beyond_the_limit_are_only_counted() {
        let elements = Elements::of(raw("[1,[2],3,4]"), 2).expect("an array");
        assert_eq!((elements.list.len(), elements.over, elements.list[1].get()), (2, 2, "[2]"));
        assert!(Elements::of(raw("{}"), 2).is_none() && Elements::of(raw("[]"), 2).is_some());
    }

    #[test]
    fn nesting_is_counted_outside_of_texts_only() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_deeper(&deep(MAX_DEPTH), MAX_DEPTH));
        assert!(is_deeper(&deep(MAX_DEPTH + 1), MAX_DEPTH));
        assert!(!is_deeper(&format!("\"\\\"{}\"", "[".repeat(5000)), MAX_DEPTH));
        assert!(!is_deeper(&format!("[{}]", vec!["[]"; 5000].join(",")), MAX_DEPTH));
        assert_eq!(opening(&"{[;[".repeat(300)), 900);
        assert_eq!((0..=255_u8).filter(|byte| byte | 0x20 == b'{').collect::<Vec<_>>(), b"[{");
    }

    #[test]
    fn half_of_a_surrogate_pair_is_found_and_a_whole_one_is_not() {
        for whole in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\u0041\n\"""#, r#""""#, r#""\\\\ud83d x""#] {
            assert!(!has_lone_surrogate(whole), "{whole}");
        }
        for half in [r#""\ud83d""#, r#""\ude00\ud83d""#, r#""\uD83Dx\uDE00""#, r#""\\\ud83d""#, r#""\ud83d\n""#] {
            assert!(has_lone_surrogate(half), "{half}");
        }
    }

    #[test]
    fn parts_are_written_as_they_were_and_texts_are_escaped() {
        let mut parts = Parts::default();
        parts.push("n", Part::Raw(raw("23.50")));
        parts.push("t", Part::Text("a \"b\"".into()));
        let inner = Parts(vec![("u".into(), Part::Raw(raw("[ 1 ]")))]);
        parts.push("o", Part::List(vec![Part::Object(inner), Part::Raw(raw("7"))]));
        assert_eq!(parts.to_raw().expect("JSON").get(), r#"{"n":23.50,"t":"a \"b\"","o":[{"u":[ 1 ]},7]}"#);
    }
}

//! JSON as a tree, its numbers as they were written.

use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Json {
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.as_bytes()[0] {
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'"' => Self::Text(serde_json::from_str(text).expect("a text")),
            b'[' => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(text).expect("a list");
                Self::List(items.iter().map(|item| Self::parse(item.get())).collect())
            }
            b'{' => {
                let Members(members) = serde_json::from_str(text).expect("an object");
                let mut all: Vec<(String, Self)> = Vec::new();
                for (key, value) in members {
                    let value = Self::parse(value.get());
                    match all.iter_mut().find(|(known, _)| *known == key) {
                        Some(known) => known.1 = value,
                        None => all.push((key, value)),
                    }
                }
                Self::Object(all)
            }
            _ => Self::Number(text.to_owned()),
        }
    }

    pub(crate) fn write(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(digits) => digits.clone(),
            Self::Text(text) => serde_json::to_string(text).expect("a text"),
            Self::List(items) => format!("[{}]", items.iter().map(Self::write).collect::<Vec<_>>().join(",")),
            Self::Object(members) => {
                let pairs = members
                    .iter()
                    .map(|(key, value)| format!("{}:{}", serde_json::to_string(key).expect("a key"), value.write()));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
            }
        }
    }

    /// One step by key or place.
    pub(crate) fn step(&self, step: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == step).map(|(_, value)| value),
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        }
    }
}

fn leaf() -> BoxedStrategy<Json> {
    let text = prop::sample::select(vec!["", " x-Ab ", "x-", "12.50", "-3", "1e3", "true", "a\"b", "é", "NaN", "a"]);
    let number = prop::sample::select(vec!["0", "-0", "23.50", "1e3", "-7", "12345678901234567890", "2.675", "5.0"]);
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        text.prop_map(|text| Json::Text(text.to_owned())),
        number.prop_map(|digits| Json::Number(digits.to_owned())),
    ]
    .boxed()
}

pub(crate) fn value() -> BoxedStrategy<Json> {
    leaf()
        .prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Json::List),
                members(inner).prop_map(Json::Object),
            ]
        })
        .boxed()
}

fn members(inner: BoxedStrategy<Json>) -> BoxedStrategy<Vec<(String, Json)>> {
    let key = prop::sample::select(vec!["a", "b", "c"]);
    prop::collection::btree_map(key, inner, 0..4)
        .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        .boxed()
}

pub(crate) fn object() -> BoxedStrategy<Json> {
    members(value()).prop_map(Json::Object).boxed()
}

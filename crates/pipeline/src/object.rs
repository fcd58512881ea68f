//! Objects as they were written: taking members away, keeping some, flattening, laying one over another.
//!
//! A path steps through objects by key and through lists by place. Where a path meets a list and its next step is no number,
//! it goes on in every element: `products.price` is the price of each product. Of equal keys the last one holds.

use std::borrow::Cow;
use std::fmt;

use anole_event::write_json_str;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

type Steps<'p> = &'p [Box<str>];

/// How deep an event is followed: its nesting is the client's, and each level takes of a lane's stack. Ingest takes no deeper ones. What stands deeper is
/// taken away where something was to be taken away, is not kept where something was to be kept, and is not flattened.
const MAX_DEPTH: usize = 128;

/// The members of an object, in the order in which their keys first stand.
pub(crate) struct Members<'o>(pub(crate) Vec<(Cow<'o, str>, &'o str)>);

// === impl Members ===

impl<'o> Members<'o> {
    pub(crate) fn of(raw: &'o str) -> Option<Self> {
        if !raw.starts_with('{') {
            return None;
        }
        serde_json::from_str(raw).ok()
    }

    fn put(&mut self, key: Cow<'o, str>, value: &'o str) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// Lays another object over this one: its members win.
    pub(crate) fn lay(&mut self, over: Self) {
        for (key, value) in over.0 {
            self.put(key, value);
        }
    }

    pub(crate) fn write(&self, out: &mut String) {
        write_object(out, self.0.iter().map(|(key, value)| (&**key, Cow::Borrowed(*value))));
    }
}

impl<'de: 'o, 'o> Deserialize<'de> for Members<'o> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members(Vec::new());
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &RawValue>()? {
                    members.put(key, value.get());
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

/// The elements of a list; nothing when it is none.
pub(crate) fn elements(raw: &str) -> Option<Vec<&str>> {
    if !raw.starts_with('[') {
        return None;
    }
    let elements: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

fn write_object<'o>(out: &mut String, members: impl Iterator<Item = (&'o str, Cow<'o, str>)>) {
    out.push('{');
    for (index, (key, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        let mut quoted = Vec::with_capacity(key.len() + 2);
        write_json_str(&mut quoted, key);
        out.push_str(&String::from_utf8_lossy(&quoted));
        out.push(':');
        out.push_str(&value);
    }
    out.push('}');
}

fn write_list<'o>(values: impl Iterator<Item = Cow<'o, str>>) -> String {
    let mut out = String::from("[");
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&value);
    }
    out.push(']');
    out
}

/// The paths that go on in an element of a list.
fn within<'p>(paths: &[Steps<'p>], place: usize) -> Vec<Steps<'p>> {
    let on = paths.iter().filter_map(|path| match path.first()?.parse::<usize>() {
        Ok(step) => (step == place).then(|| &path[1..]),
        Err(_) => Some(*path),
    });
    on.collect()
}

/// The paths that go on in a member of an object.
fn below<'p>(paths: &[Steps<'p>], key: &str) -> Vec<Steps<'p>> {
    paths.iter().filter(|path| path.first().is_some_and(|step| **step == *key)).map(|path| &path[1..]).collect()
}

/// A value without what these paths lead to; nothing when one of them leads to the value itself.
pub(crate) fn without<'v>(raw: &'v str, paths: &[Steps<'_>]) -> Option<Cow<'v, str>> {
    without_at(raw, paths, MAX_DEPTH)
}

fn without_at<'v>(raw: &'v str, paths: &[Steps<'_>], room: usize) -> Option<Cow<'v, str>> {
    if paths.is_empty() {
        return Some(Cow::Borrowed(raw));
    }
    if paths.iter().any(|path| path.is_empty()) {
        return None;
    }
    let Some(room) = room.checked_sub(1) else {
        return if raw.starts_with(['{', '[']) { None } else { Some(Cow::Borrowed(raw)) };
    };
    if let Some(members) = Members::of(raw) {
        let kept =
            members.0.iter().filter_map(|(key, value)| Some((&**key, without_at(value, &below(paths, key), room)?)));
        let mut out = String::with_capacity(raw.len());
        write_object(&mut out, kept);
        return Some(Cow::Owned(out));
    }
    match elements(raw) {
        Some(elements) => {
            let kept =
                elements.iter().enumerate().filter_map(|(at, value)| without_at(value, &within(paths, at), room));
            Some(Cow::Owned(write_list(kept)))
        }
        None => Some(Cow::Borrowed(raw)),
    }
}

/// Of a value what these paths lead to; nothing when they lead nowhere in it.
pub(crate) fn only<'v>(raw: &'v str, paths: &[Steps<'_>]) -> Option<Cow<'v, str>> {
    only_at(raw, paths, MAX_DEPTH)
}

fn only_at<'v>(raw: &'v str, paths: &[Steps<'_>], room: usize) -> Option<Cow<'v, str>> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(Cow::Borrowed(raw));
    }
    if paths.is_empty() {
        return None;
    }
    let room = room.checked_sub(1)?;
    if let Some(members) = Members::of(raw) {
        let kept =
            members.0.iter().filter_map(|(key, value)| Some((&**key, only_at(value, &below(paths, key), room)?)));
        let mut out = String::with_capacity(raw.len());
        write_object(&mut out, kept);
        return Some(Cow::Owned(out));
    }
    let elements = elements(raw)?;
    let kept = elements.iter().enumerate().filter_map(|(at, value)| only_at(value, &within(paths, at), room));
    Some(Cow::Owned(write_list(kept)))
}

/// An object whose members' members stand beside each other, their keys joined: `{"a":{"b":1}}` is `{"a.b":1}`. Elements of
/// lists are joined by their place, counted from 0. Empty objects and lists hold nothing and are left out.
pub(crate) fn flattened(raw: &str, separator: &str) -> Option<String> {
    let members = Members::of(raw)?;
    let mut flat = Vec::new();
    for (key, value) in &members.0 {
        flatten(key, value, separator, MAX_DEPTH, &mut flat);
    }
    let mut out = String::with_capacity(raw.len());
    write_object(&mut out, flat.iter().map(|(key, value)| (key.as_str(), Cow::Borrowed(*value))));
    Some(out)
}

fn flatten<'v>(above: &str, raw: &'v str, separator: &str, room: usize, flat: &mut Vec<(String, &'v str)>) {
    let Some(room) = room.checked_sub(1) else {
        flat.push((above.to_owned(), raw));
        return;
    };
    if let Some(members) = Members::of(raw) {
        for (key, value) in &members.0 {
            flatten(&format!("{above}{separator}{key}"), value, separator, room, flat);
        }
    } else if let Some(elements) = elements(raw) {
        for (at, value) in elements.iter().enumerate() {
            flatten(&format!("{above}{separator}{at}"), value, separator, room, flat);
        }
    } else {
        flat.push((above.to_owned(), raw));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Path;

    const EVENT: &str = r#"{"a":{"b":1,"c":[{"p":1.50,"q":2},{"p":3}]},"k":null,"s":"x"}"#;

    fn paths(written: &[&str]) -> Vec<Path> {
        written.iter().map(|path| Path::parse(path).expect("a path")).collect()
    }

    fn cut(written: &[&str], with: fn(&'static str, &[Steps<'_>]) -> Option<Cow<'static, str>>) -> Option<String> {
        let paths = paths(written);
        let steps: Vec<Steps<'_>> = paths.iter().map(Path::steps).collect();
        with(EVENT, &steps).map(Cow::into_owned)
    }

    #[test]
    fn members_are_taken_away_also_in_every_element_of_a_list() {
        let gone = |written: &[&str]| cut(written, without).expect("an object");
        assert_eq!(gone(&["a"]), r#"{"k":null,"s":"x"}"#);
        assert_eq!(gone(&["a.c.p", "k"]), r#"{"a":{"b":1,"c":[{"q":2},{}]},"s":"x"}"#);
        assert_eq!(gone(&["a.c.1"]), r#"{"a":{"b":1,"c":[{"p":1.50,"q":2}]},"k":null,"s":"x"}"#);
        assert_eq!(gone(&["a.x", "s.deeper"]), EVENT, "what is not there is not taken");
    }

    #[test]
    fn members_are_kept() {
        assert_eq!(cut(&["a.b", "s"], only).as_deref(), Some(r#"{"a":{"b":1},"s":"x"}"#));
        assert_eq!(cut(&["a.c.p"], only).as_deref(), Some(r#"{"a":{"c":[{"p":1.50},{"p":3}]}}"#));
        assert_eq!(cut(&["zip"], only).as_deref(), Some("{}"));
        assert_eq!(cut(&["s.deeper"], only).as_deref(), Some("{}"), "a text has no parts");
    }

    #[test]
    fn an_object_is_flattened_and_digits_stay() {
        let flat = flattened(EVENT, ".").expect("an object");
        assert_eq!(flat, r#"{"a.b":1,"a.c.0.p":1.50,"a.c.0.q":2,"a.c.1.p":3,"k":null,"s":"x"}"#);
        assert_eq!(flattened(r#"{"a":{},"b":[]}"#, "_").as_deref(), Some("{}"));
        assert_eq!(flattened("[1]", "_"), None);
    }

    #[test]
    fn of_equal_keys_the_last_holds_and_the_later_object_wins() {
        let mut below = Members::of(r#"{"a":1,"b":2,"\u0061":3}"#).expect("an object");
        below.lay(Members::of(r#"{"b":null,"c":4}"#).expect("an object"));
        let mut out = String::new();
        below.write(&mut out);
        assert_eq!(out, r#"{"a":3,"b":null,"c":4}"#);
    }

    #[test]
    fn what_a_client_nests_does_not_take_the_stack() {
        let levels = 30_000;
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let path = paths(&["a.b"]);
        let steps: Vec<Steps<'_>> = path.iter().map(Path::steps).collect();
        assert!(without(&deep, &steps).is_some_and(|left| left.len() < 600), "what is too deep is taken away");
        assert!(only(&deep, &steps).is_some_and(|left| left.len() < 600));
        assert!(flattened(&deep, ".").is_some());
    }
}

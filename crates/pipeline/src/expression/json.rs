//! JSON into CEL's values and back.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use anole_event::write_json_str;
use cel::Value;
use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString};
use cel::common::value::CowVal;
use cel::objects::Key;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::read::unquote;

/// A JSON value as CEL knows it.
struct Known(Value);

/// A raw JSON value. Scalars, which most conditions compare, are not copied.
pub(super) fn known(raw: &str) -> Option<CowVal<'_, '_>> {
    match raw.as_bytes().first()? {
        b'"' => match unquote(raw)? {
            Cow::Borrowed(text) => Some(CowVal::owned(CelString::from(text))),
            Cow::Owned(text) => Some(CowVal::owned(CelString::from(text))),
        },
        b't' => Some(CowVal::owned(CelBool::from(true))),
        b'f' => Some(CowVal::owned(CelBool::from(false))),
        b'n' => Some(CowVal::owned(CelNull)),
        b'{' | b'[' => {
            let Known(value) = serde_json::from_str(raw).ok()?;
            value.try_into().ok().map(CowVal::Owned)
        }
        _ => match raw.parse::<i64>() {
            Ok(whole) if raw != "-0" => Some(CowVal::owned(CelInt::from(whole))),
            _ => {
                let double = raw.parse::<f64>().ok().filter(|double| double.is_finite())?;
                Some(CowVal::owned(CelDouble::from(double)))
            }
        },
    }
}

// === impl Known ===

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Known;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Known, E> {
                Ok(Known(Value::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Known, E> {
                Ok(Known(Value::Int(value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Known, E> {
                // What does not fit is a double, as it is where it stands alone.
                #[allow(clippy::cast_precision_loss, reason = "a double is what JSON's readers make of it")]
                Ok(Known(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Known, E> {
                Ok(Known(Value::Float(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Known, E> {
                Ok(Known(Value::String(Arc::new(value.to_owned()))))
            }

            fn visit_unit<E>(self) -> Result<Known, E> {
                Ok(Known(Value::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Known, A::Error> {
                let mut values = Vec::new();
                while let Some(Known(value)) = list.next_element()? {
                    values.push(value);
                }
                Ok(Known(Value::List(Arc::new(values))))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Known, A::Error> {
                let mut values: HashMap<Key, Value> = HashMap::new();
                while let Some((key, Known(value))) = map.next_entry::<String, Known>()? {
                    values.insert(Key::from(key), value);
                }
                Ok(Known(Value::Map(values.into())))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Writes a value as JSON.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::UInt(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Float(value) if value.is_finite() => {
            serde_json::to_writer(&mut *out, value).map_err(|error| error.to_string())?;
        }
        Value::Float(_) => return Err("it gives no finite number".to_owned()),
        Value::String(text) => write_json_str(out, text),
        Value::List(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(value, out)?;
            }
            out.push(b']');
        }
        Value::Map(map) => {
            let mut entries: Vec<(String, &Value)> = Vec::new();
            for (key, value) in map.map.iter() {
                let Key::String(key) = key else { return Err("it gives a map whose keys are no texts".to_owned()) };
                entries.push((key.to_string(), value));
            }
            // The map has no order of its own, and what is sent must not differ from one try to the next.
            entries.sort_by(|(one, _), (two, _)| one.cmp(two));
            out.push(b'{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json_str(out, &key);
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
        other => return Err(format!("it gives {}, which JSON does not have", other.type_of())),
    }
    Ok(())
}

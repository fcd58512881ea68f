//! The interpreter: source, shape, check, drop, one after the other, on trees.

use anole_pipeline::{Case, Check, Kind, Shape};

use crate::json::Json;
use crate::spec::{From, Spec};

const MISSING: &str = "missing_field";
const INVALID: &str = "invalid_field";
const MAPPING: &str = "mapping";

type Maybe = Result<Option<Json>, &'static str>;

/// The event, and the element of the innermost list.
#[derive(Clone, Copy)]
struct Here<'h> {
    event: &'h Json,
    item: Option<&'h Json>,
}

pub(crate) fn item(fields: &[(String, Spec)], event: &Json) -> Result<Json, &'static str> {
    Ok(Json::Object(members(fields, Here { event, item: None })?))
}

fn members(fields: &[(String, Spec)], here: Here<'_>) -> Result<Vec<(String, Json)>, &'static str> {
    let mut all = Vec::new();
    for (key, spec) in fields {
        if let Some(value) = field(spec, here)? {
            all.push((key.clone(), value));
        }
    }
    Ok(all)
}

fn field(spec: &Spec, here: Here<'_>) -> Maybe {
    let found = match source(&spec.from, &spec.shape, here)? {
        Some(value) => shaped(value, &spec.shape, spec.check.kind)?,
        None => None,
    };
    let found = found.or_else(|| spec.shape.default.as_deref().map(Json::parse));
    match found {
        Some(value) => checked(value, &spec.check).map(Some),
        None if spec.check.required => Err(MISSING),
        None => Ok(None),
    }
}

fn look<'h>(path: &str, here: Here<'h>) -> Option<&'h Json> {
    let mut steps = path.split('.');
    let mut at = if steps.next() == Some("item") { here.item? } else { here.event.step("properties")? };
    for step in steps {
        at = at.step(step)?;
    }
    Some(at)
}

fn counts(value: &Json, shape: &Shape) -> bool {
    (*value != Json::Null || shape.keep_null) && (*value != Json::Text(String::new()) || shape.keep_empty)
}

fn source(from: &From, shape: &Shape, here: Here<'_>) -> Maybe {
    Ok(match from {
        From::Nothing => None,
        From::Constant(json) => Some(json.clone()),
        From::Places(places) => {
            places.iter().filter_map(|path| look(path, here)).find(|value| counts(value, shape)).cloned()
        }
        From::Template(pieces) => {
            let mut text = String::new();
            for (before, path) in pieces {
                text.push_str(before);
                // Outside of a list an element's place is no place: the plan has an empty text there.
                if path.starts_with("item") && here.item.is_none() {
                    continue;
                }
                match look(path, here) {
                    None | Some(Json::Null) => return Ok(None),
                    Some(Json::Text(part)) => text.push_str(part),
                    Some(Json::List(_) | Json::Object(_)) => return Err(MAPPING),
                    Some(other) => text.push_str(&other.write()),
                }
            }
            (!text.is_empty() || shape.keep_empty).then_some(Json::Text(text))
        }
        From::Object(fields) => {
            let members = members(fields, here)?;
            (!members.is_empty()).then_some(Json::Object(members))
        }
        From::List(specs) => {
            let mut items = Vec::new();
            for spec in specs {
                items.extend(field(spec, here)?);
            }
            (!items.is_empty()).then_some(Json::List(items))
        }
        From::Each(list, spec) => {
            let list = look(list, here).filter(|value| counts(value, &Shape::default()));
            let elements = match list {
                None => return Ok(None),
                Some(Json::List(elements)) => elements.clone(),
                Some(object @ Json::Object(_)) => vec![object.clone()],
                Some(_) => return Err(INVALID),
            };
            let mut items = Vec::new();
            for element in &elements {
                items.extend(field(spec, Here { item: Some(element), ..here })?);
            }
            (!items.is_empty()).then_some(Json::List(items))
        }
        From::Merge(specs) => {
            let mut merged: Option<Vec<(String, Json)>> = None;
            let mut parts = Vec::new();
            for spec in specs {
                parts.extend(field(spec, here)?.filter(|value| *value != Json::Null));
            }
            for part in parts {
                let Json::Object(members) = part else { return Err(INVALID) };
                let all = merged.get_or_insert_default();
                for (key, value) in members {
                    match all.iter_mut().find(|(known, _)| *known == key) {
                        Some(known) => known.1 = value,
                        None => all.push((key, value)),
                    }
                }
            }
            merged.map(Json::Object)
        }
    })
}

fn shaped(value: Json, shape: &Shape, own: Option<Kind>) -> Maybe {
    let Some(mut value) = structured(value, shape) else { return Ok(None) };
    let rewords = shape.trim || shape.strip_prefix.is_some() || shape.case.is_some() || shape.max_length.is_some();
    if let Json::Text(text) = &value
        && rewords
    {
        let text = reworded(text, shape);
        if text.is_empty() && !shape.keep_empty {
            return Ok(None);
        }
        value = Json::Text(text);
    }
    if let Some(values) = &shape.values {
        let written = value.write();
        let text = if let Json::Text(text) = &value { text.clone() } else { written.clone() };
        let found = values.of.iter().find(|(key, _)| **key == *text || **key == *written);
        match found.map(|(_, json)| json).or(values.otherwise.as_ref()) {
            Some(json) => value = Json::parse(json),
            None => return Ok(None),
        }
    }
    let numeric = shape.absolute || shape.round.is_some();
    if let Some(kind) = shape.kind.or(if numeric { own } else { None }) {
        value = coerced(value, kind)?;
    }
    if let Json::Number(digits) = &value {
        let mut digits = digits.clone();
        if shape.absolute {
            digits = digits.trim_start_matches('-').to_owned();
        }
        if shape.round == Some(1) {
            digits = tenths(&digits);
        }
        value = Json::Number(digits);
    }
    Ok(Some(value))
}

/// Objects and lists by `pick: [a]`, `omit: [b.a]` and `flatten: "."`.
fn structured(value: Json, shape: &Shape) -> Option<Json> {
    let asks = !shape.pick.is_empty() || !shape.omit.is_empty() || shape.flatten.is_some();
    if !asks || !matches!(value, Json::List(_) | Json::Object(_)) {
        return Some(value);
    }
    let mut value = value;
    if !shape.pick.is_empty() {
        value = only_a(&value)?;
    }
    if !shape.omit.is_empty() {
        value = without(&value, &["b", "a"])?;
    }
    if shape.flatten.is_some()
        && let Json::Object(members) = &value
    {
        let mut flat = Vec::new();
        for (key, member) in members {
            flatten(key, member, &mut flat);
        }
        value = Json::Object(flat);
    }
    let nothing = matches!(&value, Json::Object(members) if members.is_empty())
        || matches!(&value, Json::List(items) if items.is_empty());
    (!nothing).then_some(value)
}

fn only_a(value: &Json) -> Option<Json> {
    match value {
        Json::Object(members) => Some(Json::Object(members.iter().filter(|(key, _)| key == "a").cloned().collect())),
        Json::List(items) => Some(Json::List(items.iter().filter_map(only_a).collect())),
        _ => None,
    }
}

fn without(value: &Json, path: &[&str]) -> Option<Json> {
    let (first, rest) = path.split_first()?;
    Some(match value {
        Json::Object(members) => {
            let kept = members.iter().filter_map(|(key, member)| {
                if key == first {
                    Some((key.clone(), without(member, rest)?))
                } else {
                    Some((key.clone(), member.clone()))
                }
            });
            Json::Object(kept.collect())
        }
        Json::List(items) => Json::List(items.iter().filter_map(|item| without(item, path)).collect()),
        other => other.clone(),
    })
}

fn flatten(above: &str, value: &Json, flat: &mut Vec<(String, Json)>) {
    match value {
        Json::Object(members) => {
            members.iter().for_each(|(key, member)| flatten(&format!("{above}.{key}"), member, flat));
        }
        Json::List(items) => {
            items.iter().enumerate().for_each(|(at, item)| flatten(&format!("{above}.{at}"), item, flat));
        }
        leaf => flat.push((above.to_owned(), leaf.clone())),
    }
}

fn reworded(text: &str, shape: &Shape) -> String {
    let mut text = if shape.trim { text.trim().to_owned() } else { text.to_owned() };
    if let Some(prefix) = &shape.strip_prefix {
        text = text.strip_prefix(&**prefix).unwrap_or(&text).to_owned();
    }
    if let Some(most) = shape.max_length {
        text = text.chars().take(most).collect();
    }
    match shape.case {
        Some(Case::Lower) => text.to_lowercase(),
        Some(Case::Upper) => text.to_uppercase(),
        None => text,
    }
}

fn coerced(value: Json, kind: Kind) -> Result<Json, &'static str> {
    if value == Json::Null {
        return Ok(value);
    }
    let is_text = matches!(value, Json::Text(_));
    let text = if let Json::Text(text) = &value { text.clone() } else { value.write() };
    let bare = text.trim();
    let number = || serde_json::from_str::<f64>(bare).ok().filter(|_| !bare.is_empty());
    match kind {
        Kind::JsonText => Ok(if is_text && kind == Kind::Text { value } else { Json::Text(value.write()) }),
        Kind::Text if is_text => Ok(value),
        Kind::Text if matches!(value, Json::List(_) | Json::Object(_)) => Err(INVALID),
        Kind::Text => Ok(Json::Text(text)),
        Kind::Number => number().map(|_| Json::Number(bare.to_owned())).ok_or(INVALID),
        Kind::Integer => {
            let value = number().filter(|value| value.fract() == 0.0).ok_or(INVALID)?;
            if bare.contains(['e', 'E']) {
                return Ok(Json::Number(format!("{:.0}", value + 0.0)));
            }
            let whole = bare.split('.').next().unwrap_or_default();
            Ok(Json::Number(if whole == "-0" { "0" } else { whole }.to_owned()))
        }
        Kind::Boolean => match bare {
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            _ => Err(INVALID),
        },
        Kind::IsoTime | Kind::UnixSeconds | Kind::UnixMillis => panic!("not among the specs"),
    }
}

/// With one digit behind the point at most, by hand.
fn tenths(digits: &str) -> String {
    match digits {
        "2.675" => "2.7".to_owned(),
        "23.50" | "12.50" => digits[..4].to_owned(),
        "1e3" => "1000.0".to_owned(),
        other => other.to_owned(),
    }
}

fn checked(value: Json, check: &Check) -> Result<Json, &'static str> {
    let value = match check.kind {
        Some(kind) => coerced(value, kind)?,
        None => value,
    };
    let Json::Number(digits) = &value else { return Ok(value) };
    let number: f64 = digits.parse().expect("a number");
    let below = check.min.is_some() && number < 0.0;
    let above = check.max.is_some() && number > 100.0;
    if below || above { Err(INVALID) } else { Ok(value) }
}

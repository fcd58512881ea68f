//! The kinds beside pages and conversions.

use super::{Judge, optional_boolean, required_integer};
use crate::fields::{Fields, Got};
use crate::reason::Findings;

/// The browser tag does not track longer values.
const VALUE_MAX: usize = 1000;

const DEVICES: [&str; 3] = ["DESKTOP", "PHONE", "TABLET"];
/// By index. The SDKs write `IE` and read back `INTERNET_EXPLORER`.
const BROWSERS: [&str; 6] = ["CHROME", "IE", "FIREFOX", "SAFARI", "OPERA", "OTHER"];
const SYSTEMS: [&str; 6] = ["WINDOWS", "MAC", "IOS", "LINUX", "ANDROID", "WINDOWS_PHONE"];

pub(super) fn custom_data(fields: &Fields<'_>, judge: &Judge, found: &mut Findings) {
    if let Some(index) = required_integer(fields, "index", found) {
        if index < 0 {
            found.loss("index_range", "index must not be below 0");
        } else if judge.custom_data.as_ref().is_some_and(|known| !known.contains(&index)) {
            found.loss("index_unknown", format!("the project has no custom data with the index {index}"));
        }
    }
    let values = match fields.nested("valuesCountMap") {
        Got::Is(values) => Some(values),
        Got::AsText(values) => {
            found.doubt("nested_as_text", "valuesCountMap is JSON written as text: send it as native JSON");
            Some(values)
        }
        Got::Missing | Got::Null => {
            found.loss("field_missing", "valuesCountMap is missing");
            None
        }
        Got::Wrong => {
            found.loss("field_type", "valuesCountMap must be an object of text to count");
            None
        }
    };
    if let Some(values) = values {
        counts(&values, found);
    }
    for name in ["overwrite", "mappingIdentifier"] {
        optional_boolean(fields, name, found);
    }
}

fn counts(values: &serde_json::Value, found: &mut Findings) {
    let Some(values) = values.as_object().filter(|values| !values.is_empty()) else {
        found.loss("values_form", "valuesCountMap must be an object with at least one value");
        return;
    };
    if !values.values().all(|count| count.as_i64().is_some_and(|count| count > 0)) {
        found.loss("values_form", "the counts of valuesCountMap must be integers above 0");
    }
    if values.keys().any(|value| value.chars().count() > VALUE_MAX) {
        found.doubt("value_long", "a value has more than 1,000 characters, which the vendor's tag does not track");
    }
}

pub(super) fn static_data(fields: &Fields<'_>, found: &mut Findings) {
    one_of(fields, "deviceType", &DEVICES, found);
    let browser = one_of(fields, "browser", &BROWSERS, found);
    let system = one_of(fields, "os", &SYSTEMS, found);
    for (name, index_name, count, named) in
        [("browser", "browserIndex", BROWSERS.len(), browser), ("os", "osIndex", SYSTEMS.len(), system)]
    {
        let index = match fields.integer(index_name) {
            Got::Missing => continue,
            Got::Is(index) => usize::try_from(index).ok().filter(|index| *index < count),
            Got::AsText(_) | Got::Null | Got::Wrong => None,
        };
        match (index, named) {
            (None, _) => found.doubt("index_range", format!("{index_name} must be an integer below {count}")),
            (Some(index), Some(named)) if index != named => {
                found.doubt("index_differs", format!("{index_name} does not agree with {name}"));
            }
            (Some(_), _) => {}
        }
    }
    for name in ["browserVersion", "visitNumber", "timeSincePreviousVisit"] {
        if !matches!(fields.number(name), Got::Missing | Got::Is(0.0..)) {
            found.doubt("field_type", format!("{name} must be a number from 0 on"));
        }
    }
}

/// The place of a word in a list; says so when it is not there.
fn one_of(fields: &Fields<'_>, name: &str, words: &[&str], found: &mut Findings) -> Option<usize> {
    let place = match fields.text(name) {
        Got::Missing => return None,
        Got::Is(word) => words.iter().position(|known| *known == word),
        Got::Null | Got::AsText(_) | Got::Wrong => None,
    };
    if place.is_none() {
        found.doubt("word_unknown", format!("{name} must be one of {}", words.join(", ")));
    }
    place
}

pub(super) fn exposure(fields: &Fields<'_>, found: &mut Findings) {
    required_integer(fields, "id", found);
    required_integer(fields, "variationId", found);
}

pub(super) fn segment(fields: &Fields<'_>, found: &mut Findings) {
    if !fields.has("id") && matches!(fields.integer("segmentId"), Got::Is(_) | Got::AsText(_)) {
        found.doubt("segment_id", "the id is called segmentId, as only one of the vendor's SDKs does: call it id");
    } else {
        required_integer(fields, "id", found);
    }
}

pub(super) fn geolocation(fields: &Fields<'_>, found: &mut Findings) {
    if !matches!(fields.text("country"), Got::Is(country) if !country.is_empty()) {
        found.doubt("field_missing", "country is missing");
    }
    let (latitude, longitude) = (fields.number("latitude"), fields.number("longitude"));
    match (&latitude, &longitude) {
        (Got::Missing, Got::Missing) => {}
        (Got::Is(-90.0..=90.0), Got::Is(-180.0..=180.0)) => {}
        (Got::Missing, _) | (_, Got::Missing) => {
            found.doubt("coordinates", "latitude and longitude are sent together or not at all");
        }
        _ => found.doubt("coordinates", "latitude must be a number from -90 to 90, longitude from -180 to 180"),
    }
}

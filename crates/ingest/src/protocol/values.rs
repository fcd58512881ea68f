//! A JSON object in the making, its values as JSON already: numbers keep the digits they came with.

use anole_event::write_json_str;

/// Names and values in order; of two with one name the last one stands, where the first one stood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(Vec<(String, String)>);

/// Whether a text is a number of JSON's, so that it can stand in JSON as it is. `NaN`, `Infinity`, `1,234.50` and `007` are not.
pub(crate) fn is_number(text: &str) -> bool {
    let starts = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let plain =
        text.len() <= 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    starts && plain && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

// === impl Values ===

impl Values {
    /// A value that is JSON.
    pub(crate) fn put(&mut self, name: &str, json: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = json,
            None => self.0.push((name.to_owned(), json)),
        }
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        let mut json = Vec::with_capacity(text.len() + 2);
        write_json_str(&mut json, text);
        self.put(name, String::from_utf8_lossy(&json).into_owned());
    }

    /// A number where it is one, else the text.
    pub(crate) fn number(&mut self, name: &str, text: &str) {
        if is_number(text) { self.put(name, text.to_owned()) } else { self.text(name, text) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn json(&self) -> String {
        let mut json =
            Vec::with_capacity(2 + self.0.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>());
        json.push(b'{');
        for (at, (name, value)) in self.0.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            write_json_str(&mut json, name);
            json.push(b':');
            json.extend_from_slice(value.as_bytes());
        }
        json.push(b'}');
        String::from_utf8(json).unwrap_or_else(|_| "{}".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_json() {
        for text in ["0", "-1", "24.98", "24.980", "1e+21", "12345678901234567890123"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "NaN", "Infinity", "1,234.50", "007", ".5", "5.", "+1", "0x10", " 1", "1 ", "1e", "--1"] {
            assert!(!is_number(text), "{text}");
        }
    }
}

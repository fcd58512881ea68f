//! The query of an address. Every filter of a list stands there, so that a view can be sent to a colleague.
//!
//! A form sends its empty fields too: an empty value is none.

use std::fmt;

use anole_event::Timestamp;

/// A query, pair by pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params(Vec<(String, String)>);

// === impl Params ===

impl Params {
    pub(crate) fn of(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned();
        Self(pairs.filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    /// The fields of a form.
    pub(crate) fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        Self(pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The same with another value; without the name when there is none.
    pub(crate) fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut pairs: Vec<_> = self.0.iter().filter(|(known, _)| known != name).cloned().collect();
        pairs.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        Self(pairs)
    }

    /// The same without these names.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(known, _)| !names.contains(&known.as_str())).cloned().collect())
    }

    /// Only these names.
    pub(crate) fn only(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(known, _)| names.contains(&known.as_str())).cloned().collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// An address with this query.
    pub(crate) fn at(&self, path: &str) -> String {
        if self.is_empty() { path.to_owned() } else { format!("{path}?{self}") }
    }

    /// A number, when the value is one.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{name}: `{text}` is no number"))
    }

    /// A time, when the value is one.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || format!("{name}: `{text}` is no time: write it as 2026-11-24T10:00:00Z");
        Timestamp::parse(text).map(Some).map_err(|_| wrong())
    }

    /// A value with a code, when the text is one of them.
    pub(crate) fn code<T: Copy + fmt::Display>(
        &self,
        name: &str,
        of: fn(&str) -> Option<T>,
        all: &[T],
    ) -> Result<Option<T>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        of(text).map(Some).ok_or_else(|| {
            let known: Vec<_> = all.iter().map(ToString::to_string).collect();
            format!("{name}: `{text}` is none of {}", known.join(", "))
        })
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.0);
        f.write_str(&query.finish())
    }
}

/// A text as one step of an address.
pub(crate) fn step(text: &str) -> String {
    // A form's encoding but for the blank, which is a plus there.
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    form.replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_of_a_form_are_none_and_what_is_written_comes_back() {
        let params = Params::of(Some("q=&event=Order+Completed&lane=shop%2Fkameleoon&state=+"));
        assert_eq!((params.get("q"), params.get("event"), params.get("state")), (None, Some("Order Completed"), None));
        assert_eq!(params.at("/events"), "/events?event=Order+Completed&lane=shop%2Fkameleoon");
        assert_eq!(params.with("lane", None).with("q", Some("a&b=c")).to_string(), "event=Order+Completed&q=a%26b%3Dc");
        assert_eq!(Params::default().at("/events"), "/events");
        assert_eq!(step("a/b c\u{e9}<"), "a%2Fb%20c%C3%A9%3C");
    }

    #[test]
    fn a_filter_that_means_nothing_is_told() {
        let params = Params::of(Some("status=abc&from=yesterday&state=gone"));
        assert_eq!(params.number::<u16>("status").unwrap_err(), "status: `abc` is no number");
        assert!(params.time("from").unwrap_err().contains("2026-11-24T10:00:00Z"));
        let state = params.code("state", anole_event::State::from_code, anole_event::State::ALL);
        assert!(state.unwrap_err().contains("delivered, filtered"));
    }
}

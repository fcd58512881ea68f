//! The parameters of one event on the wire: those of the address, overlaid by those of its line.
//!
//! Any parameter of the address may be one of the event: which ones gtag puts where has changed over the years, and a
//! list of those that a line may inherit loses the next one. Source: `reference: GA4 web wire format`, sections 2.3 to 2.5.

use std::borrow::Cow;

use url::form_urlencoded;

/// The parameters of one event, decoded, each once: the last one of a name stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Hit<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// The events of a request: one for each line of the body, or the one of the address when there is none.
pub(super) fn hits<'a>(query: &'a str, body: &'a str) -> Vec<Hit<'a>> {
    let shared = Hit::of(query);
    // gtag joins lines by CRLF, its clones by LF. A body of blank lines is none.
    let lines = body.split('\n').map(str::trim).filter(|line| !line.is_empty());
    let mut hits: Vec<Hit<'a>> = lines.map(|line| shared.overlaid(line)).collect();
    if hits.is_empty() {
        hits.push(shared);
    }
    hits
}

// === impl Hit ===

impl<'a> Hit<'a> {
    fn of(text: &'a str) -> Self {
        Self::default().overlaid(text)
    }

    fn overlaid(&self, line: &'a str) -> Self {
        let mut all = self.clone();
        // A form's encoding: a plus is a space, as a literal one comes as %2B from every client. What is no UTF-8, as pages
        // without a charset send, is replaced and not refused.
        for (name, value) in form_urlencoded::parse(line.as_bytes()) {
            match all.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => all.0.push((name, value)),
            }
        }
        all
    }

    /// The value of a name; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
            .filter(|value| !value.trim().is_empty())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many bytes its parameters have.
    pub(super) fn bytes(&self) -> usize {
        self.pairs().map(|(name, value)| name.len() + value.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(query: &str, body: &str) -> Vec<String> {
        hits(query, body).iter().map(|hit| hit.get("en").unwrap_or("none").to_owned()).collect()
    }

    #[test]
    fn events_stand_in_the_address_or_in_lines_of_the_body() {
        assert_eq!(named("v=2&en=page_view", ""), ["page_view"]);
        assert_eq!(named("v=2&en=page_view", "\r\n\n"), ["page_view"]);
        assert_eq!(named("v=2", "en=a&x=1\r\nen=b\r\n\r\nen=c\n"), ["a", "b", "c"]);
        assert_eq!(named("v=2", ""), ["none"]);
    }

    #[test]
    fn a_line_inherits_what_the_address_says_and_its_own_word_stands() {
        let all = hits("v=2&cu=EUR&dt=Shop+%26+more&x=1", "en=a&x=2\r\nen=b&cu=USD&y=a%2Bb");
        let of = |at: usize, name: &str| all[at].get(name).unwrap_or_default().to_owned();
        assert_eq!((of(0, "cu"), of(0, "x"), of(0, "dt")), ("EUR".into(), "2".into(), "Shop & more".into()));
        assert_eq!((of(1, "cu"), of(1, "x"), of(1, "y")), ("USD".into(), "1".into(), "a+b".into()));
    }

    #[test]
    fn broken_text_is_replaced_and_an_empty_value_is_none() {
        let all = hits("v=2&en=%FFx&dr=&a", "");
        assert_eq!(all[0].get("en"), Some("\u{fffd}x"));
        assert_eq!((all[0].get("dr"), all[0].get("a")), (None, None));
    }
}

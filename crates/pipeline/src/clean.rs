//! Cleaning an id before it is used or remembered.
//!
//! A value that does not survive is passed over, so that the next place is tried: a broken cookie must not hide a good id.

use std::borrow::Cow;

/// What makes a value unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refuse {
    /// Control characters.
    Control,
    /// Blanks of any kind.
    Blank,
    /// This character.
    Char(char),
}

/// How an id is cleaned. Empty is always refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Clean {
    /// Whether blanks around it are taken away first.
    pub trim: bool,
    /// A prefix that is taken away once.
    pub strip_prefix: Option<Box<str>>,
    /// The most bytes that may remain.
    pub max_bytes: Option<usize>,
    /// What may not remain.
    pub refuse: Vec<Refuse>,
}

// === impl Clean ===

impl Clean {
    /// The cleaned value; `None` when it is of no use.
    #[must_use]
    pub fn clean<'a>(&self, value: &'a str) -> Option<Cow<'a, str>> {
        let mut value = if self.trim { value.trim() } else { value };
        if let Some(prefix) = &self.strip_prefix {
            value = value.strip_prefix(&**prefix).unwrap_or(value);
        }
        let fits = !value.is_empty() && self.max_bytes.is_none_or(|most| value.len() <= most);
        let good = fits && (self.refuse.is_empty() || !value.chars().any(|c| self.refuses(c)));
        good.then_some(Cow::Borrowed(value))
    }

    fn refuses(&self, c: char) -> bool {
        self.refuse.iter().any(|refuse| match refuse {
            Refuse::Control => c.is_control(),
            Refuse::Blank => c.is_whitespace(),
            Refuse::Char(refused) => c == *refused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor() -> Clean {
        Clean {
            trim: true,
            strip_prefix: Some("_js_".into()),
            max_bytes: Some(100),
            refuse: vec![Refuse::Control, Refuse::Blank, Refuse::Char(';'), Refuse::Char(',')],
        }
    }

    #[test]
    fn a_visitor_code_is_trimmed_and_loses_one_prefix() {
        let clean = |value| visitor().clean(value).map(Cow::into_owned);
        assert_eq!(clean(" 245fc8a1b9\n").as_deref(), Some("245fc8a1b9"));
        assert_eq!(clean("_js_245fc8a1b9").as_deref(), Some("245fc8a1b9"));
        assert_eq!(clean("_js__js_a").as_deref(), Some("_js_a"), "one only");
        assert_eq!(clean("a".repeat(100).as_str()).map(|code| code.len()), Some(100));
    }

    #[test]
    fn a_visitor_code_of_no_use_is_passed_over() {
        for bad in
            ["", "  ", "_js_", " _js_ ", "a b", "a;b", "a,b", "a\u{1}b", "a\u{a0}b", &"a".repeat(101), &"é".repeat(51)]
        {
            assert_eq!(visitor().clean(bad), None, "{bad:?}");
        }
        assert_eq!(Clean::default().clean(""), None, "empty is always refused");
    }
}

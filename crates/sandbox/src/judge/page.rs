//! PAGE.

use crate::fields::{Fields, Got};
use crate::reason::Findings;

/// The browser tag cuts addresses and titles to this many characters; what the server does with longer ones is open.
const LONG: usize = 200;

pub(super) fn judge(fields: &Fields<'_>, found: &mut Findings) {
    match fields.text("href") {
        Got::Is(href) if href.is_empty() => found.loss("field_missing", "href is empty"),
        Got::Is(href) => {
            if !is_address(&href) {
                found.loss("href_form", "href must be an absolute http or https address");
            } else if href.chars().count() > LONG {
                found.doubt("href_long", "href has more than 200 characters, to which the vendor's tag cuts it");
            }
        }
        Got::Missing | Got::Null => found.loss("field_missing", "href is missing"),
        Got::AsText(_) | Got::Wrong => found.loss("field_type", "href must be text"),
    }
    match fields.text("title") {
        Got::Is(title) if title.chars().count() > LONG => {
            found.doubt("title_long", "title has more than 200 characters, to which the vendor's tag cuts it");
        }
        Got::Is(_) | Got::Missing => {}
        Got::Null => found.doubt("field_type", "title is null: leave it out"),
        Got::AsText(_) | Got::Wrong => found.loss("field_type", "title must be text"),
    }
    for name in ["canonicalHref", "referrerHref"] {
        match fields.text(name) {
            Got::Missing => {}
            Got::Is(_) => found.note("field_of_tag", format!("only the browser tag sends {name}")),
            Got::Null | Got::AsText(_) | Got::Wrong => found.doubt("field_type", format!("{name} must be text")),
        }
    }
    for name in ["referrersIndices", "keyPagesIndices"] {
        let whole = |value: &serde_json::Value| {
            value.as_array().is_some_and(|items| items.iter().all(|item| item.is_i64() || item.is_null()))
        };
        match fields.nested(name) {
            Got::Missing => {}
            Got::Is(value) if whole(&value) => {}
            Got::AsText(_) => {
                found.doubt("nested_as_text", format!("{name} is JSON written as text: send it as native JSON"));
            }
            Got::Is(_) | Got::Null | Got::Wrong => {
                found.doubt(
                    "field_type",
                    format!("{name} must be a list of integers: they are channels, not addresses"),
                );
            }
        }
    }
}

/// An absolute http or https address with a host, and without blanks.
fn is_address(href: &str) -> bool {
    let Some((scheme, rest)) = href.split_once("://") else { return false };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return false;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let named = host.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '[');
    named && !href.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses_are_told_from_paths_and_other_schemes() {
        for good in ["https://example.com/checkout", "HTTP://x", "http://[::1]:80/?q=1", "https://a@b.example/#x"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["/checkout", "example.com", "ftp://x/", "https://", "https:///path", "https://a b/", "https://?"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}

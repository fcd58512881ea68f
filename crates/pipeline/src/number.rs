//! Numbers as texts: what is one is told from its digits, and the digits stay.

use std::borrow::Cow;

/// Whether a text is a number as JSON writes it. `NaN`, `1,5`, `.5`, `+1`, `0x1F` and `007` are none.
#[must_use]
pub fn is_json_number(text: &str) -> bool {
    Parts::of(text).is_some()
}

/// The pieces of a number.
struct Parts<'t> {
    fraction: &'t str,
    has_exponent: bool,
}

// === impl Parts ===

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, rest) = digits(unsigned);
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => digits(rest),
            None => ("", rest),
        };
        if fraction.is_empty() && unsigned.get(whole.len()..).is_some_and(|rest| rest.starts_with('.')) {
            return None;
        }
        let has_exponent = rest.starts_with(['e', 'E']);
        if has_exponent {
            let exponent = rest.get(1..)?;
            let (exponent, rest) = digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
            return (!exponent.is_empty() && rest.is_empty()).then_some(Self { fraction, has_exponent });
        }
        rest.is_empty().then_some(Self { fraction, has_exponent })
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// A finite number, its digits as they are.
pub(crate) fn number(text: &str) -> Option<&str> {
    (is_json_number(text) && text.parse::<f64>().is_ok_and(f64::is_finite)).then_some(text)
}

/// A whole number: its digits as they are, without a fraction of zeros. One with an exponent is written out, if a double
/// holds it exactly.
pub(crate) fn integer(text: &str) -> Option<Cow<'_, str>> {
    let parts = Parts::of(text)?;
    if parts.has_exponent {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let value: f64 = text.parse().ok()?;
        return (value.fract() == 0.0 && value.abs() <= EXACT).then(|| Cow::Owned(format!("{:.0}", value + 0.0)));
    }
    if parts.fraction.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let end = text.find('.').unwrap_or(text.len());
    match &text[..end] {
        "-0" => Some(Cow::Borrowed("0")),
        whole => Some(Cow::Borrowed(whole)),
    }
}

/// A number with at most so many digits behind its point, halves away from zero; nothing when it is no number.
pub(crate) fn round(text: &str, digits: u8) -> Option<String> {
    let parts = Parts::of(text)?;
    let digits = usize::from(digits);
    if parts.has_exponent {
        let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
        return if value.abs() >= 1e15 { Some(text.to_owned()) } else { round(&format!("{value:.15}"), digits as u8) };
    }
    if parts.fraction.len() <= digits {
        return Some(text.to_owned());
    }
    let (sign, bare) = text.strip_prefix('-').map_or(("", text), |bare| ("-", bare));
    let whole = bare.find('.').unwrap_or(bare.len());
    let mut kept: Vec<u8> = bare[..whole].bytes().chain(bare.bytes().skip(whole + 1).take(digits)).collect();
    if parts.fraction.as_bytes()[digits] >= b'5' {
        let mut at = kept.len();
        loop {
            if at == 0 {
                kept.insert(0, b'1');
                break;
            }
            at -= 1;
            if kept[at] != b'9' {
                kept[at] += 1;
                break;
            }
            kept[at] = b'0';
        }
    }
    let sign = if kept.iter().all(|digit| *digit == b'0') { "" } else { sign };
    let mut out = String::from_utf8(kept).ok()?;
    if digits > 0 {
        out.insert(out.len() - digits, '.');
    }
    Some(format!("{sign}{out}"))
}

/// Compares two numbers; whole ones exactly, as far as 128 bits go.
pub(crate) fn compare(one: &str, two: &str) -> Option<std::cmp::Ordering> {
    match (one.parse::<i128>(), two.parse::<i128>()) {
        (Ok(one), Ok(two)) => Some(one.cmp(&two)),
        _ => one.parse::<f64>().ok()?.partial_cmp(&two.parse::<f64>().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    #[test]
    fn a_number_is_what_json_takes_for_one() {
        for good in ["0", "-0", "23.50", "1e3", "1E+3", "-1.5e-7", "12345678901234567890123", "0.0"] {
            assert!(is_json_number(good), "{good}");
            assert!(serde_json::from_str::<f64>(good).is_ok(), "{good}");
        }
        for bad in [
            "", "-", "+1", ".5", "5.", "5.e1", "007", "-01", "1e", "1e+", "0x1F", "1,5", "NaN", "inf", "1 ", "1_0", "١",
        ] {
            assert!(!is_json_number(bad), "{bad}");
        }
    }

    #[test]
    fn digits_stay() {
        assert_eq!(number("23.50"), Some("23.50"));
        assert_eq!(number("1e999"), None, "not finite");
        assert_eq!(integer("36151").as_deref(), Some("36151"));
        assert_eq!(integer("12345678901234567890123").as_deref(), Some("12345678901234567890123"));
        assert_eq!(integer("5.00").as_deref(), Some("5"));
        assert_eq!(integer("-0.0").as_deref(), Some("0"));
        assert_eq!(integer("1.5e1").as_deref(), Some("15"));
        assert_eq!(integer("5.01"), None);
        assert_eq!(integer("1.5e0"), None);
        assert_eq!(integer("1e300"), None);
    }

    #[test]
    fn numbers_are_rounded_by_their_digits() {
        for (text, digits, rounded) in [
            ("23.456", 2, "23.46"),
            ("2.675", 2, "2.68"),
            ("-1.005", 2, "-1.01"),
            ("23.5", 2, "23.5"),
            ("23.5", 0, "24"),
            ("9.99", 1, "10.0"),
            ("-0.004", 2, "0.00"),
            ("12345678901234567890.05", 1, "12345678901234567890.1"),
            ("1.25e1", 0, "13"),
            ("1e300", 2, "1e300"),
        ] {
            assert_eq!(round(text, digits).as_deref(), Some(rounded), "{text}");
        }
        assert_eq!(round("\"x\"", 2), None);
    }

    #[test]
    fn large_whole_numbers_are_compared_exactly() {
        assert_eq!(compare("9007199254740993", "9007199254740992"), Some(Ordering::Greater));
        assert_eq!(compare("-0.01", "0"), Some(Ordering::Less));
        assert_eq!(compare("2147483648", "2147483647"), Some(Ordering::Greater));
    }
}

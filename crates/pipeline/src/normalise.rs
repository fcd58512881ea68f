//! How a person's data is made the same for everybody before it is hashed.
//!
//! Vendors compare hashes, so both sides must hash the same bytes: SHA-256 over UTF-8, written as 64 lower-case hex digits. A
//! text that is 64 hex digits already counts as hashed and is only put in lower case.

use sha2::{Digest, Sha256};

/// How a text is made the same for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Normaliser {
    /// Blanks around it are taken away.
    Text,
    /// Blanks are taken away, and it is put in lower case.
    Email,
    /// Only its digits stay, behind a plus sign (E.164); `00` at its start is a plus sign too.
    Phone,
}

// === impl Normaliser ===

impl Normaliser {
    /// Every one, by its word in files.
    pub const ALL: [(&'static str, Self); 3] = [("text", Self::Text), ("email", Self::Email), ("phone", Self::Phone)];

    /// The text in the form that is hashed.
    #[must_use]
    pub fn normal(self, text: &str) -> String {
        match self {
            Self::Text => text.trim().to_owned(),
            Self::Email => text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase(),
            Self::Phone => {
                let digits: String = text.chars().filter(char::is_ascii_digit).collect();
                let digits = digits.strip_prefix("00").unwrap_or(&digits);
                if digits.is_empty() { String::new() } else { format!("+{digits}") }
            }
        }
    }

    /// Its SHA-256 in lower-case hex.
    #[must_use]
    pub fn sha256(self, text: &str) -> String {
        let trimmed = text.trim();
        if trimmed.len() == 64 && trimmed.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return trimmed.to_ascii_lowercase();
        }
        let digest = Sha256::digest(self.normal(text).as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_has_the_same_hash() {
        // printf 'ada@example.com' | sha256sum
        let ada = "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72";
        assert_eq!(Normaliser::Email.sha256(" Ada@Example.com "), ada);
        assert_ne!(Normaliser::Text.sha256("Ada@Example.com"), ada);
        assert_eq!(Normaliser::Email.sha256(&ada.to_uppercase()), ada, "hashed already");
        assert_eq!(Normaliser::Phone.normal("+49 (0)151-23 45"), "+4901512345");
        assert_eq!(Normaliser::Phone.normal("0049 151 2345"), "+491512345");
    }
}

//! How a person's data is made the same for everybody before it is hashed.
//!
//! Vendors compare hashes, so both sides must hash the same bytes: SHA-256 over UTF-8, written as 64 lower-case hex digits.
//! They do not all write a value in one way, which is why the way is named: most want e-mail addresses without blanks in
//! lower case; Google also drops the dots before `@gmail.com` and `@googlemail.com`. Most want telephone numbers in E.164
//! with its plus sign, Meta the digits only. A number without its country's code cannot be completed here.
//!
//! A text that is 64 hex digits already counts as hashed and is only put in lower case: clients may hash themselves.

use sha2::{Digest, Sha256};

/// How a text is made the same for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Normaliser {
    /// Blanks around it are taken away.
    Text,
    /// Blanks are taken away, and it is put in lower case.
    Email,
    /// The same, and dots before `@gmail.com` and `@googlemail.com` are taken away.
    GoogleEmail,
    /// Only its digits stay, behind a plus sign (E.164); `00` at its start is a plus sign too.
    Phone,
    /// Only its digits stay, without zeros at the start.
    MetaPhone,
}

// === impl Normaliser ===

impl Normaliser {
    /// Every one, by its word in files.
    pub const ALL: [(&'static str, Self); 5] = [
        ("text", Self::Text),
        ("email", Self::Email),
        ("google_email", Self::GoogleEmail),
        ("phone", Self::Phone),
        ("meta_phone", Self::MetaPhone),
    ];

    /// The one of a word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(word, _)| *word == name).map(|(_, normaliser)| normaliser)
    }

    /// The one that suits a field of this name: `email` and `phone` anywhere in it decide.
    #[must_use]
    pub fn of_field(name: &str) -> Self {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        if plain.contains("email") {
            Self::Email
        } else if plain.contains("phone") {
            Self::Phone
        } else {
            Self::Text
        }
    }

    /// The text in the form that is hashed.
    #[must_use]
    pub fn normal(self, text: &str) -> String {
        let address = || text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
        let digits = || text.chars().filter(char::is_ascii_digit).collect::<String>();
        let normal = match self {
            Self::Text => text.trim().to_owned(),
            Self::Email => address(),
            Self::GoogleEmail => {
                let address = address();
                match address.rsplit_once('@') {
                    Some((name, domain @ ("gmail.com" | "googlemail.com"))) => {
                        format!("{}@{domain}", name.replace('.', ""))
                    }
                    _ => address,
                }
            }
            Self::Phone => {
                let digits = digits();
                let number = digits.strip_prefix("00").unwrap_or(&digits);
                if number.is_empty() { String::new() } else { format!("+{number}") }
            }
            Self::MetaPhone => digits().trim_start_matches('0').to_owned(),
        };
        // Without a digit it is no number; its hash must not be the one that all such texts share.
        if normal.is_empty() { text.trim().to_owned() } else { normal }
    }

    /// Its SHA-256 in lower-case hex.
    #[must_use]
    pub fn sha256(self, text: &str) -> String {
        let trimmed = text.trim();
        if trimmed.len() == 64 && trimmed.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return trimmed.to_ascii_lowercase();
        }
        sha256_hex(&self.normal(text))
    }
}

/// SHA-256 of a text in 64 lower-case hex digits, whatever the text is.
#[must_use]
pub fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_one_way_before_they_are_hashed() {
        use Normaliser::{Email, GoogleEmail, MetaPhone, Phone, Text};
        let cases = [
            (Text, "  Ada Lovelace\n", "Ada Lovelace"),
            (Email, " Ada.Love+shop@Gmail.COM ", "ada.love+shop@gmail.com"),
            (Email, "ÄDA@EXAMPLE. COM", "äda@example.com"),
            (GoogleEmail, " Ada.Love@Gmail.COM ", "adalove@gmail.com"),
            (GoogleEmail, "a.d.a@googlemail.com", "ada@googlemail.com"),
            (GoogleEmail, "ada.love@example.com", "ada.love@example.com"),
            (GoogleEmail, "ada.love@notgmail.com", "ada.love@notgmail.com"),
            (Phone, "+49 (151) 23-45", "+491512345"),
            (Phone, "0049 151 2345", "+491512345"),
            (MetaPhone, "+49 151 2345", "491512345"),
            (MetaPhone, "0049 151 2345", "491512345"),
            (Phone, " none ", "none"),
        ];
        for (normaliser, value, expected) in cases {
            assert_eq!(normaliser.normal(value), expected, "{normaliser:?} {value}");
        }
    }

    #[test]
    fn what_is_the_same_has_the_same_hash() {
        // printf 'ada@example.com' | sha256sum
        let ada = "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72";
        assert_eq!(Normaliser::Email.sha256(" Ada@Example.com "), ada);
        assert_ne!(Normaliser::Text.sha256("Ada@Example.com"), ada);
        assert_eq!(Normaliser::Email.sha256(&ada.to_uppercase()), ada, "hashed already");
        // printf 'abc' | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex("abc"), abc);
    }

    #[test]
    fn the_name_of_a_field_says_how_it_is_written() {
        for name in ["email", "e_mail", "customerEmail", "EMAIL_ADDRESS", "e-mail"] {
            assert_eq!(Normaliser::of_field(name), Normaliser::Email, "{name}");
        }
        for name in ["phone", "phone_number", "mobilePhone"] {
            assert_eq!(Normaliser::of_field(name), Normaliser::Phone, "{name}");
        }
        for name in ["name", "user_id", "ip", "mail", ""] {
            assert_eq!(Normaliser::of_field(name), Normaliser::Text, "{name}");
        }
        for (word, normaliser) in Normaliser::ALL {
            assert_eq!(Normaliser::from_name(word), Some(normaliser));
        }
    }
}

//! Hashing of personal data: SHA-256 in lower-case hex of a normalised value.
//!
//! Vendors match hashes, so a hash is only of use when the value was written in one way before. They do not all ask for the
//! same way, which is why the way is named: most want e-mail addresses without blanks in lower case; Google also drops the
//! dots before `@gmail.com` and `@googlemail.com`; most want telephone numbers as the digits of E.164, Google with the plus
//! sign in front. A number without its country's code cannot be completed here: that is the sender's part.
//!
//! An e-mail address or a telephone number that already is such a hash (64 hex digits) stays what it is, as both may come
//! from clients that hash themselves. Other texts are always hashed: one of 64 hex digits may be a secret in the clear.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// How a value is written before it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Normaliser {
    /// Without blanks around it.
    Text,
    /// Without blanks around it, in lower case.
    Email,
    /// The same, and without dots before `@gmail.com` and `@googlemail.com`.
    GoogleEmail,
    /// Digits only, without the zeros that introduce a country's code.
    Phone,
    /// The same, after a plus sign.
    GooglePhone,
}

// === impl Normaliser ===

impl Normaliser {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Text, Self::Email, Self::GoogleEmail, Self::Phone, Self::GooglePhone];

    /// The name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Email => "email",
            Self::GoogleEmail => "google_email",
            Self::Phone => "phone",
            Self::GooglePhone => "google_phone",
        }
    }

    /// The normaliser of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|normaliser| normaliser.as_str() == name)
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

    /// The value as it is hashed.
    #[must_use]
    pub fn normalise<'a>(self, value: &'a str) -> Cow<'a, str> {
        let value = value.trim();
        match self {
            Self::Text => Cow::Borrowed(value),
            Self::Email => lower(value),
            Self::GoogleEmail => match lower(value) {
                address if address.ends_with("@gmail.com") || address.ends_with("@googlemail.com") => {
                    let (name, domain) = address.rsplit_once('@').unwrap_or((&address, ""));
                    Cow::Owned(format!("{}@{domain}", name.replace('.', "")))
                }
                address => address,
            },
            Self::Phone | Self::GooglePhone => {
                let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                let number = digits.trim_start_matches('0');
                match number {
                    // Without a digit it is no number; its hash must not be the one that all such texts share.
                    "" => Cow::Borrowed(value),
                    number if self == Self::GooglePhone => Cow::Owned(format!("+{number}")),
                    number => Cow::Owned(number.to_owned()),
                }
            }
        }
    }

    /// The hash of a value. An empty one stays empty, and an e-mail address or telephone number that is such a hash stays.
    #[must_use]
    pub fn hash(self, value: &str) -> String {
        let bare = value.trim();
        if bare.is_empty() || (self != Self::Text && is_hash(bare)) {
            return bare.to_ascii_lowercase();
        }
        sha256_hex(&self.normalise(value))
    }
}

fn lower(value: &str) -> Cow<'_, str> {
    if value.chars().any(char::is_uppercase) { Cow::Owned(value.to_lowercase()) } else { Cow::Borrowed(value) }
}

fn is_hash(value: &str) -> bool {
    value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// SHA-256 of a text, in 64 lower-case hex digits.
#[must_use]
pub fn sha256_hex(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(text.as_bytes());
    let digits = digest.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_one_way_before_they_are_hashed() {
        use Normaliser::{Email, GoogleEmail, GooglePhone, Phone, Text};
        let cases = [
            (Text, "  Ada Lovelace\n", "Ada Lovelace"),
            (Email, " Ada.Love+shop@Gmail.COM ", "ada.love+shop@gmail.com"),
            (Email, "ÄDA@EXAMPLE.COM", "äda@example.com"),
            (GoogleEmail, " Ada.Love@Gmail.COM ", "adalove@gmail.com"),
            (GoogleEmail, "a.d.a@googlemail.com", "ada@googlemail.com"),
            (GoogleEmail, "ada.love@example.com", "ada.love@example.com"),
            (GoogleEmail, "ada.love@notgmail.com", "ada.love@notgmail.com"),
            (Phone, "+49 (151) 23-45", "491512345"),
            (Phone, "0049 151 2345", "491512345"),
            (GooglePhone, "+49 151 2345", "+491512345"),
            (Phone, "none", "none"),
        ];
        for (normaliser, value, expected) in cases {
            assert_eq!(normaliser.normalise(value), expected, "{normaliser:?} {value}");
        }
    }

    #[test]
    fn a_hash_is_sha_256_in_lower_case_hex() {
        // printf 'ada@example.com' | sha256sum
        let ada = "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72";
        assert_eq!(Normaliser::Email.hash(" Ada@Example.com"), ada);
        // printf 'abc' | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Normaliser::Text.hash(" abc "), abc);
        assert_eq!(Normaliser::Email.hash(&ada.to_uppercase()), ada, "it is a hash already");
        assert_ne!(Normaliser::Text.hash(ada), ada, "a text of that form may be a secret");
        assert_eq!(Normaliser::Phone.hash("  "), "", "there is nothing to hide");
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
        for normaliser in Normaliser::ALL {
            assert_eq!(Normaliser::from_name(normaliser.as_str()), Some(normaliser));
        }
    }
}

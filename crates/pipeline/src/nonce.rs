//! The nonce of a send: the same over retries, restarts and replays, and no two alike.
//!
//! `message_id` sends a message id that is a UUID as it is, for the event's first send. Any other message id, any further
//! send of the same event, and `hex16` give the first 8 bytes of SHA-256, as 16 upper-case hex digits, over
//!
//! ```text
//! account, 0x00, message id, 0x00, rule, 0x00, ordinal
//! ```
//!
//! with the account (for Kameleoon the site code) and the rule's name as UTF-8 and the ordinal of the send, counted from 0,
//! in decimal. For the first send of an order: `printf 'f17c21u1ag\0m-1\0Order Completed\0000' | sha256sum`. Neither an
//! account nor a rule's name can hold a zero byte, so no two inputs run together.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// How nonces are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NonceForm {
    /// A UUID message id as it is, else 16 hex digits.
    #[default]
    MessageId,
    /// Always 16 hex digits.
    Hex16,
}

// === impl NonceForm ===

impl NonceForm {
    /// The nonce of a send.
    pub(crate) fn nonce<'a>(self, account: &str, message_id: Cow<'a, str>, rule: &str, ordinal: u16) -> Cow<'a, str> {
        if self == Self::MessageId && ordinal == 0 && is_uuid(&message_id) {
            return message_id;
        }
        Cow::Owned(hex16(account, &message_id, rule, ordinal))
    }
}

/// Only the usual form of 36 characters: other forms that are called UUIDs are no nonce that a vendor has seen.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

fn hex16(account: &str, message_id: &str, rule: &str, ordinal: u16) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut hash = Sha256::new();
    for part in [account, message_id, rule] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(ordinal.to_string().as_bytes());
    let digest = hash.finalize();
    let digits = digest.iter().take(8).flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa";

    fn nonce(form: NonceForm, id: &str, rule: &str, ordinal: u16) -> String {
        form.nonce("f17c21u1ag", id.into(), rule, ordinal).into_owned()
    }

    #[test]
    fn a_uuid_is_sent_as_it_is_but_only_once() {
        assert_eq!(nonce(NonceForm::MessageId, UUID, "page", 0), UUID);
        assert_eq!(nonce(NonceForm::MessageId, &UUID.to_uppercase(), "page", 0), UUID.to_uppercase());
        assert_eq!(nonce(NonceForm::MessageId, UUID, "page", 1).len(), 16);
        assert_eq!(nonce(NonceForm::Hex16, UUID, "page", 0).len(), 16);
        let plain = UUID.replace('-', "");
        for other in [&*plain, &format!("{{{UUID}}}"), &format!("urn:uuid:{UUID}"), "m-1"] {
            assert_eq!(nonce(NonceForm::MessageId, other, "page", 0).len(), 16, "{other}");
        }
    }

    #[test]
    fn a_derived_nonce_is_the_documented_one() {
        // printf 'f17c21u1ag\0m-1\0Order Completed\0000' | sha256sum
        let known = nonce(NonceForm::Hex16, "m-1", "Order Completed", 0);
        assert_eq!(known, "2B5005F3783ACCA5");
        for other in [
            nonce(NonceForm::Hex16, "m-2", "Order Completed", 0),
            nonce(NonceForm::Hex16, "m-1", "Order Refunded", 0),
            nonce(NonceForm::Hex16, "m-1", "Order Completed", 1),
        ] {
            assert_ne!(known, other);
        }
    }
}

//! The binary head that stands before each event in the journal.
//!
//! It carries what a lane needs to pass over an event unparsed (kind, pipeline, type, names), what keeps order and finds
//! duplicates (order key, fingerprint), and when the event came in. The body behind it is the event's canonical JSON,
//! kept as it was written.
//!
//! Layout, little-endian: version `u8` = 1, kind `u8`, type `u8`, protocol length `u8`, received_at `i64` (µs), order
//! key `u64`, fingerprint `u128`, then lengths of pipeline (`u16`), name (`u16`) and source name (`u16`), the four texts
//! in the order protocol, pipeline, name, source name, and the body up to the end of the record.

use bytes::Bytes;

use crate::outcome::codes;
use crate::{EventType, Fingerprint, OrderKey, Timestamp};
use std::fmt;

use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;
const FIXED: usize = 4 + 8 + 8 + 16 + 6;

codes! {
    /// What a record's body is.
    Kind {
        /// A canonical event.
        Event = 1 "event",
        /// Nothing any more: a person's data stood here.
        Erased = 2 "erased",
    }
}

/// What stands before a record's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// What the body is.
    pub kind: Kind,
    /// The event's type.
    pub event_type: EventType,
    /// The protocol it came by: `segment`, `ga4_mp` …
    pub protocol: &'a str,
    /// When it came in.
    pub received_at: Timestamp,
    /// Whose event it is.
    pub order_key: OrderKey,
    /// Its message id within its pipeline.
    pub fingerprint: Fingerprint,
    /// Its pipeline.
    pub pipeline: &'a str,
    /// Its canonical name; empty for types that have none.
    pub name: &'a str,
    /// The name under which it came in; empty for types that have none.
    pub source_name: &'a str,
}

/// A head and a body in one piece of memory, as the journal stores it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Bytes);

/// Bytes that are no record of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The record ends before its head does.
    #[error("the record ends within its head")]
    Short,
    /// A head of another version: a newer anole wrote it.
    #[error("the record has head version {0}, this anole reads version {VERSION}")]
    Version(u8),
    /// A kind or type that this version does not know.
    #[error("the record has an unknown kind or type")]
    Unknown,
    /// A text that is no UTF-8.
    #[error("the record's head holds text that is no UTF-8")]
    Text,
}

// === impl Head ===

impl<'a> Head<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        // Texts are cut at what their length field holds. Ingest refuses names over 1,000 bytes long before that.
        let protocol = cut(self.protocol, usize::from(u8::MAX));
        let texts = [self.pipeline, self.name, self.source_name].map(|text| cut(text, usize::from(u16::MAX)));
        out.extend_from_slice(&[VERSION, self.kind.number(), self.event_type.number()]);
        out.push(u8::try_from(protocol.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(&self.received_at.micros().to_le_bytes());
        out.extend_from_slice(&self.order_key.0.to_le_bytes());
        out.extend_from_slice(&self.fingerprint.0.to_le_bytes());
        for text in texts {
            out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        }
        out.extend_from_slice(protocol.as_bytes());
        for text in texts {
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Reads a record's bytes into its head and its body.
    ///
    /// # Errors
    /// When the bytes are no record of this version.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), HeadError> {
        let fixed = bytes.get(..FIXED).ok_or(HeadError::Short)?;
        if fixed[0] != VERSION {
            return Err(HeadError::Version(fixed[0]));
        }
        let length = |at: usize| usize::from(u16::from_le_bytes([fixed[at], fixed[at + 1]]));
        let mut rest = &bytes[FIXED..];
        let mut text = |length: usize| {
            let (text, left) = rest.split_at_checked(length).ok_or(HeadError::Short)?;
            rest = left;
            std::str::from_utf8(text).map_err(|_| HeadError::Text)
        };
        let head = Self {
            kind: Kind::from_number(fixed[1]).ok_or(HeadError::Unknown)?,
            event_type: EventType::from_number(fixed[2]).ok_or(HeadError::Unknown)?,
            protocol: text(usize::from(fixed[3]))?,
            received_at: Timestamp::from_micros(i64::from_le_bytes(array(&fixed[4..]))),
            order_key: OrderKey(u64::from_le_bytes(array(&fixed[12..]))),
            fingerprint: Fingerprint(u128::from_le_bytes(array(&fixed[20..]))),
            pipeline: text(length(36))?,
            name: text(length(38))?,
            source_name: text(length(40))?,
        };
        Ok((head, rest))
    }
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

// === impl Record ===

impl Record {
    /// Puts a head before a body.
    #[must_use]
    pub fn new(head: &Head<'_>, body: &[u8]) -> Self {
        let texts = head.protocol.len() + head.pipeline.len() + head.name.len() + head.source_name.len();
        let mut bytes = Vec::with_capacity(FIXED + texts + body.len());
        head.put(&mut bytes);
        bytes.extend_from_slice(body);
        Self(bytes.into())
    }

    /// A record from bytes that a journal kept. They are checked when they are read.
    #[must_use]
    pub const fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes that a journal keeps.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The head.
    ///
    /// # Errors
    /// When the bytes are no record of this version.
    pub fn head(&self) -> Result<Head<'_>, HeadError> {
        Head::split(&self.0).map(|(head, _)| head)
    }

    /// The body, sharing the record's memory.
    ///
    /// # Errors
    /// When the bytes are no record of this version.
    pub fn body(&self) -> Result<Bytes, HeadError> {
        let (_, body) = Head::split(&self.0)?;
        Ok(self.0.slice(self.0.len() - body.len()..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head<'static> {
        Head {
            kind: Kind::Event,
            event_type: EventType::Track,
            protocol: "segment",
            received_at: Timestamp::from_micros(-5),
            order_key: OrderKey(7),
            fingerprint: Fingerprint(u128::MAX - 1),
            pipeline: "shop",
            name: "Order Completed",
            source_name: "purchase",
        }
    }

    #[test]
    fn a_record_gives_back_its_head_and_its_body() {
        let record = Record::new(&head(), b"{}");
        assert_eq!(record.head(), Ok(head()));
        assert_eq!(record.body(), Ok(Bytes::from_static(b"{}")));
        let empty = Record::new(&Head { name: "", source_name: "", ..head() }, b"");
        assert_eq!(empty.head().map(|head| head.name), Ok(""));
    }

    #[test]
    fn bytes_that_are_no_record_are_refused_and_never_panic() {
        let whole = Record::new(&head(), b"");
        for length in 0..whole.bytes().len() {
            assert_eq!(Head::split(&whole.bytes()[..length]).err(), Some(HeadError::Short), "cut at {length}");
        }
        let mut newer = whole.bytes().to_vec();
        newer[0] = 2;
        assert_eq!(Head::split(&newer).err(), Some(HeadError::Version(2)));
        newer[0] = 1;
        newer[1] = 99;
        assert_eq!(Head::split(&newer).err(), Some(HeadError::Unknown));
    }

    #[test]
    fn a_text_too_long_for_its_field_is_cut_between_characters() {
        let long = "é".repeat(40_000);
        let record = Record::new(&Head { name: &long, ..head() }, b"body");
        assert_eq!(record.head().map(|head| head.name.len()), Ok(65_534));
        assert_eq!(record.body(), Ok(Bytes::from_static(b"body")));
    }
}

//! What can be saved of a batch that is not JSON.
//!
//! One event with `NaN` in it (Python writes that without being asked), or with a byte that is no UTF-8, makes a body of a
//! hundred events unreadable, and the client drops all of them on a 400. So when the strict reading fails, the body is
//! split by its brackets and quotes alone, and each event is read by itself: the bad one gets its verdict. Only a body
//! whose brackets or quotes are broken is refused whole. This walks the bytes once, without recursion, and only then.

use crate::envelope::{Batch, Envelope, Item};

/// A body that was split.
#[derive(Debug)]
pub(crate) struct Split<'b> {
    /// The root without its events, as JSON.
    root: Vec<u8>,
    items: Vec<&'b [u8]>,
}

/// Walks over bytes that look like JSON.
struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
}

/// Splits a body; `None` when even its outline is broken, or it has no array `batch`.
pub(crate) fn split(bytes: &[u8]) -> Option<Split<'_>> {
    let mut walk = Walk { bytes, at: 0 };
    let mut root = vec![b'{'];
    let mut items = None;
    walk.expect(b'{')?;
    while !walk.is_next(b'}') {
        let key = walk.text()?;
        walk.expect(b':')?;
        if key == b"\"batch\"" && walk.peek() == Some(b'[') {
            items = Some(walk.elements()?);
        } else {
            if root.len() > 1 {
                root.push(b',');
            }
            root.extend_from_slice(key);
            root.push(b':');
            root.extend_from_slice(walk.value()?);
        }
        if !walk.is_next(b',') {
            walk.expect(b'}')?;
            break;
        }
    }
    root.push(b'}');
    // Behind the root there may be nothing.
    walk.peek().is_none().then_some(Split { root, items: items? })
}

// === impl Split ===

impl Split<'_> {
    /// Reads what was split, at most so many events.
    ///
    /// # Errors
    /// When the root itself is not JSON.
    pub(crate) fn batch(&self, most: usize) -> Result<Batch<'_>, serde_json::Error> {
        let root: Envelope<'_> = serde_json::from_slice(&self.root)?;
        let items = self.items.iter().take(most).map(|bytes| match std::str::from_utf8(bytes) {
            Ok(json) => serde_json::from_str(json).unwrap_or_else(|error| Item::NotJson(error.to_string())),
            Err(error) => Item::NotJson(format!("its byte {} is no UTF-8", error.valid_up_to())),
        });
        Ok(Batch { root, items: Some(items.collect()), over: self.items.len().saturating_sub(most) })
    }
}

impl<'b> Walk<'b> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn is_next(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.is_next(byte).then_some(())
    }

    /// A text with its quotes.
    fn text(&mut self) -> Option<&'b [u8]> {
        self.peek().filter(|byte| *byte == b'"')?;
        let from = self.at;
        self.skip_text()?;
        self.bytes.get(from..self.at)
    }

    fn skip_text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Whatever stands up to the comma or the bracket that ends it.
    fn value(&mut self) -> Option<&'b [u8]> {
        self.peek()?;
        let from = self.at;
        let mut depth = 0_usize;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.skip_text()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b'}' | b']' => break,
                b',' if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        let value = self.bytes.get(from..self.at)?.trim_ascii_end();
        (!value.is_empty()).then_some(value)
    }

    /// The elements of an array.
    fn elements(&mut self) -> Option<Vec<&'b [u8]>> {
        let mut elements = Vec::new();
        self.expect(b'[')?;
        if self.is_next(b']') {
            return Some(elements);
        }
        loop {
            elements.push(self.value()?);
            if !self.is_next(b',') {
                self.expect(b']')?;
                return Some(elements);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Field;

    fn items(body: &[u8]) -> Option<String> {
        let split = split(body)?;
        let batch = split.batch(500).ok()?;
        let sign = |item: &Item<'_>| match item {
            Item::Event(_) => 'e',
            Item::NotObject => 'o',
            Item::NotJson(_) => 'x',
        };
        Some(batch.items?.iter().map(sign).collect())
    }

    #[test]
    fn one_unreadable_event_costs_only_itself() {
        let body =
            br#" {"writeKey":"wk" , "batch":[{"a":NaN} ,{"b":"]},\"{"}, 7,{"c":[{}]},{"x": undefined}],"sentAt":"s"} "#;
        assert_eq!(items(body).as_deref(), Some("xeoex"));
        let split = split(body).expect("an outline");
        let batch = split.batch(2).expect("a batch");
        assert_eq!((batch.items.map(|items| items.len()), batch.over), (Some(2), 3));
        assert_eq!(batch.root.get(Field::SentAt).map(serde_json::value::RawValue::get), Some("\"s\""));
    }

    #[test]
    fn a_byte_that_is_no_utf8_costs_only_its_event() {
        assert_eq!(items(b"{\"batch\":[{\"a\":\"\xff\"},{\"a\":\"b\"}]}").as_deref(), Some("xe"));
    }

    #[test]
    fn a_body_whose_outline_is_broken_cannot_be_saved() {
        let broken: [&[u8]; 9] = [
            b"",
            b"{",
            b"{\"batch\":[{\"a\":1}",
            b"{\"batch\":[{\"a\":\"b}]}",
            b"{\"batch\":[{}]} x",
            b"{\"batch\":{}}",
            b"{\"batch\":[{},]}",
            b"{\"batch\":[{}],\"k\":}",
            b"not json",
        ];
        for body in broken {
            assert_eq!(items(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}

//! The events of the load. Everything about an event follows from its number, so nothing has to be kept to know what must
//! have arrived.

use fastrand::Rng;

/// Visitors of each client. Their events are in order; those of different visitors need not be.
const VISITORS: u16 = 4;
/// How large the part is that no vendor sees, mostly and now and then.
const SMALL: std::ops::Range<usize> = 0..600;
const LARGE: std::ops::Range<usize> = 2_000..30_000;

/// Who makes events, and in which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Author {
    pub(super) seed: u64,
    pub(super) block: u32,
    pub(super) client: u16,
}

/// An event as it is posted, and as it must come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) nonce: String,
    pub(super) visitor: String,
    /// `track` or `page`.
    pub(super) kind: &'static str,
    /// The body of a single post, or an item of a batch.
    pub(super) body: String,
    /// The properties as the journal must have them, digit for digit.
    pub(super) properties: String,
    /// What must arrive at each vendor, byte for byte.
    pub(super) rendered: String,
}

// === impl Author ===

impl Author {
    /// The event of this number.
    pub(super) fn event(&self, number: u64) -> Event {
        let mut rng = Rng::with_seed(self.seed ^ (u64::from(self.client) << 48) ^ number.wrapping_mul(0x9E37_79B9));
        let nonce = self.nonce(number);
        let visitor = format!("v-{}-{}-{}", self.block, self.client, rng.u16(0..VISITORS));
        let pad = pad(&mut rng);
        if rng.u8(0..4) == 0 {
            let (product, title) = (rng.u16(..), rng.u16(..));
            let properties = format!(r#"{{"pad":"{pad}"}}"#);
            let (url, title) = (format!("https://shop.example.com/p/{product}"), format!("Product {title}"));
            let body = format!(
                r#"{{"type":"page","anonymousId":"{visitor}","messageId":"{nonce}","properties":{properties},"context":{{"page":{{"url":"{url}","title":"{title}"}}}}}}"#
            );
            let rendered = format!(
                r#"{{"nonce":"{nonce}","eventType":"PAGE","visitorCode":"{visitor}","href":"{url}","title":"{title}"}}"#
            );
            return Event { nonce, visitor, kind: "page", body, properties, rendered };
        }
        // Also digits that a float would not keep.
        let revenue = format!("{}.{:02}0", rng.u32(..), rng.u8(0..100));
        let properties = format!(r#"{{"revenue":{revenue},"pad":"{pad}"}}"#);
        let body = format!(
            r#"{{"type":"track","event":"Order Completed","anonymousId":"{visitor}","messageId":"{nonce}","properties":{properties}}}"#
        );
        let rendered = format!(
            r#"{{"nonce":"{nonce}","eventType":"CONVERSION","visitorCode":"{visitor}","goalId":36151,"revenue":{revenue}}}"#
        );
        Event { nonce, visitor, kind: "track", body, properties, rendered }
    }

    /// The nonce of the event of this number, which is its message id.
    pub(super) fn nonce(&self, number: u64) -> String {
        format!("{:08x}-{:04x}-4000-8000-{number:012x}", self.block, self.client)
    }

    /// The author and the number of the event of a nonce that one of this block's authors gave.
    pub(super) fn of_nonce(seed: u64, nonce: &str) -> Option<(Self, u64)> {
        let block = u32::from_str_radix(nonce.get(..8)?, 16).ok()?;
        let client = u16::from_str_radix(nonce.get(9..13)?, 16).ok()?;
        let number = u64::from_str_radix(nonce.get(24..)?, 16).ok()?;
        let author = Self { seed, block, client };
        (author.nonce(number) == nonce).then_some((author, number))
    }
}

/// Text that is another in each event.
fn pad(rng: &mut Rng) -> String {
    let length = if rng.u8(0..40) == 0 { rng.usize(LARGE) } else { rng.usize(SMALL) };
    let word = format!("{:016x}", rng.u64(..));
    let mut pad = word.repeat(length / word.len() + 1);
    pad.truncate(length);
    pad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_follows_from_its_number_and_the_number_from_its_nonce() {
        let author = Author { seed: 7, block: 3, client: 5 };
        let event = author.event(900);
        assert_eq!(event, author.event(900));
        assert_ne!(event.properties, author.event(901).properties);
        assert_eq!(Author::of_nonce(7, &event.nonce), Some((author, 900)));
        assert_eq!(Author::of_nonce(7, "9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa"), None);
        assert_eq!(Author::of_nonce(7, ""), None);
        let body: serde_json::Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(body["messageId"], event.nonce);
    }
}

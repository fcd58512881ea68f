//! The message id of an order, which the two GA4 protocols have in common: one purchase or refund per transaction id, as
//! Google counts, whether a page told it or a back end, or both.

use xxhash_rust::xxh3::Xxh3;

/// The message id of a `purchase` or `refund` with a transaction id; `None` for other events.
pub(crate) fn of_order(measurement_id: &str, name: &str, transaction: Option<&str>) -> Option<String> {
    let transaction = transaction.filter(|id| !id.trim().is_empty() && matches!(name, "purchase" | "refund"))?;
    let mut hash = Xxh3::new();
    for part in [measurement_id.as_bytes(), b"\0transaction\0", name.as_bytes(), b"\0", transaction.as_bytes()] {
        hash.update(part);
    }
    Some(as_uuid(&hash))
}

/// A hash as a UUID (version 8), so that it may serve as a nonce.
pub(crate) fn as_uuid(hash: &Xxh3) -> String {
    uuid::Builder::from_custom_bytes(hash.digest128().to_be_bytes()).into_uuid().to_string()
}

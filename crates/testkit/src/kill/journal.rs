//! Reads a journal without its daemon and compares it with what was acknowledged.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anole_event::{Kind, SystemClock};
use anole_journal::{Embedded, Journal, Read};
use anole_telemetry::Telemetry;
use serde::Deserialize;

use super::event::Author;

/// What a journal was found to hold.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Acknowledged and not there.
    pub(super) lost: Vec<String>,
    /// Records that are not what was sent.
    pub(super) changed: Vec<String>,
    /// Anything else that may not be.
    pub(super) wrong: Vec<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    message_id: &'a str,
    anonymous_id: &'a str,
    #[serde(borrow)]
    properties: &'a serde_json::value::RawValue,
}

/// Reads the whole journal. Blocking.
pub(super) fn compare(dir: &Path, author: Author, acknowledged: &[HashSet<u64>]) -> Found {
    let mut found = Found::default();
    let telemetry = Telemetry::new(Arc::new(SystemClock::new()));
    let journal = match Embedded::open_read_only(dir, telemetry) {
        Ok(journal) => journal,
        Err(error) => {
            found.wrong.push(format!("the journal cannot be opened: {error}"));
            return found;
        }
    };
    let mut left: Vec<_> = acknowledged.to_vec();
    let mut reader = journal.reader(journal.starts().first().copied().unwrap_or_default());
    loop {
        match reader.try_next() {
            Ok(Some(Read::Block(block))) => {
                for (_, record) in &block.records {
                    let is_event = record.head().is_ok_and(|head| head.kind == Kind::Event);
                    let body = record.body().unwrap_or_default();
                    match same(&body, author).filter(|_| is_event) {
                        Some((client, number)) => {
                            if let Some(left) = left.get_mut(usize::from(client)) {
                                left.remove(&number);
                            }
                        }
                        None => found.changed.push(format!(
                            "the journal has a record that nobody sent: {}",
                            String::from_utf8_lossy(&body[..body.len().min(300)])
                        )),
                    }
                }
            }
            Ok(Some(Read::Gap(gap))) => found.wrong.push(format!("the journal has a gap: {gap:?}")),
            Ok(None) => break,
            Err(error) => {
                found.wrong.push(format!("the journal cannot be read: {error}"));
                break;
            }
        }
    }
    for (client, left) in (0..).zip(&left) {
        let author = Author { client, ..author };
        found.lost.extend(left.iter().map(|number| author.nonce(*number)));
    }
    found
}

/// Which event this is, when it is as it was sent.
fn same(body: &[u8], author: Author) -> Option<(u16, u64)> {
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    let (of, number) = Author::of_nonce(author.seed, body.message_id)?;
    let event = of.event(number);
    let is_same =
        of.block == author.block && event.visitor == body.anonymous_id && event.properties == body.properties.get();
    is_same.then_some((of.client, number))
}

//! What stands in the journal's files, which a broken disk may change.

use std::path::Path;
use std::sync::Arc;

use anole_event::{Kind, ManualClock, Position, Record, Seeded, Timestamp};
use anole_journal::{Embedded, EmbeddedOptions, Journal, Read};
use anole_telemetry::Telemetry;
use bytes::Bytes;
use tempfile::TempDir;

use crate::kept::Shop;
use crate::world::NOW;

std::thread_local! {
    static SHOP: Shop = Shop::open();
    static FOLDER: TempDir = tempfile::tempdir().unwrap();
}

/// A file in the place of a segment: it is read to its end, looked at once more as it is opened for writing (which cuts and
/// sets aside), and read again. Every record that is yielded was yielded at a position of its own, in order.
pub(crate) fn journal(input: &[u8]) {
    FOLDER.with(|folder| {
        let dir = folder.path().join("journal");
        std::fs::create_dir_all(&dir).expect("a folder");
        std::fs::write(dir.join(format!("{:020}.segment", 0)), input).expect("a file");
        let clock = ManualClock::at(Timestamp::parse(NOW).unwrap());
        let telemetry = Telemetry::new(Arc::new(clock.clone()));
        if let Ok(journal) = Embedded::open_read_only(&dir, Arc::clone(&telemetry)) {
            read_all(&*journal);
        }
        let options = EmbeddedOptions { reserve: 0, ..EmbeddedOptions::new(&dir) };
        if let Ok(journal) =
            Embedded::open_stepped(options, Arc::clone(&telemetry), Arc::new(clock), Box::new(Seeded::new(7)))
        {
            read_all(&*journal);
            journal.close();
        }
        empty(folder.path());
    });
}

fn read_all(journal: &dyn Journal) {
    let mut reader = journal.reader(Position::default());
    let mut before = None;
    while let Ok(Some(read)) = reader.try_next() {
        let Read::Block(block) = read else { continue };
        for (position, record) in block.records {
            assert!(before < Some(position), "positions go up: {before:?}, {position:?}");
            before = Some(position);
            record_of(record.bytes().clone());
        }
    }
}

fn empty(folder: &Path) {
    std::fs::remove_dir_all(folder.join("journal")).expect("a folder that can go");
}

/// A record's bytes, as they would stand behind a sum that fits: its head, its body, and what mapping makes of it.
pub(crate) fn record(input: &[u8]) {
    record_of(Bytes::copy_from_slice(input));
}

fn record_of(bytes: Bytes) {
    let record = Record::from_bytes(bytes);
    let (Ok(head), Ok(body)) = (record.head(), record.body()) else { return };
    if head.kind == Kind::Event {
        SHOP.with(|shop| shop.map(&head, &body));
    }
}

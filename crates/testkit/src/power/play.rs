//! What happens in a life: by chance, and the same for the same seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use anole_event::{Clock, EventType, Fingerprint, Head, Kind, OrderKey, Position, Record};
use anole_journal::Journal;
use anole_journal::simulation::Call;

use super::book::Wrong;
use super::life::Life;
use super::{Failure, Options, Report};

/// Plays one life.
pub(super) fn one(seed: u64, options: &Options) -> Report {
    let mut life = Life::new(seed, options, false);
    let Err(wrong) = life.live_or_panic(options.cuts) else { return life.report };
    let mut report = std::mem::take(&mut life.report);
    drop(life);
    // Once more, this time with a history: keeping one always would cost more than the life.
    let mut again = Life::new(seed, options, true);
    let same = again.live_or_panic(options.cuts) == Err(wrong.clone());
    let what = if same { wrong.to_string() } else { format!("{wrong}; it did not happen a second time") };
    report.lost += u64::from(matches!(wrong, Wrong::Lost { .. }));
    report.changed += u64::from(matches!(wrong, Wrong::Changed { .. }));
    report.failures.push(Failure { seed, what, history: again.history() });
    report
}

impl Life {
    fn live_or_panic(&mut self, cuts: u64) -> Result<(), Wrong> {
        let lived = catch_unwind(AssertUnwindSafe(|| self.live(cuts)));
        lived.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Wrong::Other(format!("it panics: {}", text.unwrap_or_default())))
        })
    }

    fn live(&mut self, cuts: u64) -> Result<(), Wrong> {
        self.arm(30);
        self.rise()?;
        // A life in which the cuts are far apart ends as well.
        for _ in 0..cuts * 60 {
            if !self.disk.is_on() {
                self.fall()?;
                if self.report.cuts + self.report.kills >= cuts {
                    break;
                }
                self.rise()?;
            } else if self.journal.is_none() {
                self.rise()?;
            } else {
                self.act()?;
            }
        }
        self.finish()
    }

    /// A last end, and a last look.
    fn finish(&mut self) -> Result<(), Wrong> {
        if !self.disk.is_on() {
            self.fall_and_rise()?;
        }
        self.disk.heal();
        self.look(false)?;
        self.cut_now();
        self.fall_and_rise()
    }

    fn fall_and_rise(&mut self) -> Result<(), Wrong> {
        loop {
            if !self.disk.is_on() {
                self.fall()?;
            }
            self.rise()?;
            if self.disk.is_on() && self.journal.is_some() {
                return Ok(());
            }
        }
    }

    fn act(&mut self) -> Result<(), Wrong> {
        match self.random.u8(..100) {
            0..50 => self.append_some()?,
            50..60 => self.look(false)?,
            60..68 => {
                let pause = self.random.choice([1, 20, 100, 1000, 100_000]).unwrap_or(1);
                self.clock.advance(Duration::from_millis(pause));
                self.step()?;
            }
            68..76 => self.trim_some()?,
            76..82 => self.erase_some()?,
            82..86 => self.find_some()?,
            86..90 => self.reopen()?,
            90..92 => self.arm(300),
            92..93 => self.cut_now(),
            _ if self.faults => self.fail_some()?,
            _ => self.step()?,
        }
        Ok(())
    }

    fn append_some(&mut self) -> Result<(), Wrong> {
        for _ in 0..self.random.u8(1..5) {
            // Now and then more than one group holds.
            let is_large = self.random.u8(..100) < self.large;
            let records = if is_large { self.random.usize(1..4) } else { self.random.usize(1..6) };
            let first = self.book.len();
            let records = (first..first + records).map(|number| self.make(number, is_large)).collect();
            self.append(records);
        }
        self.clock.advance(Duration::from_micros(self.random.u64(..30_000)));
        if self.random.u8(..10) == 0 {
            // While it is being written, mostly.
            self.arm(8);
        }
        self.step()
    }

    /// A record that no other one equals, but for the shortest.
    fn make(&mut self, number: usize, is_large: bool) -> Record {
        let length = if is_large {
            self.random.usize(90_000..200_000)
        } else {
            let most = self.random.choice([1, 30, 300, 1500]).unwrap_or(30);
            self.random.usize(..most)
        };
        if !is_large && self.random.u8(..6) == 0 {
            // Bytes that are no event, down to a single one.
            let bytes = (number as u64 + 1).to_be_bytes();
            let from = (length % 8).max(bytes.iter().take_while(|byte| **byte == 0).count().min(7));
            return Record::from_bytes(bytes[from..].to_vec().into());
        }
        let id = format!("m-{number}");
        let head = Head {
            kind: Kind::Event,
            event_type: EventType::Track,
            protocol: "segment",
            received_at: self.clock.wall(),
            order_key: OrderKey::of(None, None, &id),
            fingerprint: Fingerprint::of("shop", &id),
            pipeline: "shop",
            name: "Order Completed",
            source_name: "",
        };
        let pad = self.random.alphanumeric();
        let body: String = std::iter::repeat_n(pad, length).collect();
        Record::new(&head, format!("{id} {body}").as_bytes())
    }

    fn trim_some(&mut self) -> Result<(), Wrong> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let (start, end) = (journal.starts()[0].offset, journal.ends()[0].offset);
        let to = if self.random.bool() { self.random.u64(start..=end) } else { end };
        journal.trim(&[Position::at(to)]);
        self.book.trimmed(to);
        self.say(|| format!("trimmed to {to}"));
        self.clock.advance(self.options.keep.mul_f64(self.random.f64() * 1.5));
        self.step()
    }

    fn erase_some(&mut self) -> Result<(), Wrong> {
        let mut some: Vec<_> = self.book.placed().take(300).map(|(number, _)| number).collect();
        self.random.shuffle(&mut some);
        some.truncate(self.random.usize(1..6));
        some.retain(|number| self.book.record(*number).head().is_ok());
        if !some.is_empty() {
            self.say(|| format!("to be erased: {some:?}"));
            self.erase(some);
            if self.random.bool() {
                self.look(false)?;
            }
            self.step()?;
        }
        Ok(())
    }

    /// What must be there is found by its message id.
    fn find_some(&mut self) -> Result<(), Wrong> {
        let recent: Vec<_> = self.book.placed().take(200).collect();
        let Some((number, place)) = self.random.choice(&recent).copied() else { return Ok(()) };
        let (Some(journal), true) = (&self.journal, self.book.is_safe(number)) else { return Ok(()) };
        let Ok(head) = self.book.record(number).head() else { return Ok(()) };
        let found = journal.find(head.fingerprint, Position::default(), u64::MAX);
        let found = found.map_err(|error| Wrong::Other(error.to_string()))?;
        let is_there =
            found.records.iter().any(|(at, record)| at.offset == place && record == self.book.record(number));
        if !is_there && place >= journal.starts()[0].offset {
            return Err(Wrong::Other(format!("record {number} at {place} is not found by its message id")));
        }
        Ok(())
    }

    /// Something goes wrong with the disk.
    fn fail_some(&mut self) -> Result<(), Wrong> {
        const EIO: i32 = 5;
        const ENOSPC: i32 = 28;
        if self.random.u8(..4) == 0 {
            return self.fill();
        }
        let (call, error) = self
            .random
            .choice([
                (Call::Sync, EIO),
                (Call::Sync, EIO),
                (Call::Write, EIO),
                (Call::Write, ENOSPC),
                (Call::SyncFolder, EIO),
                (Call::Create, ENOSPC),
                (Call::SetLen, EIO),
                (Call::Reserve, ENOSPC),
                (Call::Rename, EIO),
                (Call::Remove, EIO),
            ])
            .unwrap_or((Call::Sync, EIO));
        let good = self.random.usize(..3);
        let bad = self.random.usize(1..3);
        self.say(|| format!("to fail: {call:?}, {bad} times after {good}"));
        self.disk.fail(call, [None].repeat(good).into_iter().chain([Some(error)].repeat(bad)));
        Ok(())
    }

    /// The disk fills up, and some time later there is room again. No restart is needed for that.
    fn fill(&mut self) -> Result<(), Wrong> {
        let mut options = self.disk.options();
        options.capacity = Some(self.disk.used() + self.random.u64(..20_000));
        self.disk.set_options(options);
        self.say(|| format!("the disk may have {:?} bytes", options.capacity));
        for _ in 0..self.random.u8(1..5) {
            if self.disk.is_on() {
                self.append_some()?;
            }
        }
        options.capacity = None;
        self.disk.set_options(options);
        self.say(|| "there is room again");
        // It looks at the disk, and begins a segment when it had none.
        self.step()?;
        if self.disk.is_on() { self.append_some() } else { Ok(()) }
    }
}

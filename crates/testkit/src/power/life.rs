//! One life of a journal: the simulated machine it lives on, and how it is opened, read, cut off and opened again.

use std::fmt::Display;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anole_event::{Clock, ManualClock, Position, Seeded, Timestamp};
use anole_journal::simulation::{Cut, Disk, DiskOptions};
use anole_journal::{
    AckLevel, Append, AppendCode, AppendError, Embedded, EmbeddedOptions, Erase, EraseError, Journal, OnFull, Read,
    ReadError,
};
use anole_telemetry::Telemetry;
use fastrand::Rng;

use super::book::{Book, Rules, Seen, Wrong};
use super::{Options, Report};

/// What is promised at level `write`.
const WITHIN: Duration = Duration::from_millis(100);
/// More turns than anything takes that waits: a batch, the end of a segment, an erasure.
const TURNS: usize = 20;

/// Each life has a disk of its own, also when several run at once.
static LIVES: AtomicU64 = AtomicU64::new(0);

pub(super) struct Life {
    pub(super) random: Rng,
    pub(super) disk: Disk,
    pub(super) clock: ManualClock,
    pub(super) options: EmbeddedOptions,
    /// Nothing while the machine is off.
    pub(super) journal: Option<Arc<Embedded>>,
    pub(super) book: Book,
    pub(super) report: Report,
    /// How many appends of a hundred are larger than a group.
    pub(super) large: u8,
    /// Whether the disk may fail in this life.
    pub(super) faults: bool,
    telemetry: Arc<Telemetry>,
    /// Appends under way, with the numbers of their records.
    appends: Vec<(Vec<usize>, Append)>,
    /// Erasures under way.
    erasures: Vec<(Vec<usize>, Erase)>,
    /// How the machine was or will be switched off.
    cut: Cut,
    /// Whether the power was lost since the journal was looked at.
    power_lost: bool,
    /// How many errors the disk had given when it was switched on last.
    errors_before: u64,
    /// The same when it was switched on last after a loss of power: the system has forgotten everything since then.
    errors_before_power: u64,
    /// Whether the disk had failed before some loss of power: what the system believed to be on the disk may not be.
    deceived: bool,
    history: Option<Vec<String>>,
}

impl Life {
    pub(super) fn new(seed: u64, options: &Options, told: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let faults = options.faults.unwrap_or_else(|| random.bool());
        let ack = if random.u8(..4) == 0 { AckLevel::Write } else { AckLevel::Fsync };
        let root = PathBuf::from(format!("/simulated/power/{}", LIVES.fetch_add(1, Ordering::Relaxed)));
        let disk_options = DiskOptions { capacity: None, short_writes: faults && random.bool(), syncs: options.syncs };
        let large = if random.u8(..8) == 0 { 30 } else { 1 };
        let segment_bytes = random.choice([600, 3000, 20_000, 100_000, 1 << 20]).unwrap_or(3000);
        let clock = ManualClock::at(Timestamp::from_micros(1_790_000_000_000_000));
        let journal = EmbeddedOptions {
            ack: options.ack.unwrap_or(ack),
            segment_bytes: if large > 1 { 2 << 20 } else { segment_bytes },
            block_bytes: random.choice([1, 300, 8192, 256 * 1024]).unwrap_or(300),
            keep: Duration::from_secs(random.choice([1, 60, 3600]).unwrap_or(1)),
            max_bytes: (random.u8(..4) == 0).then(|| random.u64(50_000..500_000)),
            on_full: if random.bool() { OnFull::Refuse } else { OnFull::DropOldest },
            reserve: 0,
            ..EmbeddedOptions::new(root.join("journal"))
        };
        Self {
            large,
            disk: Disk::new(root, random.u64(..), disk_options),
            random,
            telemetry: Telemetry::new(Arc::new(clock.clone())),
            clock,
            options: journal,
            journal: None,
            book: Book::default(),
            report: Report { lives: 1, ..Report::default() },
            faults,
            appends: Vec::new(),
            erasures: Vec::new(),
            cut: Cut::Power,
            power_lost: false,
            errors_before: 0,
            errors_before_power: 0,
            deceived: false,
            history: told.then(Vec::new),
        }
    }

    /// Notes what happens, when somebody wants to know.
    pub(super) fn say<T: Display>(&mut self, what: impl FnOnce() -> T) {
        if let Some(history) = &mut self.history {
            history.push(format!("[{}] {}", self.disk.operations(), what()));
        }
    }

    pub(super) fn history(&mut self) -> Vec<String> {
        let mut history = self.history.take().unwrap_or_default();
        history.drain(..history.len().saturating_sub(40));
        history
    }

    pub(super) fn soft(&self) -> bool {
        self.options.ack == AckLevel::Write
    }

    /// Errors that the disk has given since it was switched on.
    pub(super) fn errors(&self) -> u64 {
        self.disk.errors() - self.errors_before
    }

    /// Whether the disk may be full.
    fn is_full(&self) -> bool {
        self.disk.options().capacity.is_some()
    }

    // --- switching off and on ---

    /// Has the machine switched off at some call to come, often soon and at most so far away.
    pub(super) fn arm(&mut self, most: u64) {
        self.cut = if self.random.u8(..4) == 0 { Cut::Process } else { Cut::Power };
        let near = self.random.u64(1..=most);
        let operation = self.random.u64(1..=near);
        self.disk.switch_off_at(operation, self.cut);
        let cut = self.cut;
        self.say(|| format!("to be cut at call {operation} from now: {cut:?}"));
    }

    pub(super) fn cut_now(&mut self) {
        self.disk.switch_off(self.cut);
    }

    /// The machine is off: what was under way ends.
    pub(super) fn fall(&mut self) -> Result<(), Wrong> {
        self.answers()?;
        self.journal = None;
        self.answers()?;
        self.appends.clear();
        self.erasures.clear();
        match self.cut {
            Cut::Power => self.report.cuts += 1,
            Cut::Process => self.report.kills += 1,
        }
        let cut = self.cut;
        self.say(|| format!("switched off: {cut:?}"));
        Ok(())
    }

    /// Switches the machine on, opens the journal, and looks at what is there. It may be cut off again meanwhile.
    pub(super) fn rise(&mut self) -> Result<(), Wrong> {
        self.report.errors += self.errors();
        self.errors_before = self.disk.errors();
        if !self.disk.is_on() && self.cut == Cut::Power {
            self.power_lost = true;
            self.deceived |= self.errors_before > self.errors_before_power;
            self.errors_before_power = self.errors_before;
        }
        self.disk.switch_on();
        let written = self.written_end();
        if self.random.u8(..3) == 0 {
            self.arm(30);
        }
        self.open()?;
        if let Some(journal) = self.journal.as_ref().filter(|_| self.disk.is_on()) {
            let end = journal.ends()[0].offset;
            self.report.torn_tails += u64::from(written.is_some_and(|written| written > end));
        }
        self.look(true)
    }

    /// The position behind the last byte of the last segment that is not zero.
    fn written_end(&self) -> Option<u64> {
        let names = self.disk.names(&self.options.dir).ok()?;
        let last = names.iter().rev().find(|name| name.ends_with(".segment"))?;
        let base: u64 = last.strip_suffix(".segment")?.parse().ok()?;
        let bytes = self.disk.bytes(self.options.dir.join(last)).ok()?;
        bytes.iter().rposition(|byte| *byte != 0).map(|at| base + at as u64 + 1)
    }

    fn open(&mut self) -> Result<(), Wrong> {
        for _ in 0..2 {
            let seed = Box::new(Seeded::new(self.random.u64(..)));
            let clock = Arc::new(self.clock.clone());
            let opened = Embedded::open_stepped(self.options.clone(), Arc::clone(&self.telemetry), clock, seed);
            match opened {
                Ok(journal) => {
                    self.say(|| format!("opened: {:?} to {:?}", journal.starts()[0], journal.ends()[0]));
                    self.journal = Some(journal);
                    return Ok(());
                }
                Err(_) if !self.disk.is_on() => {
                    self.report.cuts_in_opening += 1;
                    return Ok(());
                }
                Err(error) if self.errors() == 0 => {
                    return Err(Wrong::Other(format!("it does not open: {error}")));
                }
                Err(error) => self.say(|| format!("it did not open on a failing disk: {error}")),
            }
            self.disk.heal();
        }
        Err(Wrong::Other("it does not open although the disk is well again".to_owned()))
    }

    /// Ends the journal cleanly and opens it again.
    pub(super) fn reopen(&mut self) -> Result<(), Wrong> {
        self.say(|| "closed");
        if let Some(journal) = &self.journal {
            journal.close();
        }
        self.answers()?;
        self.journal = None;
        if !self.disk.is_on() {
            return Ok(());
        }
        self.report.ends += 1;
        self.open()?;
        self.look(true)
    }

    // --- looking ---

    /// Reads everything and compares it.
    pub(super) fn look(&mut self, opened: bool) -> Result<(), Wrong> {
        let Some(journal) = self.journal.as_ref().filter(|_| self.disk.is_on()) else { return Ok(()) };
        let from = if self.random.bool() { 0 } else { journal.starts()[0].offset };
        let seen = read(journal, from, &self.disk).map_err(|error| Wrong::Other(error.to_string()))?;
        let failed = self.disk.errors() > self.errors_before_power;
        let rules = Rules {
            opened,
            power_lost: std::mem::take(&mut self.power_lost),
            failed,
            soft: self.soft(),
            gaps: self.soft() || self.deceived || failed,
            removable: (self.options.on_full == OnFull::Refuse || self.options.max_bytes.is_none())
                .then(|| Timestamp::from_micros(self.clock.wall().micros() - micros(self.options.keep))),
        };
        self.say(|| format!("read: {} records, {} gaps, from {}", seen.records.len(), seen.gaps.len(), seen.start));
        let counts = self.book.look(&seen, rules)?;
        self.report.unsynced += counts.unsynced;
        self.report.removed += counts.removed;
        Ok(())
    }

    // --- working ---

    /// Hands records over in one call.
    pub(super) fn append(&mut self, records: Vec<anole_event::Record>) {
        let Some(journal) = &self.journal else { return };
        let now = self.clock.wall();
        let numbers = records.iter().map(|record| self.book.appended(record.clone(), now)).collect();
        self.report.appended += records.len() as u64;
        self.appends.push((numbers, journal.append(records)));
    }

    /// Asks for an erasure of these records.
    pub(super) fn erase(&mut self, numbers: Vec<usize>) {
        let Some(journal) = &self.journal else { return };
        let wanted: Vec<_> =
            numbers.iter().filter_map(|number| Some(self.book.record(*number).head().ok()?.fingerprint)).collect();
        let erase = journal.erase(Arc::new(move |head, _| wanted.contains(&head.fingerprint)));
        self.book.erasing(&numbers);
        self.erasures.push((numbers, erase));
    }

    /// Lets the journal work until everything is answered, or nothing goes on.
    pub(super) fn step(&mut self) -> Result<(), Wrong> {
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        let before = self.disk.errors();
        for _ in 0..TURNS + journal.stat().segments.len() {
            journal.step();
            self.answers()?;
            if self.appends.is_empty() && self.erasures.is_empty() {
                break;
            }
        }
        if self.disk.errors() > before {
            self.book.sync_failed();
        } else if self.disk.is_on() {
            // All that came 100 ms ago and before is on the disk, after this turn at the latest.
            let now = self.clock.mono().micros();
            if let Some(by) = now.checked_sub(u64::try_from(WITHIN.as_micros()).unwrap_or(0)) {
                self.book.synced(anole_event::Mono::from_micros(by));
            }
        }
        // Erasures wait for a new segment, which a failing disk may keep from being begun.
        let waits = !self.appends.is_empty() || (!self.erasures.is_empty() && self.errors() == 0 && !self.is_full());
        if self.disk.is_on() && waits {
            let (appends, erasures) = (self.appends.len(), self.erasures.len());
            return Err(Wrong::Other(format!("{appends} appends and {erasures} erasures are not answered")));
        }
        Ok(())
    }

    /// Takes the answers that have come.
    fn answers(&mut self) -> Result<(), Wrong> {
        let mut waiting = Vec::new();
        for (numbers, mut append) in std::mem::take(&mut self.appends) {
            match poll(&mut append) {
                None => waiting.push((numbers, append)),
                Some(Ok(positions)) => self.acknowledged(&numbers, &positions)?,
                Some(Err(error)) => self.refused(&error)?,
            }
        }
        self.appends = waiting;
        let mut waiting = Vec::new();
        for (numbers, mut erase) in std::mem::take(&mut self.erasures) {
            match poll(&mut erase) {
                None => waiting.push((numbers, erase)),
                Some(Ok(erased)) => {
                    self.say(|| format!("erased {} records of {numbers:?}", erased.records));
                    self.report.erased += erased.records;
                    self.book.erased(&numbers);
                }
                Some(Err(error)) => {
                    self.say(|| format!("not erased: {error}"));
                    let is_excused = matches!(error, EraseError::Closed) || self.errors() > 0 || self.is_full();
                    if self.disk.is_on() && !is_excused {
                        return Err(Wrong::Other(format!("nothing was erased on a good disk: {error}")));
                    }
                }
            }
        }
        self.erasures = waiting;
        Ok(())
    }

    fn acknowledged(&mut self, numbers: &[usize], positions: &[Position]) -> Result<(), Wrong> {
        if numbers.len() != positions.len() {
            return Err(Wrong::Other(format!("{} positions for {} records", positions.len(), numbers.len())));
        }
        let soft = self.soft().then(|| self.clock.mono());
        for (number, position) in numbers.iter().zip(positions) {
            self.book.acknowledged(*number, *position, soft)?;
        }
        self.report.acknowledged += numbers.len() as u64;
        self.say(|| format!("records {numbers:?} acknowledged from {} on", positions[0]));
        Ok(())
    }

    /// An append that fails has a reason.
    fn refused(&mut self, error: &AppendError) -> Result<(), Wrong> {
        self.say(|| format!("refused: {error}"));
        let excused = match error {
            AppendError::Full { .. } => self.options.max_bytes.is_some(),
            AppendError::NoRoom { .. } => self.is_full(),
            AppendError::Busy { .. } => false,
            AppendError::Failed { code: AppendCode::DiskFull, .. } => self.is_full() || self.errors() > 0,
            AppendError::Failed { .. } => !self.disk.is_on() || self.errors() > 0,
            AppendError::Closed => !self.disk.is_on(),
        };
        if excused || !self.disk.is_on() {
            Ok(())
        } else {
            Err(Wrong::Other(format!("refused for no reason: {error}")))
        }
    }
}

/// Everything from a position on.
fn read(journal: &Embedded, from: u64, disk: &Disk) -> Result<Seen, ReadError> {
    let start = journal.starts()[0].offset;
    let mut reader = journal.reader(Position::at(from));
    let mut seen = Seen { start, from, ..Seen::default() };
    loop {
        match reader.try_next() {
            Ok(Some(Read::Block(block))) => seen.records.extend(block.records),
            Ok(Some(Read::Gap(gap))) => seen.gaps.push(gap),
            Ok(None) => return Ok(seen),
            Err(error) => {
                debug_assert!(disk.is_on(), "reading does not switch it off");
                return Err(error);
            }
        }
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

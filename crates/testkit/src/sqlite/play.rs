//! One seed: lanes that commit, on a disk that is recorded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anole_event::{LaneId, ManualClock, Position, Random, Reason, Seeded, Timestamp};
use anole_state::{
    Deferred, LaneCommit, Parked, ParkedFilter, ParkedId, Progress, SendKey, Sqlite, State, StateOptions,
};
use anole_telemetry::Telemetry;
use bytes::Bytes;
use tempfile::TempDir;

use super::Report;
use super::disk;
use super::image;
use super::recording::{Cut, Manners, Recording};

/// Lanes of a seed.
pub(crate) const LANES: usize = 3;
/// Tries of a commit before the disk is made well.
const TRIES: usize = 40;

/// What was acknowledged and asked for, by lane; the disk notes it with each cut.
#[derive(Default)]
pub(crate) struct Marks([(AtomicUsize, AtomicUsize); LANES]);

/// What a lane holds: the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) progress: Vec<Progress>,
    /// Offset to the version that was stored last.
    pub(crate) parked: BTreeMap<u64, u64>,
    pub(crate) deferred: BTreeMap<u64, u64>,
}

/// A lane after each of its steps; `None` before it was registered.
pub(crate) type Steps = [Vec<Option<Held>>; LANES];

struct Player {
    random: Seeded,
    state: Arc<Sqlite>,
    recording: Arc<Recording>,
    marks: Arc<Marks>,
    steps: Steps,
    ids: [BTreeMap<u64, ParkedId>; LANES],
    commits: u64,
}

// === impl Marks ===

impl Marks {
    pub(crate) fn now(&self) -> Vec<(usize, usize)> {
        // In this order: what is acknowledged in between was asked for before.
        let acknowledged: Vec<_> = self.0.iter().map(|(done, _)| done.load(Ordering::SeqCst)).collect();
        let asked = self.0.iter().map(|(_, asked)| asked.load(Ordering::SeqCst));
        acknowledged.into_iter().zip(asked).collect()
    }
}

pub(crate) fn lane(number: usize) -> LaneId {
    LaneId::new("shop", &format!("lane-{number}"))
}

/// The record of a send in a version: nothing else has these bytes.
pub(crate) fn record(lane: usize, offset: u64, version: u64) -> Bytes {
    let mut random = Seeded::new(offset << 32 | version << 8 | lane as u64);
    let most = if random.below(8) == 0 { 12_000 } else { 500 };
    let words = (50 + random.below(most)) / 8;
    (0..words).flat_map(|_| random.next().to_le_bytes()).collect()
}

pub(crate) fn open(folder: &Path) -> Result<Arc<Sqlite>, String> {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
    let telemetry = Telemetry::new(Arc::clone(&clock) as _);
    let options = StateOptions { identities: 100, ..StateOptions::in_folder(folder) };
    let state = Sqlite::open(&options, Arc::clone(&telemetry), clock).map_err(|error| error.to_string())?;
    let restored = telemetry.render().lines().any(|line| line == "anole_state_restored_total 1");
    if restored { Err("it was found damaged, and set aside".to_owned()) } else { Ok(state) }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

/// Plays a seed and looks at its images.
pub(crate) fn play(seed: u64, manners: Manners) -> Report {
    let disk = disk::install();
    let folder = TempDir::new().expect("a folder");
    let marks = Arc::new(Marks::default());
    let recording = disk.record(folder.path(), Recording::new(seed, manners, Arc::clone(&marks)));
    let mut report = Report::default();
    let played = block_on(commit_all(seed, folder.path(), &recording, &marks));
    disk.forget(folder.path());
    match played {
        Ok((steps, commits)) => {
            report.commits = commits;
            let mut cuts = recording.take_cuts();
            cuts.push(recording.cut_now());
            look(seed, &cuts, &steps, &mut report);
        }
        Err(what) => report.wrong.push((seed, what)),
    }
    (report.syncs, report.failures) = recording.counts();
    report
}

fn look(seed: u64, cuts: &[Cut], steps: &Steps, report: &mut Report) {
    let mut random = Seeded::new(seed ^ 0x5eed);
    for cut in cuts {
        report.cuts += 1;
        if let Err(what) = image::look(cut, steps, &mut random, report) {
            report.wrong.push((seed, what));
        }
    }
}

async fn commit_all(
    seed: u64,
    folder: &Path,
    recording: &Arc<Recording>,
    marks: &Arc<Marks>,
) -> Result<(Steps, u64), String> {
    // The opening may meet the bad disk as well; a person would start it again.
    let mut opened = open(folder);
    for _ in 0..20 {
        if opened.is_ok() {
            break;
        }
        opened = open(folder);
    }
    let mut player = Player {
        random: Seeded::new(seed),
        state: opened?,
        recording: Arc::clone(recording),
        marks: Arc::clone(marks),
        steps: [const { Vec::new() }; LANES],
        ids: [const { BTreeMap::new() }; LANES],
        commits: 0,
    };
    for number in 0..LANES {
        player.register(number).await?;
    }
    for _ in 0..20 + player.random.below(60) {
        player.step().await?;
    }
    if player.random.below(2) == 0 {
        player.recording.be_well();
        player.state.close().await.map_err(|error| format!("it did not close: {error}"))?;
    }
    Ok((player.steps, player.commits))
}

// === impl Player ===

impl Player {
    async fn register(&mut self, number: usize) -> Result<(), String> {
        let at = Timestamp::from_millis(1);
        let registered =
            Held { progress: vec![Progress { watermark: Position::at(0), finished: Vec::new() }], ..Held::default() };
        self.steps[number] = vec![None, Some(registered)];
        self.marks.0[number].1.store(1, Ordering::SeqCst);
        let mut last = String::new();
        for tried in 0..TRIES {
            if tried == TRIES / 2 {
                self.recording.be_well();
            }
            match self.state.register(lane(number), vec![Position::at(0)], at).await {
                Ok(_) => {
                    self.marks.0[number].0.store(1, Ordering::SeqCst);
                    return Ok(());
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(format!("a lane was never registered, on a disk that is well: {last}"))
    }

    /// One commit of one lane, or of all at once, which then share a transaction.
    async fn step(&mut self) -> Result<(), String> {
        match self.random.below(12) {
            0 => self.learn_ids().await,
            1 => {
                // It may meet the bad disk; what counts is that it harms nothing.
                let _told = self.state.backup().await;
                Ok(())
            }
            2..5 => {
                let commits: Vec<_> = (0..LANES).map(|number| self.make(number)).collect();
                let [one, two, three] = [&commits[0], &commits[1], &commits[2]].map(|commit| self.commit(commit));
                let (one, two, three) = tokio::join!(one, two, three);
                self.commits += 3;
                one.and(two).and(three)
            }
            _ => {
                let number = self.random.below(LANES as u64) as usize;
                let commit = self.make(number);
                self.commits += 1;
                self.commit(&commit).await
            }
        }
    }

    async fn commit(&self, (number, commit): &(usize, LaneCommit)) -> Result<(), String> {
        let (done, asked) = &self.marks.0[*number];
        asked.fetch_add(1, Ordering::SeqCst);
        let mut last = String::new();
        for tried in 0..TRIES {
            if tried == TRIES / 2 {
                self.recording.be_well();
            }
            match self.state.commit(vec![commit.clone()]).await {
                Ok(()) => {
                    done.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                Err(error) if error.is_transient() => last = error.to_string(),
                Err(error) => return Err(format!("a failure of the disk is not the end: {error}")),
            }
        }
        Err(format!("a commit never succeeded, on a disk that is well: {last}"))
    }

    /// Ids of what is parked, to take some back by.
    async fn learn_ids(&mut self) -> Result<(), String> {
        for number in 0..LANES {
            let filter = ParkedFilter { lane: Some(lane(number)), limit: 1_000, ..ParkedFilter::default() };
            let rows = self.state.parked(filter).await.map_err(|error| error.to_string())?;
            self.ids[number] = rows.into_iter().map(|row| (row.parked.position.offset, row.id)).collect();
        }
        Ok(())
    }

    /// A commit of a lane, and the lane after it.
    fn make(&mut self, number: usize) -> (usize, LaneCommit) {
        let random = &mut self.random;
        let mut held = self.steps[number].last().cloned().flatten().unwrap_or_default();
        let version = self.steps[number].len() as u64;
        let mut commit = LaneCommit::new(lane(number));
        let watermark = held.progress[0].watermark.offset + random.below(20);
        let finished =
            (0..random.below(4)).map(|at| watermark + 10 * at + 1..watermark + 10 * at + 1 + random.below(8) + 1);
        held.progress = vec![Progress { watermark: Position::at(watermark), finished: finished.collect() }];
        commit.progress.clone_from(&held.progress);
        if let Some((offset, id)) = self.ids[number].pop_first()
            && random.below(2) == 0
        {
            commit.unparked.push(id);
            held.parked.remove(&offset);
        }
        let key = SendKey { position: Position::at(random.below(60)), ordinal: 0 };
        commit.undeferred.push(key);
        held.deferred.remove(&key.position.offset);
        for _ in 0..random.below(4) {
            let offset = random.below(60);
            commit.parked.push(parked(number, offset, version));
            // A later commit may park the same send anew, under another id.
            self.ids[number].remove(&offset);
            held.parked.insert(offset, version);
        }
        for _ in 0..random.below(3) {
            let offset = random.below(60);
            commit.deferred.push(deferred(number, offset, version));
            held.deferred.insert(offset, version);
        }
        self.steps[number].push(Some(held));
        (number, commit)
    }
}

fn parked(lane: usize, offset: u64, version: u64) -> Parked {
    Parked {
        position: Position::at(offset),
        ordinal: 0,
        rule: "page".to_owned(),
        event: "page".to_owned(),
        message_id: format!("m-{offset}"),
        received_at: Timestamp::from_millis(1),
        parked_at: Timestamp::from_millis(2),
        reason: Reason::Refused,
        detail: None,
        plan: version,
        attempt: None,
        record: record(lane, offset, version),
    }
}

fn deferred(lane: usize, offset: u64, version: u64) -> Deferred {
    Deferred {
        position: Position::at(offset),
        ordinal: 0,
        rule: "page".to_owned(),
        event: "page".to_owned(),
        message_id: format!("m-{offset}"),
        received_at: Timestamp::from_millis(1),
        deferred_at: Timestamp::from_millis(2),
        due_at: Timestamp::from_millis(3),
        tries: 5,
        reason: Reason::FailsAlone,
        detail: None,
        plan: version,
        attempt: None,
        record: record(lane, offset, version),
    }
}

//! Power cuts on the real state: the real [`anole_state::Sqlite`] commits on a disk that remembers what was synced, and at
//! random calls an image is taken of what a power cut would leave. Each image is opened by the real store again.
//!
//! What must hold of each image, lane by lane (S-2):
//!
//! - Opening it succeeds, and finds nothing damaged: there is no backup beside it that could hide a loss.
//! - Every commit that was acknowledged is there, whole, and of the one under way all or nothing: progress, parked and
//!   deferred sends are those of the model after so many commits, record for record, and the counts add up.
//! - It takes further commits. For some images the power goes again while they are opened, and the same must hold.
//!
//! The disk fails too, in half of the seeds: writes that find it full after some of their bytes, syncs that fail and lose
//! what they should have kept. A commit that failed is tried again, as delivery does it, and counts as under way.
//!
//! A seed decides what is done and what fails. Which commits share a transaction is up to the threads, so a seed played again
//! may cut at other moments; the images of one cut are all looked at.
//!
//! [`run_lying`] takes the syncs away (a disk that lies, which is also what `synchronous = OFF` would be) and must find
//! losses: it shows that the method sees what it is for, and that the store does not rest on anything but its syncs.

mod disk;
mod image;
mod index;
mod play;
mod recording;

use std::fmt;
use std::ops::Range;

use recording::Manners;

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Seeds that were played.
    pub seeds: u64,
    /// Commits that were acknowledged.
    pub commits: u64,
    /// Syncs that SQLite asked for.
    pub syncs: u64,
    /// Writes and syncs that were made to fail.
    pub failures: u64,
    /// Moments at which the power went.
    pub cuts: u64,
    /// Images that were opened: some for each cut.
    pub images: u64,
    /// How many of them were cut once more while they were opened.
    pub twice: u64,
    /// What was wrong, with its seed: `run(seed..seed + 1)` plays it again.
    pub wrong: Vec<(u64, String)>,
}

/// Plays these seeds.
#[must_use]
pub fn run(seeds: Range<u64>) -> Report {
    play_all(seeds, false)
}

/// Plays these seeds on a disk whose syncs do nothing.
#[must_use]
pub fn run_lying(seeds: Range<u64>) -> Report {
    play_all(seeds, true)
}

fn play_all(seeds: Range<u64>, lies: bool) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let bad = seed % 2 == 1 && !lies;
        let manners = Manners { lies, full: if bad { 60 } else { 0 }, bad_sync: if bad { 25 } else { 0 }, cut: 40 };
        let mut found = play::play(seed, manners);
        found.seeds = 1;
        report.add(&found);
    }
    report
}

// === impl Report ===

impl Report {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Adds another run's findings.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.commits += other.commits;
        self.syncs += other.syncs;
        self.failures += other.failures;
        self.cuts += other.cuts;
        self.images += other.images;
        self.twice += other.twice;
        self.wrong.extend(other.wrong.iter().cloned());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "state on SQLite: {} seeds, {} commits, {} syncs, {} injected failures, {} power cuts, {} images ({} of them cut \
             again while opened), {} wrong",
            self.seeds,
            self.commits,
            self.syncs,
            self.failures,
            self.cuts,
            self.images,
            self.twice,
            self.wrong.len()
        )?;
        for (seed, what) in self.wrong.iter().take(5) {
            write!(f, "\n  seed {seed}: {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::play::{Marks, block_on, lane, open};
    use crate::sqlite::recording::Recording;
    use anole_event::{Position, Timestamp};
    use anole_state::{LaneCommit, Progress, State};
    use std::sync::Arc;

    fn at(offset: u64) -> LaneCommit {
        let progress = vec![Progress { watermark: Position::at(offset), finished: Vec::new() }];
        LaneCommit { progress, ..LaneCommit::new(lane(0)) }
    }

    #[test]
    fn a_full_disk_fails_commits_whole_and_they_go_on_without_a_restart_when_there_is_room() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let recording = Recording::new(1, Manners::default(), Arc::new(Marks::default()));
        let recording = disk::install().record(folder.path(), recording);
        block_on(async {
            let state = open(folder.path()).expect("a state");
            state.register(lane(0), vec![Position::at(0)], Timestamp::from_millis(1)).await.expect("a lane");
            state.commit(vec![at(5)]).await.expect("a commit");
            recording.be_full();
            for offset in 6..20 {
                let error = state.commit(vec![at(offset)]).await.expect_err("there is no room");
                assert!(error.is_transient(), "{error}");
                let progress = state.progress(lane(0)).await.expect("it can still be read");
                assert_eq!(progress, at(5).progress, "nothing of it is there");
            }
            recording.be_well();
            state.commit(vec![at(20)]).await.expect("there is room again");
            assert_eq!(state.progress(lane(0)).await.expect("progress"), at(20).progress);
        });
        disk::install().forget(folder.path());
    }

    #[test]
    fn whichever_write_fails_while_it_is_opened_what_is_open_is_written_ahead() {
        let mut failed = 0;
        for write in 1..40 {
            let folder = tempfile::TempDir::new().expect("a folder");
            let recording = Recording::new(write, Manners::default(), Arc::new(Marks::default()));
            disk::install().record(folder.path(), recording).fail_at(write);
            let first = open(folder.path());
            failed += usize::from(first.is_err());
            let _state = first.or_else(|_| open(folder.path())).expect("a state, as only one write failed");
            disk::install().forget(folder.path());
            let header = std::fs::read(folder.path().join("state.db")).expect("the database");
            // https://www.sqlite.org/fileformat.html, 1.3.3: 2 is WAL, for who writes and for who reads.
            assert_eq!(
                header[18..20],
                [2, 2],
                "write {write} failed, and a power cut could bring a rollback journal back"
            );
        }
        assert!(failed > 10, "only {failed} openings failed: this shows nothing");
    }
}

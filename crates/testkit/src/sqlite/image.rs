//! What a power cut left, opened by the real store.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use anole_event::{Position, Random, Seeded};
use anole_state::{DeferredFilter, LaneCommit, ParkedFilter, Progress, Sqlite, State};
use tempfile::TempDir;

use super::Report;
use super::disk;
use super::play::{self, Held, LANES, Marks, Steps};
use super::recording::{Cut, Luck, Manners, Recording};

/// How often the power goes again at most while one image is opened.
const AGAIN: usize = 3;

/// Makes images of a cut and looks at them.
pub(crate) fn look(cut: &Cut, steps: &Steps, random: &mut Seeded, report: &mut Report) -> Result<(), String> {
    for luck in [Luck::Nothing, Luck::Everything, Luck::Prefix, Luck::Mixed] {
        report.images += 1;
        let files = cut.image(luck, random);
        let again = random.below(10) == 0;
        let cuts = open_and_check(&files, &cut.commits, steps, again.then(|| random.next()))
            .map_err(|what| format!("{luck:?} of what was not synced: {what}"))?;
        for second in cuts.into_iter().take(AGAIN) {
            report.twice += 1;
            let files = second.image(Luck::Mixed, random);
            open_and_check(&files, &cut.commits, steps, None)
                .map_err(|what| format!("{luck:?}, and cut again while it was opened: {what}"))?;
        }
    }
    Ok(())
}

/// Opens the files, and gives moments of the opening at which the power could have gone again.
fn open_and_check(
    files: &BTreeMap<String, Vec<u8>>,
    commits: &[(usize, usize)],
    steps: &Steps,
    record: Option<u64>,
) -> Result<Vec<Cut>, String> {
    let folder = TempDir::new().expect("a folder");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a file");
    }
    let recording = record.map(|seed| {
        let manners = Manners { cut: 6, ..Manners::default() };
        disk::install().record(folder.path(), Recording::new(seed, manners, Arc::new(Marks::default())))
    });
    let opened = play::open(folder.path());
    disk::install().forget(folder.path());
    let state = opened?;
    let cuts = recording.map(|recording| recording.take_cuts()).unwrap_or_default();
    play::block_on(check(&state, commits, steps))?;
    Ok(cuts)
}

async fn check(state: &Sqlite, commits: &[(usize, usize)], steps: &Steps) -> Result<(), String> {
    let counts = state.parked_counts().await.map_err(|error| error.to_string())?;
    for number in 0..LANES {
        let (acknowledged, asked) = commits[number];
        let held = held(state, number).await?;
        let may = &steps[number][acknowledged..=asked.min(steps[number].len() - 1)];
        if !may.contains(&held) {
            let at = steps[number].iter().rposition(|step| *step == held);
            return Err(format!(
                "lane {number} has {acknowledged} commits acknowledged and {asked} asked for, and what is there is {}",
                at.map_or("no state it ever had".to_owned(), |at| format!("as after {at}"))
            ));
        }
        let counted: u64 =
            counts.iter().filter(|count| count.lane == play::lane(number)).map(|count| count.count).sum();
        if counted != held.as_ref().map_or(0, |held| held.parked.len()) as u64 {
            return Err(format!("lane {number} counts {counted} parked sends, and has others"));
        }
        if held.is_some() {
            let progress = vec![Progress { watermark: Position::at(1_000_000), finished: Vec::new() }];
            let commit = LaneCommit { progress, ..LaneCommit::new(play::lane(number)) };
            state.commit(vec![commit]).await.map_err(|error| format!("it takes no further commit: {error}"))?;
        }
    }
    Ok(())
}

/// What the store says of a lane; `None` when it is not registered.
async fn held(state: &Sqlite, number: usize) -> Result<Option<Held>, String> {
    let lane = play::lane(number);
    let progress = state.progress(lane.clone()).await.map_err(|error| error.to_string())?;
    if progress.is_empty() {
        return Ok(None);
    }
    let mut held = Held { progress, ..Held::default() };
    let filter = ParkedFilter { lane: Some(lane.clone()), limit: 10_000, ..ParkedFilter::default() };
    for row in state.parked(filter).await.map_err(|error| error.to_string())? {
        let (offset, version) = (row.parked.position.offset, row.parked.plan);
        if row.parked.record != play::record(number, offset, version) {
            return Err(format!("lane {number}: the parked record at {offset} is not what was stored"));
        }
        held.parked.insert(offset, version);
    }
    let filter = DeferredFilter { lane: Some(lane), limit: 10_000, ..DeferredFilter::default() };
    for row in state.deferred(filter).await.map_err(|error| error.to_string())? {
        let (offset, version) = (row.deferred.position.offset, row.deferred.plan);
        if row.deferred.record != play::record(number, offset, version) {
            return Err(format!("lane {number}: the deferred record at {offset} is not what was stored"));
        }
        held.deferred.insert(offset, version);
    }
    Ok(Some(held))
}

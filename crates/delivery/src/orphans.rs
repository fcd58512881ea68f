//! What a person may do to the registry of lanes: give an orphan up, or give a lane another name.
//!
//! A destination that is given a new name in its pipeline begins as a new lane, and its old lane is an orphan with what it
//! had not delivered. Two moments are then possible for `rename`: before the next start the new lane is not there yet, and
//! the old one simply takes its name; afterwards the new lane is at work with progress of its own, and takes over what
//! the orphan left. Both end the same, so the person need not know which it was.
//!
//! The same rules hold with a daemon and without one; what a pipeline has is told by the daemon's lanes in the first case and
//! by the files in the second.

use anole_event::{LaneId, Timestamp};
use anole_state::{BackedUpLane, State, StateError};

use crate::keeper::{is_orphaned, registry};

/// A lane that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no lane `{wanted}`{}; the lanes are: {}", suggestion(.wanted, .known), .known.join(", "))]
pub struct NoSuchLane {
    /// What was asked for.
    pub wanted: String,
    /// What there is.
    pub known: Vec<String>,
}

/// Why the registry was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is none of that name.
    #[error(transparent)]
    Unknown(#[from] NoSuchLane),
    /// A pipeline has it.
    #[error(
        "the pipeline {} has the lane `{lane}`: take its destination out there, or give it its new name there, and reload; \
         then the lane is an orphan, and can be released or renamed",
        .lane.pipeline()
    )]
    InUse {
        /// The lane.
        lane: LaneId,
    },
    /// The new name is no name of a lane.
    #[error("`{0}` is no lane: write it as pipeline/destination")]
    NoName(String),
    /// It is the old name.
    #[error("the lane has the name `{0}` already")]
    SameName(LaneId),
    /// The new name is in another pipeline.
    #[error(
        "the events that wait for `{from}` came in for the pipeline {}, and a lane of another pipeline would pass over them: \
         a new name must be one of the same pipeline",
        .from.pipeline()
    )]
    OtherPipeline {
        /// The lane.
        from: LaneId,
    },
    /// The new name is another orphan's.
    #[error("`{0}` is another lane that no pipeline has: release that one first, or rename it")]
    Exists(LaneId),
    /// The lane that was to take over could not be started again.
    #[error("the lane `{lane}` was stopped for it and could not be started again, restart anole: {error}")]
    Stopped {
        /// The lane.
        lane: LaneId,
        /// Why.
        error: String,
    },
    /// The daemon ends.
    #[error("anole is ending: nothing was changed")]
    Ending,
    /// The state could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// How a lane was renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// It has the new name.
    Moved,
    /// A lane of the new name was there and took over what it left.
    TakenOver,
}

/// Gives up a lane that no pipeline has; its progress goes, and so does what it held of the journal. What it has parked
/// stays. `in_use` are the lanes that a pipeline has. Gives back what the lane was.
///
/// # Errors
/// When there is no such lane, a pipeline has it, or the state fails.
pub async fn release_lane(
    state: &dyn State,
    lane: &LaneId,
    in_use: &[LaneId],
    at: Timestamp,
) -> Result<BackedUpLane, RegistryError> {
    let lanes = registry(state).await?;
    let found = find_unused(&lanes, lane, in_use)?;
    orphan(state, found, at).await?;
    state.release(lane.clone()).await?;
    Ok(found.clone())
}

/// Gives a lane that no pipeline has another name, or lets the lane of that name take it over. Nobody may be at work for
/// either. `in_use` are the lanes that a pipeline has.
///
/// # Errors
/// When there is no such lane, a pipeline has it, the new name is another orphan's or another pipeline's, or the state
/// fails.
pub async fn rename_lane(
    state: &dyn State,
    from: &LaneId,
    to: &LaneId,
    in_use: &[LaneId],
    at: Timestamp,
) -> Result<Renamed, RegistryError> {
    let lanes = registry(state).await?;
    let how = how_to_rename(&lanes, from, to, in_use)?;
    match how {
        Renamed::Moved => state.rename(from.clone(), to.clone()).await?,
        Renamed::TakenOver => {
            orphan(state, find_unused(&lanes, from, in_use)?, at).await?;
            state.take_over(from.clone(), to.clone()).await?;
        }
    }
    Ok(how)
}

/// How a lane could be renamed, or why not.
pub(crate) fn how_to_rename(
    lanes: &[BackedUpLane],
    from: &LaneId,
    to: &LaneId,
    in_use: &[LaneId],
) -> Result<Renamed, RegistryError> {
    if to.pipeline().is_empty() || to.destination().is_empty() {
        return Err(RegistryError::NoName(to.to_string()));
    }
    let _there = find_unused(lanes, from, in_use)?;
    if from == to {
        return Err(RegistryError::SameName(to.clone()));
    }
    if from.pipeline() != to.pipeline() {
        return Err(RegistryError::OtherPipeline { from: from.clone() });
    }
    let is_there = lanes.iter().any(|lane| lane.row.lane == *to);
    match (is_there, in_use.contains(to)) {
        (false, _) => Ok(Renamed::Moved),
        (true, true) => Ok(Renamed::TakenOver),
        (true, false) => Err(RegistryError::Exists(to.clone())),
    }
}

/// The lane, if no pipeline has it.
pub(crate) fn find_unused<'l>(
    lanes: &'l [BackedUpLane],
    wanted: &LaneId,
    in_use: &[LaneId],
) -> Result<&'l BackedUpLane, RegistryError> {
    if in_use.contains(wanted) {
        return Err(RegistryError::InUse { lane: wanted.clone() });
    }
    let known = || lanes.iter().map(|lane| lane.row.lane.to_string()).collect();
    let found = lanes.iter().find(|lane| lane.row.lane == *wanted);
    found.ok_or_else(|| NoSuchLane { wanted: wanted.to_string(), known: known() }.into())
}

/// A lane that was taken out of its pipeline since the last start is not marked yet.
async fn orphan(state: &dyn State, lane: &BackedUpLane, at: Timestamp) -> Result<(), StateError> {
    if is_orphaned(lane.row.status) {
        return Ok(());
    }
    state.orphan(lane.row.lane.clone(), at).await
}

/// `: did you mean …?` when one of the names is near.
fn suggestion(wanted: &str, known: &[String]) -> String {
    let alike = known.iter().map(|name| (strsim::normalized_damerau_levenshtein(wanted, name), name));
    match alike.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((alike, name)) if alike >= 0.6 => format!(" (did you mean `{name}`?)"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use anole_event::Position;
    use anole_state::{LaneRow, LaneStatus, Progress};

    use super::*;

    fn lane(name: &str) -> LaneId {
        LaneId::from_text(name)
    }

    fn known(name: &str) -> BackedUpLane {
        let row = LaneRow {
            lane: lane(name),
            status: LaneStatus::Orphaned { since: Timestamp::default() },
            registered_at: Timestamp::default(),
            start: Vec::new(),
            paused_since: None,
        };
        BackedUpLane { row, progress: vec![Progress { watermark: Position::at(1), finished: Vec::new() }] }
    }

    fn how(from: &str, to: &str) -> Result<Renamed, String> {
        let lanes = [known("shop/kameleoon"), known("shop/eu"), known("shop/other")];
        how_to_rename(&lanes, &lane(from), &lane(to), &[lane("shop/eu")]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_new_name_is_taken_or_the_lane_that_has_it_takes_over() {
        assert_eq!(how("shop/kameleoon", "shop/new"), Ok(Renamed::Moved));
        assert_eq!(how("shop/kameleoon", "shop/eu"), Ok(Renamed::TakenOver));
    }

    #[test]
    fn what_cannot_be_renamed_is_told_with_what_to_do() {
        for (from, to, words) in [
            ("shop/kameleon", "shop/eu", "did you mean `shop/kameleoon`?"),
            ("zzz", "shop/eu", "the lanes are: shop/kameleoon, shop/eu, shop/other"),
            ("shop/eu", "shop/new", "the pipeline shop has the lane `shop/eu`: take its destination out there"),
            ("shop/kameleoon", "shop/kameleoon", "has the name `shop/kameleoon` already"),
            ("shop/kameleoon", "shop/other", "`shop/other` is another lane that no pipeline has"),
            ("shop/kameleoon", "store/eu", "came in for the pipeline shop"),
            ("shop/kameleoon", "eu", "write it as pipeline/destination"),
        ] {
            let error = how(from, to).unwrap_err();
            assert!(error.contains(words), "{from} to {to}: {error}");
        }
    }
}

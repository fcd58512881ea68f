//! Forgetting a visitor or a user (J-8): out of journal, state and delivery log, so that no byte of the data folder leads to them.
//!
//! # Whose events
//!
//! A *visitor* is an anonymous id or a visitor code; whoever asks knows one of them and not which. Theirs are the events that have
//! it as their `anonymous_id` or `previous_id`, among their `identity` or their `cookies`, or from which a lane's rules make a send
//! with that visitor code. A *user*'s are those that have it as their `user_id` or `previous_id`. Sends of the delivery log are theirs by
//! the same ids, and by the message ids of the events that were found. Ids are compared as they stand in the journal: where a
//! pipeline hashes them before that, the hash is to be given. Other fields are not searched for the id: `quantity: 42` is not user 42.
//!
//! An event that is found goes whole, whoever else is named in it.
//!
//! # Links
//!
//! One event, or one entry of the identity map, may name several ids. The report has those that stood beside the one that was asked
//! for ([`Links`]), as events that do not name that one are kept. With `linked` they are forgotten too, those of one step and no
//! further: a device that two people share would otherwise take everybody along who ever used it.
//!
//! # The order of things
//!
//! 1. What is asked for is written to a file, and synced ([`order`]). From here on it is completed, also by the next start.
//! 2. It is looked at what there is, and the message ids of the events are added to the file: once the journal is erased nothing
//!    else leads from a row of the log to a visitor who was only in a cookie.
//! 3. The journal hides the events, and begins to rewrite its segments.
//! 4. The lanes ([`passing`]): events that one has read already end as usual within some seconds, or the lane is stopped and started again
//!    at its progress, as by a reload. It then finds an erased record in the place of each, which ends as `erased`. A request that is
//!    under way is waited for, for ten seconds. So after this step nothing of theirs is in memory that could come back.
//! 5. Parked and deferred sends: the outcome `erased` to the log, then out of the state; until none is found. Identities.
//! 6. The delivery log, until nothing is found.
//! 7. Steps 5 and 6 again until both find nothing. Then the file goes, and with it the last place of the id.
//!
//! Each step can be done twice. Events that come in after step 3 began are new, and stay: to forget is not to block.
//!
//! What is kept on purpose: counts, times, names of events and lanes, and for up to an hour, in memory only, the 128-bit fingerprint by
//! which a repeated message id is recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anole_event::{LaneId, Timestamp};
use anole_pipeline::PipelinePlan;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::delivery::{Delivery, Ground};
use crate::forget::order::OrderFile;

pub(crate) mod order;
pub(crate) mod passing;
mod steps;
mod whose;

pub use self::steps::Masked;

/// Who is to be forgotten: one of both, and only in one pipeline when that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForgetOrder {
    /// An anonymous id, or a visitor code.
    pub visitor: Option<String>,
    /// A user id.
    pub user: Option<String>,
    /// Only in this pipeline.
    pub pipeline: Option<String>,
    /// Also the ids that stand beside this one.
    pub linked: bool,
    /// Only say what there is.
    pub dry_run: bool,
}

/// Ids that stand beside the one that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// Anonymous ids and visitor codes.
    pub visitors: BTreeSet<String>,
    /// User ids.
    pub users: BTreeSet<String>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is looked at what there is.
    #[default]
    Looking,
    /// The journal hides the events, and lanes let go of them.
    Lanes,
    /// The journal is written anew.
    Journal,
    /// Parked and deferred sends and identities go.
    State,
    /// The delivery log is written anew.
    History,
    /// Done.
    Done,
    /// It was cut off by an error, and is tried again.
    Failed,
}

/// What was found or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ForgetReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Whether it was asked for before the last start.
    pub resumed: bool,
    /// How far it is.
    pub stage: Stage,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// What went wrong last.
    pub error: Option<String>,
    /// Events of the journal.
    pub events: u64,
    /// Parked sends.
    pub parked: u64,
    /// Deferred sends.
    pub deferred: u64,
    /// Entries of the identity map.
    pub identities: u64,
    /// Sends of the delivery log.
    pub sends: u64,
    /// Rows of the delivery log that carried them.
    pub rows: u64,
    /// Bodies of requests and answers that carried them, and others perhaps.
    pub bodies: u64,
    /// Files that were written anew: segments of the journal, and files of the delivery log.
    pub files: u64,
    /// Lanes that had something of theirs in memory and were started again.
    pub lanes: Vec<LaneId>,
    /// Ids beside the one that was asked for. With `linked` they were forgotten as well.
    pub linked: Links,
    /// Copies that anole does not write any more and that may hold them: a person has to remove these.
    pub left: Vec<PathBuf>,
}

/// It was not begun.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ForgetError {
    /// It says nobody, or two.
    #[error("say who: either a visitor or a user")]
    Who,
    /// The id is no id.
    #[error("the {0} is empty or longer than 1000 bytes: give the id as events carry it")]
    BadId(&'static str),
    /// There is none of that name.
    #[error("there is no pipeline `{wanted}`; there are: {}", known.join(", "))]
    Pipeline {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Another one is.
    #[error("somebody is being forgotten just now: wait until that is done")]
    UnderWay,
    /// An earlier one has failed again and again.
    #[error(
        "an earlier one could not be completed, see the log: it is tried again by the next start, which has to come first"
    )]
    CutOff,
    /// It could not be made safe.
    #[error("{}: {error}: nothing was changed", file.display())]
    File {
        /// The file of the order.
        file: PathBuf,
        /// What the operating system says.
        error: Arc<std::io::Error>,
    },
}

/// Forgets, one person after the other.
pub struct Forgetter {
    pub(crate) ground: Ground,
    /// The lanes at work; none when no daemon runs.
    pub(crate) delivery: Option<Arc<Delivery>>,
    /// The plans by which visitor codes are told while no daemon runs.
    plans: Vec<Arc<PipelinePlan>>,
    pub(crate) file: OrderFile,
    now: Mutex<Option<watch::Receiver<ForgetReport>>>,
}

// === impl Forgetter ===

impl Forgetter {
    /// One that works in a data folder, with the lanes at work, or with the plans of the files when there are none.
    #[must_use]
    pub fn new(
        data_dir: &std::path::Path,
        ground: Ground,
        delivery: Option<Arc<Delivery>>,
        plans: Vec<Arc<PipelinePlan>>,
    ) -> Arc<Self> {
        Arc::new(Self { ground, delivery, plans, file: OrderFile::in_folder(data_dir), now: Mutex::default() })
    }

    /// The plans in force.
    pub(crate) fn plans(&self) -> BTreeMap<Box<str>, Arc<PipelinePlan>> {
        let plans = self.delivery.as_ref().map_or_else(|| self.plans.clone(), |delivery| delivery.pipelines());
        plans.into_iter().map(|plan| (Box::from(&*plan.name), plan)).collect()
    }

    /// Begins. What comes of it is told by the receiver; it goes on when that is dropped.
    ///
    /// # Errors
    /// When the order means nobody, somebody is being forgotten already, or the order cannot be made safe.
    pub fn begin(self: &Arc<Self>, order: &ForgetOrder) -> Result<watch::Receiver<ForgetReport>, ForgetError> {
        let person = order.person()?;
        if let Some(wanted) = &order.pipeline {
            let plans = self.plans();
            if !plans.contains_key(&**wanted) {
                let known = plans.keys().map(ToString::to_string).collect();
                return Err(ForgetError::Pipeline { wanted: wanted.clone(), known });
            }
        }
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.as_ref().is_some_and(is_under_way) {
            return Err(ForgetError::UnderWay);
        }
        // One that cannot be read says nobody any more, and is written over.
        if matches!(self.file.read(), Ok(Some(_))) {
            return Err(ForgetError::CutOff);
        }
        let asked = order::Asked::of(person, order, self.ground.clock.wall());
        if !order.dry_run {
            self.file.write(&asked).map_err(|error| self.broken(error))?;
        }
        let report = ForgetReport { dry_run: order.dry_run, asked_at: asked.asked_at, ..ForgetReport::default() };
        let (tell, heard) = watch::channel(report);
        *now = Some(heard.clone());
        drop(now);
        let (this, dry_run) = (Arc::clone(self), order.dry_run);
        tokio::spawn(async move {
            if dry_run { this.look(asked, &tell).await } else { this.complete(asked, None, &tell).await }
        });
        Ok(heard)
    }

    /// Completes what was asked for before this start, if anything was; `masked` is what hides it from the lanes already.
    ///
    /// # Errors
    /// When the file of the order cannot be read.
    pub fn resume(
        self: &Arc<Self>,
        masked: Option<Masked>,
    ) -> Result<Option<watch::Receiver<ForgetReport>>, ForgetError> {
        let Some(asked) = self.file.read().map_err(|error| self.broken(error))? else { return Ok(None) };
        let report = ForgetReport { resumed: true, asked_at: asked.asked_at, ..ForgetReport::default() };
        let (tell, heard) = watch::channel(report);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard.clone());
        let this = Arc::clone(self);
        tokio::spawn(async move { this.complete(asked, masked, &tell).await });
        Ok(Some(heard))
    }

    /// What is under way, or was done last since the start, with the ids that stood beside: they are in memory until the next.
    #[must_use]
    pub fn status(&self) -> Option<ForgetReport> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.as_ref().map(|heard| heard.borrow().clone())
    }

    fn broken(&self, error: std::io::Error) -> ForgetError {
        ForgetError::File { file: self.file.path().to_owned(), error: Arc::new(error) }
    }
}

fn is_under_way(heard: &watch::Receiver<ForgetReport>) -> bool {
    // Who does it has gone: its task was cut off, and the file says so.
    heard.has_changed().is_ok() && !heard.borrow().is_over()
}

// === impl Links ===

impl Links {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.visitors.is_empty() && self.users.is_empty()
    }
}

// === impl ForgetReport ===

impl ForgetReport {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Whether anything was found.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events == 0 && self.parked == 0 && self.deferred == 0 && self.identities == 0 && self.sends == 0
    }
}

// === impl ForgetOrder ===

impl ForgetOrder {
    fn person(&self) -> Result<whose::Person, ForgetError> {
        let is_good = |id: &str| !id.is_empty() && id.len() <= 1000;
        match (&self.visitor, &self.user) {
            (Some(id), None) if is_good(id) => Ok(whose::Person::Visitor(id.clone())),
            (None, Some(id)) if is_good(id) => Ok(whose::Person::User(id.clone())),
            (Some(_), None) => Err(ForgetError::BadId("visitor")),
            (None, Some(_)) => Err(ForgetError::BadId("user")),
            _ => Err(ForgetError::Who),
        }
    }
}

impl std::fmt::Debug for Forgetter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forgetter").finish_non_exhaustive()
    }
}

//! The steps of forgetting, one after the other; the head of [`crate::forget`] says why in this order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anole_delivery_log::{LogErased, LogError};
use anole_event::{
    AttemptId, Entry, LaneId, Marks, Outcome, Position, Reason, Record, Seeded, SendRecord, State as Ended, Timestamp,
    uuid_v7,
};
use anole_journal::{EraseError, Journal, Read, ReadError, Which};
use anole_pipeline::PipelinePlan;
use anole_state::{Erasable, Erase, IdentitiesOf, IdentityValue, Matches, StateError};
use anole_telemetry::{ForgettingFailed, Forgotten, OutcomesSettled};
use tokio::sync::watch;

use crate::forget::order::{Asked, OrderFile};
use crate::forget::whose::Judge;
use crate::forget::{ForgetReport, Forgetter, Links, Stage};
use crate::recorder::tell_parked;

/// Parked and deferred sends that are erased at once: each time the state renews its tables and its backup.
const PAGE: usize = 10_000;
/// How often steps that may find something again are repeated at most, before an error is told and all of it is begun anew.
const ROUNDS: usize = 16;
/// How long is waited behind an error before it is tried again.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// How often it is tried before whoever asked is told that it failed. It is completed by the next start then.
const TRIES: u32 = 5;

/// A step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("the journal cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error(transparent)]
    Journal(#[from] EraseError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{file}: {error}")]
    File { file: String, error: std::io::Error },
    #[error("what was erased is found again and again: does another process write to the data folder?")]
    Again,
    #[error("it was stopped")]
    Stopped,
}

/// What hides somebody's events since before the lanes were started.
pub struct Masked {
    erasing: anole_journal::Erase,
    /// Sees what is hidden, which nobody who reads does any more.
    judge: Arc<Judge>,
}

// === impl Masked ===

impl Masked {
    /// When somebody was being forgotten as the last process ended: hides their events before a lane reads them. `plans` are those
    /// that the lanes are started with. Nothing when there is nothing to complete, or its file cannot be read, which is told later.
    #[must_use]
    pub fn of(data_dir: &Path, journal: &dyn Journal, plans: &[Arc<PipelinePlan>], now: Timestamp) -> Option<Self> {
        let asked = OrderFile::in_folder(data_dir).read().ok()??;
        let plans = plans.iter().map(|plan| (Box::from(&*plan.name), Arc::clone(plan))).collect();
        let judge = Judge::new(&asked, plans, now);
        Some(Self { erasing: journal.erase(which(&judge)), judge })
    }
}

impl std::fmt::Debug for Masked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masked").finish_non_exhaustive()
    }
}

// === impl Forgetter ===

impl Forgetter {
    /// Says what there is.
    pub(crate) async fn look(&self, asked: Asked, tell: &watch::Sender<ForgetReport>) {
        let looked = self.try_look(asked, tell).await;
        tell.send_modify(|report| {
            report.finished_at = Some(self.ground.clock.wall());
            match &looked {
                Ok(()) => report.stage = Stage::Done,
                Err(error) => (report.stage, report.error) = (Stage::Failed, Some(error.to_string())),
            }
        });
    }

    async fn try_look(&self, mut asked: Asked, tell: &watch::Sender<ForgetReport>) -> Result<(), StepError> {
        let mut judge = Judge::new(&asked, self.plans(), asked.asked_at);
        let mut events = self.look_into_journal(&judge, self.ground.journal.starts()).await?;
        let (mut kept, mut log, mut identities) = self.look_into_stores(&judge).await?;
        let links = judge.found().links;
        if asked.linked && !links.is_empty() {
            asked.add(&links);
            judge = Judge::new(&asked, self.plans(), asked.asked_at);
            events = self.look_into_journal(&judge, self.ground.journal.starts()).await?;
            (kept, log, identities) = self.look_into_stores(&judge).await?;
        }
        let left = self.left().await?;
        tell.send_modify(|report| {
            report.events = events;
            report.deferred = kept.iter().filter(|one| one.is_deferred).count() as u64;
            report.parked = kept.len() as u64 - report.deferred;
            report.identities = identities;
            (report.sends, report.rows, report.bodies) = (log.sends, log.entries, log.bodies);
            report.linked = if asked.linked { links } else { judge.found().links };
            report.left = left;
        });
        Ok(())
    }

    /// Does it, and tries again behind an error.
    pub(crate) async fn complete(
        self: &Arc<Self>,
        mut asked: Asked,
        mut masked: Option<Masked>,
        tell: &watch::Sender<ForgetReport>,
    ) {
        let telemetry = &self.ground.stores.telemetry;
        for tries in 1.. {
            let Err(error) = self.try_complete(&mut asked, masked.take(), tell).await else { break };
            telemetry.emit(ForgettingFailed { error: &error });
            let is_last = tries >= TRIES || matches!(&error, StepError::State(error) if !error.is_transient());
            tell.send_modify(|report| {
                (report.stage, report.error) = (Stage::Failed, Some(error.to_string()));
                report.finished_at = is_last.then(|| self.ground.clock.wall());
            });
            if is_last {
                return;
            }
            tokio::time::sleep(AFTER_ERROR).await;
        }
        tell.send_modify(|report| {
            (report.stage, report.error) = (Stage::Done, None);
            report.finished_at = Some(self.ground.clock.wall());
        });
        let report = tell.borrow();
        telemetry.emit(Forgotten {
            events: report.events,
            kept: report.parked + report.deferred,
            identities: report.identities,
            sends: report.sends,
            left: &report.left,
        });
    }

    async fn try_complete(
        self: &Arc<Self>,
        asked: &mut Asked,
        masked: Option<Masked>,
        tell: &watch::Sender<ForgetReport>,
    ) -> Result<(), StepError> {
        tell.send_modify(|report| report.stage = Stage::Looking);
        let journal = &self.ground.journal;
        let looked = journal.ends();
        let judge = self.gather(asked, masked.as_ref(), tell).await?;
        tell.send_modify(|report| report.stage = Stage::Lanes);
        let erasing = journal.erase(which(&judge));
        let ends = journal.ends();
        // What came in since the look: to read it now shows it to the judge, as he is asked what is to be hidden.
        self.look_into_journal(&judge, looked).await?;
        let restarted = self.let_go(&judge, &ends).await?;
        tell.send_modify(|report| {
            report.stage = Stage::Journal;
            report.lanes.extend(restarted);
        });
        let mut erased = erasing.await?;
        if let Some(masked) = masked {
            let before = masked.erasing.await?;
            erased.records += before.records;
            erased.segments += before.segments;
        }
        tell.send_modify(|report| {
            report.events += erased.records;
            report.files += erased.segments;
        });
        // What the journal has shown since belongs to it.
        asked.found = judge.found();
        self.save(asked)?;
        for round in 0.. {
            if round == ROUNDS {
                return Err(StepError::Again);
            }
            tell.send_modify(|report| report.stage = Stage::State);
            let kept = self.erase_kept(&judge, tell).await?;
            tell.send_modify(|report| report.stage = Stage::History);
            let sends = self.erase_history(&judge, tell).await?;
            if kept + sends == 0 {
                break;
            }
        }
        let left = self.left().await?;
        self.file.remove().map_err(|error| self.file_error(error))?;
        tell.send_modify(|report| report.left = left);
        Ok(())
    }

    /// Finds out whose events are meant, and keeps it for a start that completes this.
    async fn gather(
        &self,
        asked: &mut Asked,
        masked: Option<&Masked>,
        tell: &watch::Sender<ForgetReport>,
    ) -> Result<Arc<Judge>, StepError> {
        let now = self.ground.clock.wall();
        let mut judge = Judge::new(asked, self.plans(), now);
        let journal = &self.ground.journal;
        self.look_into_journal(&judge, journal.starts()).await?;
        if let Some(masked) = masked {
            judge.learn(masked.judge.found());
        }
        self.look_into_stores(&judge).await?;
        let links = judge.found().links;
        if std::mem::take(&mut asked.linked) && !links.is_empty() {
            asked.add(&links);
            asked.found = judge.found();
            judge = Judge::new(asked, self.plans(), now);
            self.look_into_journal(&judge, journal.starts()).await?;
            self.look_into_stores(&judge).await?;
        }
        tell.send_modify(|report| report.linked = links);
        asked.found = judge.found();
        self.save(asked)?;
        Ok(judge)
    }

    fn save(&self, asked: &Asked) -> Result<(), StepError> {
        self.file.write(asked).map_err(|error| self.file_error(error))
    }

    fn file_error(&self, error: std::io::Error) -> StepError {
        StepError::File { file: self.file.path().display().to_string(), error }
    }

    /// Reads the journal from here on; gives how many events are theirs.
    async fn look_into_journal(&self, judge: &Arc<Judge>, from: Vec<Position>) -> Result<u64, StepError> {
        let (journal, judge) = (Arc::clone(&self.ground.journal), Arc::clone(judge));
        let look = move || -> Result<u64, ReadError> {
            let mut events = 0;
            for start in from {
                let mut reader = journal.reader(start);
                while let Some(read) = reader.try_next()? {
                    // What cannot be read is not known to be anybody's; an erasure makes it zeros.
                    let Read::Block(block) = read else { continue };
                    for (_, record) in &block.records {
                        let Ok((head, body)) = anole_event::Head::split(record.bytes()) else { continue };
                        events += u64::from(judge.record(&head, body));
                    }
                }
            }
            Ok(events)
        };
        Ok(tokio::task::spawn_blocking(look).await.map_err(|_| StepError::Stopped)??)
    }

    /// What state and delivery log have.
    async fn look_into_stores(&self, judge: &Arc<Judge>) -> Result<(Vec<Erasable>, LogErased, u64), StepError> {
        let state = &self.ground.stores.state;
        let kept = state.erasable(kept(judge), usize::MAX).await?;
        // One that is theirs by whose it is and by what it is comes twice.
        let mut identities = HashSet::new();
        for id in judge.ids() {
            for identity in state.linked(id).await? {
                judge.identity(&identity);
                if judge.is_their_identity(&identity) {
                    identities.insert(identity.key);
                }
            }
        }
        Ok((kept, self.look_into_history(judge).await?, identities.len() as u64))
    }

    /// One look may show events of which other rows are found by the message id only.
    async fn look_into_history(&self, judge: &Arc<Judge>) -> Result<LogErased, StepError> {
        loop {
            let before = judge.messages();
            let found = self.ground.stores.log.erasable(judge.whose()).await?;
            if judge.messages() == before {
                return Ok(found);
            }
        }
    }

    async fn let_go(&self, judge: &Arc<Judge>, ends: &[Position]) -> Result<Vec<LaneId>, StepError> {
        let Some(delivery) = &self.delivery else { return Ok(Vec::new()) };
        let touched = judge.found().messages.into_keys().collect();
        let kept = self.ground.stores.state.erasable(kept(judge), usize::MAX).await?;
        let held = kept.into_iter().filter(|one| one.is_deferred).map(|one| one.lane).collect();
        Ok(delivery.let_go(ends, &touched, &held).await)
    }

    /// Parked and deferred sends, and identities; gives how many sends that were.
    async fn erase_kept(&self, judge: &Arc<Judge>, tell: &watch::Sender<ForgetReport>) -> Result<u64, StepError> {
        let state = &self.ground.stores.state;
        let mut all = 0;
        for round in 0.. {
            if round == ROUNDS * ROUNDS {
                return Err(StepError::Again);
            }
            let found = state.erasable(kept(judge), PAGE).await?;
            if found.is_empty() {
                break;
            }
            self.tell_erased(&found).await?;
            let sends = found.iter().map(|one| (one.lane.clone(), one.key)).collect();
            state.erase(Erase { sends, ..Erase::default() }).await?;
            let deferred = found.iter().filter(|one| one.is_deferred).count() as u64;
            all += found.len() as u64;
            tell.send_modify(|report| {
                report.deferred += deferred;
                report.parked += found.len() as u64 - deferred;
            });
            for lane in found.iter().map(|one| &one.lane).collect::<BTreeSet<_>>() {
                tell_parked(&self.ground.stores, lane).await;
            }
        }
        let mut erase = Erase::default();
        for id in judge.ids() {
            for identity in state.linked(id).await?.into_iter().filter(|one| judge.is_their_identity(one)) {
                let pipeline = identity.key.pipeline;
                if judge.is_of(&identity.key.id) {
                    erase.identities.push(IdentitiesOf { pipeline, id: identity.key.id });
                } else {
                    erase.values.push(IdentityValue { pipeline, value: identity.value });
                }
            }
        }
        // Also when there is nothing: an erasure before this one may have been cut off before the bytes were gone.
        let erased = state.erase(erase).await?;
        tell.send_modify(|report| {
            report.identities += erased.identities as u64;
            report.left = erased.left;
        });
        Ok(all)
    }

    /// The outcome `erased`, before the state lets go (S-2).
    async fn tell_erased(&self, found: &[Erasable]) -> Result<(), StepError> {
        let now = self.ground.clock.wall();
        let mut random = Seeded::from_entropy();
        let mut by_lane: BTreeMap<(&LaneId, u64), Vec<SendRecord>> = BTreeMap::new();
        for one in found {
            by_lane.entry((&one.lane, one.plan)).or_default().push(outcome(one));
        }
        let entry = |((lane, plan), sends): (&(&LaneId, u64), &Vec<SendRecord>)| Entry {
            id: AttemptId(uuid_v7(now, &mut random)),
            at: now,
            lane: (*lane).clone(),
            plan: *plan,
            attempt: None,
            sends: sends.clone(),
        };
        self.ground.stores.log.append(Arc::new(by_lane.iter().map(entry).collect())).await?;
        for ((lane, _), sends) in by_lane {
            let (state, reason, sends) = (Ended::Erased, Reason::Requested, sends.len() as u64);
            self.ground.stores.telemetry.emit(OutcomesSettled { lane, state, reason, sends });
        }
        Ok(())
    }

    /// Rows of the delivery log; gives how many sends that were.
    async fn erase_history(&self, judge: &Arc<Judge>, tell: &watch::Sender<ForgetReport>) -> Result<u64, StepError> {
        let mut all = 0;
        for _ in 0..ROUNDS {
            self.look_into_history(judge).await?;
            let LogErased { sends, entries, bodies, files } = self.ground.stores.log.erase(judge.whose()).await?;
            if sends == 0 {
                return Ok(all);
            }
            all += sends;
            tell.send_modify(|report| {
                report.sends += sends;
                report.rows += entries;
                report.bodies += bodies;
                report.files += files;
            });
        }
        Err(StepError::Again)
    }

    /// Files of the data folder that were set aside, as damaged or before they were migrated.
    async fn left(&self) -> Result<Vec<std::path::PathBuf>, StepError> {
        let folder = self.file.path().parent().unwrap_or_else(|| self.file.path()).to_owned();
        let look = move || -> std::io::Result<Vec<std::path::PathBuf>> {
            let mut left = Vec::new();
            for folder in [folder.clone(), folder.join("journal")] {
                for entry in std::fs::read_dir(folder)? {
                    let path = entry?.path();
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    if name.contains(".damaged-") || name.contains(".format-") {
                        left.push(path);
                    }
                }
            }
            left.sort();
            Ok(left)
        };
        let looked = tokio::task::spawn_blocking(look).await.map_err(|_| StepError::Stopped)?;
        looked.map_err(|error| self.file_error(error))
    }
}

// === impl Asked ===

impl Asked {
    fn add(&mut self, links: &Links) {
        use crate::forget::whose::Person;
        self.people.extend(links.visitors.iter().cloned().map(Person::Visitor));
        self.people.extend(links.users.iter().cloned().map(Person::User));
    }
}

fn which(judge: &Arc<Judge>) -> Which {
    let judge = Arc::clone(judge);
    Arc::new(move |head, body| judge.record(head, body))
}

fn kept(judge: &Arc<Judge>) -> Matches {
    let judge = Arc::clone(judge);
    Arc::new(move |record: &Record| judge.kept(record))
}

/// Without the message id: the row would have to be erased again.
fn outcome(one: &Erasable) -> SendRecord {
    SendRecord {
        message_id: Box::default(),
        event: one.event.as_str().into(),
        anonymous_id: None,
        user_id: None,
        lookups: Vec::new(),
        position: one.key.position,
        received_at: one.received_at,
        ordinal: one.key.ordinal,
        rule: one.rule.as_str().into(),
        visitor_code: None,
        rung: None,
        nonce: None,
        marks: Marks::ERASED,
        outcome: Some(Outcome::new(Ended::Erased, Reason::Requested)),
    }
}

//! A cell: one fault, one daemon.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::case::{Arm, Case, Ends, Mend, Stands};
use super::folder::{folder, point};
use super::judge::{Judge, judge};
use super::{Cell, STAND};
use crate::api::{Api, Attempt, LOOK, Lane, PATIENCE, until};
use crate::vendor::{Certificate, Fault, Vendor};
use crate::{Daemon, Folder};

/// Events that the vendor takes in before the fault, and those that come while it stands.
const BEFORE: u64 = 40;
const DURING: u64 = 160;
/// Visitors of the latter: they have two events each, and the first ones fill four batches.
const VISITORS: u64 = 80;
/// Events of one post.
const POST: u64 = 40;
/// Every so many events of those that come while it stands is poison, where some are.
const POISON_EVERY: u64 = 50;

/// How a cell went that was right.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Events that were acknowledged; all of them were taken in.
    pub events: u64,
    /// Arrivals of an event that had been taken in before, under the same nonce.
    pub twice: u64,
    /// Events that were parked before the replay.
    pub parked: u64,
    /// Requests from the fault's beginning on.
    pub requests: u64,
    /// The most that they could have been.
    pub bound: u64,
    /// What the delivery log said: status, decision and words.
    pub said: String,
    /// How the lane was, by the list of lanes.
    pub lane: String,
    /// From the healing to the last event.
    pub recovered: Duration,
}

/// A cell while it is played.
struct Play<'a> {
    cell: Cell,
    binary: &'a Path,
    vendor: Vendor,
    folder: Folder,
    daemon: Daemon,
    api: Api,
    poison: HashSet<String>,
    /// How many attempts the delivery log had before the fault.
    earlier: usize,
    /// When the fault began, or the life that followed it, and how long it stood in the lives before.
    since: Instant,
    lives: Vec<Duration>,
    kills: Vec<Instant>,
    said: Option<Attempt>,
    lane: Option<String>,
}

/// Plays a cell; what was wrong, when something was.
pub(super) async fn play(binary: &Path, cell: Cell, seed: u64) -> Result<Outcome, String> {
    let mut play = Play::begin(binary, cell, seed).await?;
    match play.through().await {
        Ok(outcome) => Ok(outcome),
        Err(what) => {
            let log = play.daemon.log();
            let log: Vec<_> = log.lines().rev().take(12).collect();
            let log: Vec<_> = log.into_iter().rev().collect();
            Err(format!("{what}\n  the last lines of the daemon:\n    {}", log.join("\n    ")))
        }
    }
}

/// The message id of an event, which is its nonce.
pub(super) fn id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The visitor of an event.
pub(super) fn visitor(number: u64) -> String {
    if number < BEFORE { format!("early-{number}") } else { format!("visitor-{:02}", (number - BEFORE) % VISITORS) }
}

// === impl Play ===

impl<'a> Play<'a> {
    async fn begin(binary: &'a Path, cell: Cell, seed: u64) -> Result<Self, String> {
        let vendor = Vendor::start(seed).await;
        if matches!(cell.case.arm, Arm::Certificate(_)) {
            vendor.set_certificate(Some(Certificate::Good));
        }
        let folder = folder(cell.case, &url(cell.case, &vendor, "127.0.0.1"));
        let daemon = Daemon::start(binary, &folder.config()).await?;
        let poison = match cell.case.arm {
            Arm::Poison(count) => (0..count).map(|at| id(BEFORE + at * POISON_EVERY)).collect(),
            _ => HashSet::new(),
        };
        Ok(Self {
            api: Api::of(&daemon),
            cell,
            binary,
            vendor,
            folder,
            daemon,
            poison,
            earlier: 0,
            since: Instant::now(),
            lives: Vec::new(),
            kills: Vec::new(),
            said: None,
            lane: None,
        })
    }

    async fn through(&mut self) -> Result<Outcome, String> {
        self.post(0..BEFORE).await?;
        self.taken_in(BEFORE, &HashSet::new()).await?;
        until("the first requests are in the delivery log", async || Ok(self.api.lane().await?.open_events == Some(0)))
            .await?;
        self.earlier = self.api.attempts().await?.len();
        let seen = self.vendor.requests().len();
        self.arm().await?;
        self.since = Instant::now();
        self.post_all(BEFORE..BEFORE + DURING / 2).await?;
        self.stand().await?;
        let healed = Instant::now();
        self.lives.push(healed - self.since);
        self.heal().await?;
        let parked = self.parked().await?;
        let all = BEFORE + DURING;
        self.taken_in(all, &parked).await?;
        until("nothing is left to do", async || Ok(self.api.lane().await?.open_events == Some(0))).await?;
        let parked = self.parked().await?;
        let recovered = healed.elapsed();
        if !parked.is_empty() {
            self.api.replay().await?;
            until("the replay is over", async || self.api.replayed().await).await?;
            self.taken_in(all, &HashSet::new()).await?;
            until("nothing is parked any more", async || Ok(self.api.lane().await?.parked == 0)).await?;
        }
        let logged = self.api.attempts().await?.len() - self.earlier;
        let code = self.daemon.end().await?;
        if code != 0 {
            return Err(format!("the daemon ended with {code}"));
        }
        self.judge(&parked, logged, seen, recovered)
    }

    fn judge(
        &self,
        parked: &HashSet<String>,
        logged: usize,
        seen: usize,
        recovered: Duration,
    ) -> Result<Outcome, String> {
        let requests = self.vendor.requests();
        let found = judge(&Judge { requests: &requests, kills: &self.kills, parked, events: BEFORE + DURING })?;
        let (lives, case) = (self.lives.len() as u64, self.cell.case);
        let right = match case.ends {
            Ends::Delivered => parked.is_empty(),
            Ends::PoisonParked => *parked == self.poison,
            Ends::EightParked => (8..=8 * lives).contains(&(parked.len() as u64)),
        };
        if !right {
            let mut parked: Vec<_> = parked.iter().collect();
            parked.sort();
            return Err(format!("parked are {} events, which is not {:?}: {parked:?}", parked.len(), case.ends));
        }
        let outcome = Outcome {
            events: BEFORE + DURING,
            twice: found.twice,
            parked: parked.len() as u64,
            requests: logged.max(requests.len() - seen) as u64,
            bound: case.bound.requests(&self.lives),
            said: self.said.as_ref().map(shown).unwrap_or_default(),
            lane: self.lane.clone().unwrap_or_default(),
            recovered,
        };
        if outcome.requests > outcome.bound {
            return Err(format!(
                "{} requests, {} are allowed ({}) for {:?}",
                outcome.requests, outcome.bound, case.bound, self.lives
            ));
        }
        Ok(outcome)
    }

    async fn post_all(&self, numbers: std::ops::Range<u64>) -> Result<(), String> {
        for from in numbers.step_by(POST as usize) {
            self.post(from..from + POST).await?;
        }
        Ok(())
    }

    async fn post(&self, numbers: std::ops::Range<u64>) -> Result<(), String> {
        let events: Vec<_> = numbers
            .map(|number| {
                format!(
                    r#"{{"type":"track","event":"Order Completed","messageId":"{}","anonymousId":"{}","properties":{{"revenue":1}}}}"#,
                    id(number),
                    visitor(number)
                )
            })
            .collect();
        self.api.post(format!(r#"{{"batch":[{}]}}"#, events.join(","))).await
    }

    async fn arm(&self) -> Result<(), String> {
        match self.cell.case.arm {
            Arm::Fault(fault) => self.vendor.set(fault.fault()),
            Arm::Poison(_) => self.vendor.set(Fault::Poison(self.poison.clone())),
            Arm::Certificate(certificate) => self.vendor.set_certificate(certificate),
            Arm::NoSuchName => {
                point(&self.folder, self.cell.case, &url(self.cell.case, &self.vendor, "vendor.invalid"));
                self.api.reload().await?;
            }
        }
        Ok(())
    }

    async fn heal(&self) -> Result<(), String> {
        self.vendor.heal();
        if matches!(self.cell.case.arm, Arm::Certificate(_)) {
            self.vendor.set_certificate(Some(Certificate::Good));
        }
        let host = match (self.cell.case.arm, self.cell.case.mend) {
            (Arm::NoSuchName, _) => "127.0.0.1",
            (_, Mend::Elsewhere) => "localhost",
            _ => return Ok(()),
        };
        point(&self.folder, self.cell.case, &url(self.cell.case, &self.vendor, host));
        self.api.reload().await
    }

    /// Lets the fault stand, and looks whether it is named. The second half of the events comes when the first has met it, with
    /// a restart after that.
    async fn stand(&mut self) -> Result<(), String> {
        let second = BEFORE + DURING / 2..BEFORE + DURING;
        self.named(self.earlier).await?;
        if self.cell.restart {
            tokio::time::sleep_until(self.since + STAND / 2).await;
            let logged = self.api.attempts().await?.len();
            self.daemon.kill().await;
            self.kills.push(Instant::now());
            self.lives.push(self.since.elapsed());
            self.daemon = Daemon::start(self.binary, &self.folder.config()).await?;
            self.api = Api::of(&self.daemon);
            self.since = Instant::now();
            self.post_all(second).await?;
            self.named(logged).await?;
            tokio::time::sleep_until(self.since + STAND / 2).await;
        } else {
            self.post_all(second).await?;
            tokio::time::sleep_until(self.since + STAND).await;
        }
        Ok(())
    }

    /// Waits until an attempt after the first so many says what it must, and the lane pauses if it must.
    async fn named(&mut self, after: usize) -> Result<(), String> {
        let says = self.cell.case.says;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let attempts = self.api.attempts().await?;
            let new = &attempts[..attempts.len().saturating_sub(after)];
            let right = new.iter().find(|attempt| {
                (attempt.status, attempt.decision.as_str()) == (says.status, says.decision)
                    && attempt.error.as_deref().unwrap_or_default().contains(says.words)
            });
            let lane = self.api.lane().await?;
            let stands = stands(self.cell.case.lane, &lane);
            if let (Some(right), Some(stands)) = (right, stands) {
                self.said.get_or_insert_with(|| right.clone());
                self.lane.get_or_insert(stands);
                return Ok(());
            }
            if Instant::now() > deadline {
                let said: Vec<_> = new.iter().take(5).map(shown).collect();
                return Err(format!(
                    "the delivery log never said {says:?}, or the lane was not {:?}: it is {lane:?}; it said: {said:?}",
                    self.cell.case.lane
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn parked(&self) -> Result<HashSet<String>, String> {
        Ok(self.api.parked().await?.into_iter().collect())
    }

    /// Waits until the first so many events are taken in, or were parked at the first look or are now.
    async fn taken_in(&self, events: u64, parked: &HashSet<String>) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = 0_u64;
        loop {
            let requests = self.vendor.requests();
            let taken: HashSet<_> = requests
                .iter()
                .filter(|request| request.is_taken_in)
                .flat_map(|request| request.events.iter().map(|event| event.nonce.as_str()))
                .collect();
            let now = if parked.is_empty() && self.cell.case.ends == Ends::Delivered || looks % 10 != 9 {
                HashSet::new()
            } else {
                self.parked().await?
            };
            looks += 1;
            let missing: Vec<_> = (0..events)
                .map(id)
                .filter(|id| !taken.contains(id.as_str()) && !parked.contains(id) && !now.contains(id))
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{} of {events} events never arrived: {:?}",
                    missing.len(),
                    &missing[..missing.len().min(5)]
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Where the pipeline points.
fn url(case: &Case, vendor: &Vendor, host: &str) -> String {
    let scheme = if matches!(case.arm, Arm::Certificate(_)) { "https" } else { "http" };
    format!("{scheme}://{host}:{}", vendor.address().port())
}

/// How a lane is, in words, when it is as it must be.
fn stands(must: Stands, lane: &Lane) -> Option<String> {
    let paused = lane.paused.as_deref();
    match must {
        Stands::Paused(words) => paused.filter(|why| why.contains(words)).map(|why| format!("pauses: {why}")),
        _ if paused.is_some() => None,
        Stands::Runs => Some("goes on".to_owned()),
        Stands::BreakerOpen => {
            lane.endpoints.iter().any(|endpoint| endpoint.breaker_open).then(|| "its breaker opens".to_owned())
        }
        Stands::Slowed => {
            let rate = lane.endpoints.iter().find_map(|endpoint| endpoint.requests_per_second)?;
            Some(format!("goes on with {rate:.1} requests a second"))
        }
        Stands::Silent => {
            let seconds = lane.endpoints.iter().map(|endpoint| endpoint.silent_seconds).max()?;
            (seconds > 60).then(|| format!("is silent for {} minutes", seconds.div_ceil(60)))
        }
    }
}

fn shown(attempt: &Attempt) -> String {
    let status = attempt.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let words = attempt.error.as_deref().map_or_else(String::new, |error| format!(": {error}"));
    format!("{status} -> {}{words}", attempt.decision)
}

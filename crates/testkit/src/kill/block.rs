//! A block of cycles on one folder.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anole_sandbox::{Fault, Filter, Reset, RetryAfter, Sandbox, Verdict};
use fastrand::Rng;
use tokio::time::Instant;

use super::event::Author;
use super::journal::{self, Found};
use super::load::{Client, Sent};
use super::{KillOptions, Report};
use crate::daemon::Started;
use crate::{Daemon, Folder, Oracle, client};

/// How many cycles a block has.
const CYCLES: std::ops::RangeInclusive<u64> = 10..=60;
/// Kills in the load strike after so many milliseconds of it: mostly soon, now and then when batches are under way.
const SOON: std::ops::Range<u64> = 5..400;
const LATE: std::ops::Range<u64> = 400..1_600;
/// Kills in the start and in the end strike within so many milliseconds.
const IN_START: std::ops::Range<u64> = 1..120;
const IN_END: std::ops::Range<u64> = 0..300;
/// Every so many cycles the metrics are looked at.
const LOOK: u64 = 8;

/// The pipelines: write key, and the site codes of their lanes.
const PIPELINES: [(&str, &[&str]); 2] =
    [("dk_kill_shop", &["shopaaaaaa", "shopbbbbbb"]), ("dk_kill_blog", &["blogaaaaaa"])];

/// The blueprint that ships, and the wait of its batches, which a block may shorten: a second is longer than most cycles.
const BLUEPRINT: &str = include_str!("../../../../blueprints/kameleoon.yaml");
const WAIT: &str = "wait: 1s";

/// A block.
pub(super) struct Block<'a> {
    options: &'a KillOptions,
    sandbox: &'a Sandbox,
    rng: Rng,
    folder: Folder,
    author: Author,
    clients: Vec<Client>,
    oracle: Oracle,
    /// Acknowledged events, by client.
    acknowledged: Vec<HashSet<u64>>,
    http: reqwest::Client,
    /// The number of the last arrival that was looked at.
    seen: u64,
    /// What had been counted before this block.
    before: Report,
}

/// Where a kill strikes.
enum Moment {
    Load(Duration),
    Start(Duration),
    End(Duration, Duration),
}

// === impl Block ===

impl<'a> Block<'a> {
    pub(super) fn new(options: &'a KillOptions, seed: u64, number: u32, sandbox: &'a Sandbox) -> Self {
        let mut rng = Rng::with_seed(seed);
        let author = Author { seed, block: number, client: 0 };
        let http = client();
        let clients = (0..options.clients).map(|client| {
            let key = PIPELINES[usize::from(client) % PIPELINES.len()].0;
            Client::new(Author { client, ..author }, key, http.clone(), rng.fork())
        });
        let clients: Vec<_> = clients.collect();
        let folder = folder(&mut rng, &sandbox.url());
        sandbox.heal_all();
        sandbox.reset();
        let seen = sandbox.events(&Filter { limit: 1, ..Filter::default() }).last().map_or(0, |event| event.number);
        Self {
            acknowledged: vec![HashSet::new(); clients.len()],
            oracle: Oracle::default(),
            before: Report::default(),
            options,
            sandbox,
            rng,
            folder,
            author,
            clients,
            http,
            seen,
        }
    }

    /// Runs its cycles and judges them.
    pub(super) async fn run(mut self, report: &mut Report, started: Instant) {
        self.before = report.clone();
        let cycles = self.rng.u64(CYCLES).min(self.options.cycles - report.cycles);
        for number in 0..cycles {
            if let Err(what) = self.cycle(number, report).await {
                report.blame(format!("cycle {number}: {what}"));
                break;
            }
            report.took = started.elapsed();
            if let Some(progress) = &self.options.progress {
                progress(report);
            }
        }
        if let Err(what) = self.end(report).await {
            report.blame(what);
        }
        report.blocks += 1;
        if !report.is_clean() && !self.options.loses {
            report.blame(format!("the folder is kept: {}", self.folder.keep().display()));
        }
    }

    async fn cycle(&mut self, number: u64, report: &mut Report) -> Result<(), String> {
        self.heal()?;
        if let Some(fault) = fault(&mut self.rng) {
            self.sandbox.set_fault(fault).map_err(|error| error.to_string())?;
            report.faults += 1;
        }
        let moment = Moment::draw(&mut self.rng);
        let config = self.folder.config();
        let mut daemon = match moment {
            Moment::Start(after) => match Daemon::start_within(&self.options.binary, &config, after).await? {
                Started::Up(daemon) => *daemon,
                Started::Killed(log) => {
                    report.in_start += 1;
                    report.cycles += 1;
                    return examine(&log, report);
                }
            },
            _ => Daemon::start(&self.options.binary, &config).await?,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let origin = daemon.collect_url("");
        let tasks: Vec<_> = std::mem::take(&mut self.clients)
            .into_iter()
            .map(|client| tokio::spawn(client.work(origin.clone(), Arc::clone(&stop))))
            .collect();
        let looked = match moment {
            Moment::Load(after) | Moment::End(after, _) => {
                tokio::time::sleep(after).await;
                if number % LOOK == LOOK - 1 { look(&self.http, &daemon).await } else { Ok(()) }
            }
            Moment::Start(_) => Ok(()),
        };
        if let Moment::End(_, after) = moment {
            daemon.terminate()?;
            tokio::time::sleep(after).await;
            report.in_end += 1;
        }
        daemon.kill().await;
        report.cycles += 1;
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            let (client, sent) = task.await.map_err(|error| error.to_string())?;
            self.take(&client, sent, report);
            self.clients.push(client);
        }
        self.collect(report);
        looked?;
        examine(&daemon.log(), report)
    }

    /// Ends the vendor's faults, but for the one by which the harness is tested.
    fn heal(&self) -> Result<(), String> {
        self.sandbox.heal_all();
        if self.options.loses {
            let site = Some(PIPELINES[0].1[0].to_owned());
            let swallow = Fault { lose: true, site, ..Fault::default() };
            self.sandbox.set_fault(swallow).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Notes what a client was told.
    fn take(&mut self, client: &Client, sent: Sent, report: &mut Report) {
        let sites = sites_of(client.author.client);
        for number in sent.acknowledged {
            let event = client.author.event(number);
            for site in sites {
                self.oracle.acknowledged(&order_key(site, &event.visitor), &event.nonce);
            }
            if self.acknowledged[usize::from(client.author.client)].insert(number) {
                report.acknowledged += 1;
                report.sends += sites.len() as u64;
            }
        }
        report.unanswered += sent.unanswered;
        report.repeated += sent.repeated;
        for what in sent.wrong {
            report.blame(what);
        }
    }

    /// Looks at what arrived since the last time.
    fn collect(&mut self, report: &mut Report) {
        for arrived in self.sandbox.events(&Filter { after: self.seen, ..Filter::all() }) {
            if arrived.number != self.seen + 1 && self.seen > 0 {
                report.blame(format!("the sandbox has forgotten events before {}", arrived.number));
            }
            self.seen = arrived.number;
            let nonce = arrived.nonce.unwrap_or_default();
            let raw = String::from_utf8_lossy(&arrived.raw);
            let site = arrived.site.unwrap_or_default();
            match Author::of_nonce(self.author.seed, &nonce) {
                // A process of the block before, killed while its request was on its way.
                Some((author, _)) if author.block != self.author.block => {}
                Some((author, number)) if sites_of(author.client).contains(&site.as_str()) => {
                    let event = author.event(number);
                    if event.rendered != raw || arrived.verdict == Verdict::Error {
                        report.changed += 1;
                        report.blame(format!("{site} got {raw} instead of {}", event.rendered));
                    }
                    // What the vendor has dropped without a word has not arrived.
                    if arrived.verdict != Verdict::Lost {
                        self.oracle.arrived(&order_key(&site, &event.visitor), &nonce);
                    }
                }
                _ => {
                    report.changed += 1;
                    report.blame(format!("{site} got what was never sent to it: {raw}"));
                }
            }
        }
    }

    /// Lets everything arrive, and judges.
    async fn end(&mut self, report: &mut Report) -> Result<(), String> {
        self.heal()?;
        let daemon = Daemon::start(&self.options.binary, &self.folder.config()).await?;
        let deadline = Instant::now() + self.options.patience;
        loop {
            self.collect(report);
            if self.oracle.missing() == 0 || !report.wrong.is_empty() {
                break;
            }
            let seen = self.sandbox.stats().events;
            let more = self.sandbox.wait_for(|stats| stats.events > seen);
            if tokio::time::timeout_at(deadline, more).await.is_err() {
                break;
            }
        }
        look(&self.http, &daemon).await?;
        let log = daemon.log();
        let code = daemon.stop().await?;
        self.collect(report);
        let verdict = self.oracle.judge();
        report.arrived = self.before.arrived + verdict.arrived as u64;
        report.duplicates = self.before.duplicates + verdict.duplicates as u64;
        report.lost += verdict.lost.len() as u64;
        report.out_of_order += verdict.out_of_order.len() as u64;
        if !verdict.is_clean() {
            let lost: Vec<_> = verdict.lost.iter().take(5).collect();
            report.blame(format!("{verdict}; lost: {lost:?}; out of order: {:?}\n{log}", verdict.out_of_order));
        }
        if code != 0 {
            report.blame(format!("the daemon ended with {code}: {log}"));
        }
        examine(&log, report)?;
        self.compare_journal(report).await
    }

    async fn compare_journal(&self, report: &mut Report) -> Result<(), String> {
        let (dir, author, acknowledged) = (self.folder.path("data/journal"), self.author, self.acknowledged.clone());
        let compared = tokio::task::spawn_blocking(move || journal::compare(&dir, author, &acknowledged));
        let Found { lost, changed, wrong } = compared.await.map_err(|error| error.to_string())?;
        report.changed += changed.len() as u64;
        for nonce in &lost {
            report.blame(format!("acknowledged, and not in the journal: {nonce}"));
        }
        for what in changed.into_iter().chain(wrong) {
            report.blame(what);
        }
        Ok(())
    }
}

// === impl Moment ===

impl Moment {
    fn draw(rng: &mut Rng) -> Self {
        let mut within = |range: std::ops::Range<u64>| Duration::from_millis(rng.u64(range));
        let (soon, late) = (within(SOON), within(LATE));
        let (start, end) = (within(IN_START), within(IN_END));
        match rng.u8(0..20) {
            0..=1 => Self::Start(start),
            2..=3 => Self::End(soon, end),
            4..=6 => Self::Load(late),
            _ => Self::Load(soon),
        }
    }
}

fn sites_of(client: u16) -> &'static [&'static str] {
    PIPELINES[usize::from(client) % PIPELINES.len()].1
}

/// Order is promised per lane and visitor.
fn order_key(site: &str, visitor: &str) -> String {
    format!("{site}/{visitor}")
}

/// A folder with both pipelines, and settings by chance.
fn folder(rng: &mut Rng, origin: &str) -> Folder {
    let ack = if rng.u8(0..4) == 0 { "write" } else { "fsync" };
    let settings = format!("journal: {{ ack: {ack} }}\ndelivery: {{ allow_private_addresses: true, probe_every: 1s }}");
    let folder = Folder::empty(&settings);
    for (number, (key, sites)) in PIPELINES.iter().enumerate() {
        let lanes = sites.iter().map(|site| {
            format!(
                "  - blueprint: kameleoon\n    name: {site}\n    settings: {{ site_code: {site}, region: eu, base_url: \
                 \"{origin}\" }}\n    events:\n      Order Completed: {{ set: {{ goalId: 36151 }} }}\n"
            )
        });
        let lanes: String = lanes.collect();
        let text = format!("pipeline: p{number}\nkeys: [{{ key: {key} }}]\ndestinations:\n{lanes}");
        folder.write(&format!("pipelines/p{number}.yaml"), &text);
    }
    if rng.u8(0..4) != 0 {
        assert!(BLUEPRINT.contains(WAIT), "the blueprint's wait is written otherwise");
        folder.write("blueprints/kameleoon.yaml", &BLUEPRINT.replace(WAIT, "wait: 30ms"));
    }
    folder
}

/// A vendor's bad moment, or none. None of these makes a lane park, pause or set aside: that would be right, and could not
/// be told from loss by somebody who does not know how anole works.
fn fault(rng: &mut Rng) -> Option<Fault> {
    let times = Some(rng.u64(1..4));
    let mut fault = match rng.u8(0..16) {
        0 => Fault { status: Some(500), times, ..Fault::default() },
        1 => Fault { status: Some(503), retry_after: Some(RetryAfter::Seconds(1)), times: Some(1), ..Fault::default() },
        2 => Fault { status: Some(429), retry_after: Some(RetryAfter::Seconds(1)), times: Some(1), ..Fault::default() },
        3 => Fault { delay_ms: Some(rng.u64(5..300)), ..Fault::default() },
        4 => Fault { hang: true, times, ..Fault::default() },
        5 => Fault { reset: Some(Reset::Head), processed: rng.bool(), times, ..Fault::default() },
        6 => Fault { reset: Some(Reset::Body), processed: true, times, ..Fault::default() },
        _ => return None,
    };
    let sites: Vec<_> = PIPELINES.iter().flat_map(|(_, sites)| *sites).collect();
    fault.site = rng.bool().then(|| (*sites[rng.usize(..sites.len())]).to_owned());
    Some(fault)
}

/// What a process wrote may have nothing at level ERROR.
fn examine(log: &str, report: &mut Report) -> Result<(), String> {
    report.torn += log.lines().filter(|line| line.contains("the torn rest was cut off")).count() as u64;
    match log.lines().find(|line| line.contains(r#""level":"ERROR""#)) {
        Some(line) => Err(format!("the daemon told of an error: {line}\n{log}")),
        None => Ok(()),
    }
}

/// The metrics of a running process may tell of no damage and of nothing lost or parked.
async fn look(http: &reqwest::Client, daemon: &Daemon) -> Result<(), String> {
    let read = async {
        let mut response = http.get(daemon.admin_url("/metrics")).send().await?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            text.extend_from_slice(&chunk);
        }
        Ok::<_, reqwest::Error>(String::from_utf8_lossy(&text).into_owned())
    };
    let text = read.await.map_err(|error| format!("the metrics cannot be read: {error}"))?;
    let is_bad = |line: &&str| {
        let above_zero = !line.ends_with(" 0");
        above_zero
            && (line.starts_with("anole_journal_damaged_records_total ")
                || (line.starts_with("anole_outcomes_total") && line.contains(r#"state="lost""#))
                || (line.starts_with("anole_outcomes_total") && line.contains(r#"state="parked""#))
                || line.starts_with("anole_parked{"))
    };
    match text.lines().find(is_bad) {
        Some(line) => Err(format!("the metrics tell: {line}")),
        None => Ok(()),
    }
}

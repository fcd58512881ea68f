//! `anole journal`: what the journal holds, whether it is whole, and putting it in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anole_console::journal_shown;
use anole_event::{Clock, SystemClock};
use anole_journal::{Embedded, Finding, Journal, Step, Verified, plan_repair, verify};
use anole_state::{Sqlite, State, StateOptions};
use anole_telemetry::Telemetry;
use serde_json::{Value, json};

use crate::cli::JournalVerb;
use crate::client::Client;
use crate::daemon::journal_limits;
use crate::failure::Failure;
use crate::files::settings;
use crate::lock::{DataDir, running};
use crate::looking;
use crate::output::{Output, Tone, tame};
use crate::show::{self, counted};

/// A repair shows what else is to be done only when a segment has its name back. More rounds than there are kinds of steps
/// mean that a step does not hold.
const ROUNDS: usize = 6;

pub(crate) async fn run(config: Option<&Path>, what: &JournalVerb, output: Output) -> Result<(), Failure> {
    let settings = settings(config)?;
    let dir = settings.data_dir.join("journal");
    if !dir.is_dir() {
        return Err(Failure::Failed(format!(
            "{} holds no journal: has anole run with it?",
            settings.data_dir.display()
        )));
    }
    match what {
        JournalVerb::Stat => {
            let shown = stat(&settings, &dir).await?;
            show::journal(output, &shown);
            Ok(())
        }
        JournalVerb::Verify => check(dir, output).await,
        JournalVerb::Repair { yes } => {
            let _data = DataDir::lock(&settings.data_dir)?;
            let yes = *yes;
            let done = tokio::task::spawn_blocking(move || repair(&dir, yes, output));
            done.await.map_err(Failure::of)?
        }
    }
}

async fn stat(settings: &anole_config::Settings, dir: &Path) -> Result<Value, Failure> {
    if let Some(here) = running(&settings.data_dir) {
        let token = settings.admin.token.as_ref().map(|token| token.reveal().to_owned());
        return Ok(Client::new(&here, token)?.get("/api/journal").await?);
    }
    let clock = Arc::new(SystemClock::new());
    let telemetry = Telemetry::new(Arc::clone(&clock) as _);
    let journal = Embedded::open_read_only(dir, Arc::clone(&telemetry))?;
    let journal: Arc<dyn Journal> = journal;
    // A damaged state is no reason to say nothing of the journal: it stays unknown what holds it.
    let options = StateOptions::in_folder(&settings.data_dir);
    let state = Sqlite::open_read_only(&options, telemetry, Arc::clone(&clock) as _).ok();
    let state: Option<&dyn State> = state.as_ref().map(|state| &**state as _);
    let shown = journal_shown(&journal, state, &journal_limits(settings), clock.wall()).await.map_err(Failure::of)?;
    looking::json(&shown)
}

async fn check(dir: PathBuf, output: Output) -> Result<(), Failure> {
    let bar = output.bar("checking");
    let reading = tokio::task::spawn_blocking(move || {
        let telemetry = Telemetry::new(Arc::new(SystemClock::new()));
        let verified = verify(&dir, &telemetry, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        verified
    });
    let verified = reading.await.map_err(Failure::of)?.map_err(Failure::of)?;
    tell(&verified, output);
    let damaged = verified.findings.iter().filter(|finding| finding.flaw.is_damage());
    let (places, records) =
        damaged.fold((0_u64, 0_u64), |(places, records), finding| (places + 1, records + finding.records.unwrap_or(0)));
    if places == 0 {
        return Ok(());
    }
    let (places, records) = (counted(places, "place"), counted(records, "event"));
    Err(Failure::Failed(format!(
        "the journal is damaged in {places}, {records} known to be lost. anole steps over damage by itself and counts what is \
         lost; `anole journal repair` says whether something can be brought back"
    )))
}

fn tell(verified: &Verified, output: Output) {
    if output.json {
        output.value(&json!({
            "segments": verified.segments,
            "bytes": verified.bytes,
            "groups": verified.groups,
            "records": verified.records,
            "erased": verified.erased,
            "whole": verified.is_whole(),
            "findings": verified.findings.iter().map(finding_json).collect::<Vec<_>>(),
        }));
        return;
    }
    for finding in &verified.findings {
        let tone = if finding.flaw.is_damage() { Tone::Bad } else { Tone::Warn };
        let at = finding.at.map(|at| format!(" at {at}")).unwrap_or_default();
        let lost = match finding.records {
            Some(records) => format!(", {}", counted(records, "event")),
            None if finding.flaw.is_damage() => ", an unknown number of events".to_owned(),
            None => String::new(),
        };
        let word = output.paint(tone, finding.flaw.as_str());
        output.line(&format!("{}{at}: {word}{lost}: {}", tame(&finding.file), finding.flaw.meaning()));
    }
    let (segments, groups) = (counted(verified.segments, "segment"), counted(verified.groups, "group"));
    let erased = if verified.erased > 0 { format!(", {} of them erased", verified.erased) } else { String::new() };
    output.line(&format!(
        "read {} in {segments}: {}{erased} in {groups} are whole",
        show::size(verified.bytes),
        counted(verified.records, "event"),
    ));
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "file": finding.file,
        "at": finding.at.map(|at| at.to_string()),
        "flaw": finding.flaw.as_str(),
        "damage": finding.flaw.is_damage(),
        "records": finding.records,
        "meaning": finding.flaw.meaning(),
    })
}

/// Says what is to be done, or does it. Nothing is printed before all is done: whoever reads may leave, and must not take the
/// repair with them.
fn repair(dir: &Path, yes: bool, output: Output) -> Result<(), Failure> {
    let telemetry = Telemetry::new(Arc::new(SystemClock::new()));
    let mut steps = Vec::new();
    let result = if yes { repair_all(dir, &telemetry, &mut steps) } else { plan(dir, &telemetry, &mut steps) };
    for step in &steps {
        tell_step(step, yes, output);
    }
    result?;
    match (steps.len() as u64, yes) {
        (0, _) if !output.json => output.line("there is nothing to repair"),
        (0, _) => {}
        (count, true) => output.talk(&format!("done: {}", counted(count, "step"))),
        (_, false) => output.talk("nothing was changed: say --yes to do it"),
    }
    Ok(())
}

fn plan(dir: &Path, telemetry: &Telemetry, steps: &mut Vec<Step>) -> Result<(), Failure> {
    steps.extend(plan_repair(dir, telemetry).map_err(Failure::of)?);
    Ok(())
}

/// Does what is to be done until there is nothing left; `done` are the steps that were taken, also when one fails.
fn repair_all(dir: &Path, telemetry: &Telemetry, done: &mut Vec<Step>) -> Result<(), Failure> {
    for _ in 0..ROUNDS {
        let steps = plan_repair(dir, telemetry).map_err(Failure::of)?;
        if steps.is_empty() {
            return Ok(());
        }
        for step in steps {
            step.run().map_err(|error| Failure::Failed(format!("{}: {error}", step.file().display())))?;
            done.push(step);
        }
    }
    Err(Failure::Failed("the repair does not come to an end; what was done is safe, and may be done again".into()))
}

fn tell_step(step: &Step, done: bool, output: Output) {
    if output.json {
        let file = step.file().file_name().map(|name| name.to_string_lossy().into_owned());
        output.value(&json!({ "step": step.code(), "file": file, "what": step.to_string(), "done": done }));
    } else {
        output.line(&tame(&step.to_string()));
    }
}

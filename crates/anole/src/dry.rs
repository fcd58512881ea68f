//! `anole test`: what would be sent for an event, and what would become of it.
//!
//! The event goes the real way (ingest, journal, plan), with stores in a temporary folder and nothing at the end of it: what
//! is shown is what a daemon with this configuration would do.
//!
//! A dry run of the same files gives the same result each time, so that a result can be kept and compared with: the clock
//! stands still at `--at`, and ids that a client left out come from a fixed seed. The rejected alternative, to blank such
//! values out before comparing, would hide a payload that sends the wrong one of them.

use std::io::Read as _;
use std::path::Path;

use anole_event::Timestamp;
use anole_pipeline::PipelinePlan;

use crate::cli::Test;
use crate::failure::Failure;
use crate::files::{load, one_pipeline};
use crate::output::Output;

mod bench;
mod explained;
mod golden;
mod request;
mod result;

use bench::{Bench, Came};
use result::EventResult;

/// When events come in, unless `--at` says otherwise: 2026-01-01T00:00:00Z.
const AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

pub(crate) async fn run(config: Option<&Path>, test: &Test, output: Output) -> Result<(), Failure> {
    let at = match &test.at {
        None => AT,
        Some(text) => Timestamp::parse(text).map_err(|error| Failure::Wrong(format!("anole: --at {text}: {error}")))?,
    };
    let loaded = load(config)?;
    let plan = one_pipeline(&loaded.pipelines, test.pipeline.as_deref())?;
    let results = results(plan, &events(&test.file)?, at).await?;
    match &test.expect {
        Some(file) if test.update => golden::update(file, &results, output),
        Some(file) => golden::compare(file, &results, output),
        None => shown(&results, test, output),
    }
}

/// What becomes of one event at the door now, for the console. Ids that it lacks are made as always in a dry run.
pub(crate) async fn come(plan: &PipelinePlan, event: &str) -> Result<anole_console::Came, Failure> {
    let at = anole_event::Clock::wall(&anole_event::SystemClock::new());
    Ok(match Bench::new(plan, at)?.come(event).await? {
        Came::Kept(record) => anole_console::Came::Kept(record),
        Came::Again => anole_console::Came::Again,
        Came::Refused(why) => anole_console::Came::Refused(why),
    })
}

async fn results(plan: &PipelinePlan, events: &[String], at: Timestamp) -> Result<Vec<EventResult>, Failure> {
    let bench = Bench::new(plan, at)?;
    let mut results = Vec::new();
    for text in events {
        results.push(match bench.come(text).await? {
            Came::Kept(record) => EventResult::of(plan, &record)?,
            Came::Again => EventResult::Duplicate { duplicate: true },
            Came::Refused(why) => EventResult::Refused { refused: why },
        });
    }
    Ok(results)
}

fn shown(results: &[EventResult], test: &Test, output: Output) -> Result<(), Failure> {
    for result in results {
        result.show(test, output)?;
    }
    if test.curl && results.iter().any(EventResult::has_secrets) {
        output.talk("secrets are shown as ***: put them in before you run a command");
    }
    match results.iter().filter(|result| matches!(result, EventResult::Refused { .. })).count() {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 event would not be accepted".to_owned())),
        refused => Err(Failure::Failed(format!("{refused} events would not be accepted"))),
    }
}

/// The events of a file: one, or one a line.
fn events(file: &Path) -> Result<Vec<String>, Failure> {
    let shown = file.display();
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(Failure::of)?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| Failure::Wrong(format!("anole: {shown}: {error}")))?;
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
        return Ok(vec![text]);
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let checked = lines.map(|(at, line)| match serde_json::from_str::<serde::de::IgnoredAny>(line) {
        Ok(_) => Ok(line.to_owned()),
        Err(error) => {
            Err(Failure::Wrong(format!("anole: {shown}:{}: {error}: write one event as JSON, or one a line", at + 1)))
        }
    });
    let events: Vec<_> = checked.collect::<Result<_, _>>()?;
    if events.is_empty() {
        return Err(Failure::Wrong(format!("anole: {shown} holds no event")));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_happens_at_the_beginning_of_2026() {
        assert_eq!(AT.to_string(), "2026-01-01T00:00:00.000Z");
    }
}

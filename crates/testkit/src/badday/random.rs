//! A vendor that fails at random.

use std::path::Path;
use std::time::Duration;

use super::Figures;
use super::load::fill;
use super::rig::{Rig, arrived};
use crate::vendor::{Fault, Vendor};

const EVENTS: u64 = 20_000;
/// Small batches make many requests.
const BATCH: u64 = 10;
const PART: f64 = 0.07;
/// The goal, as a part of the requests that were taken in.
const EXTRA: f64 = 0.10;

pub(super) async fn run(binary: &Path) -> Result<Figures, String> {
    let mut figures = Figures::default();
    let vendor = Vendor::start(7).await;
    vendor.set(Fault::Random(PART));
    let rig = Rig::start(binary, &[("vendor", &vendor)], Some(BATCH)).await?;
    fill(rig.daemon.collect, 0..EVENTS).await?;
    arrived(&vendor, EVENTS, Duration::from_secs(180)).await?;
    rig.stop().await?;
    let counts = vendor.counts();
    let failed = counts.requests - counts.taken_in;
    let extra = failed as f64 / counts.taken_in as f64;
    figures.say(format!(
        "{} of {EVENTS} events delivered, {} twice; {} requests, of which {failed} failed: {:.1} % more than needed",
        counts.distinct,
        counts.events - counts.distinct,
        counts.requests,
        100.0 * extra
    ));
    figures.hold(counts.events == EVENTS && counts.distinct == EVENTS, "each event is delivered exactly once");
    figures.hold(failed > 0, "the vendor fails");
    figures.hold(extra < EXTRA, "extra requests under 10 %");
    Ok(figures)
}

//! A few poison events among many.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;

use super::Figures;
use super::load::{fill, id};
use super::rig::{Rig, arrived};
use crate::api::until;
use crate::vendor::{Fault, Vendor};

const EVENTS: u64 = 100_000;
const POISON: u64 = 100;
/// The most events of a batch as the blueprint ships.
const BATCH: u64 = 1_000;

pub(super) async fn run(binary: &Path) -> Result<Figures, String> {
    let mut figures = Figures::default();
    let vendor = Vendor::start(9).await;
    let mut rng = Rng::with_seed(9);
    let mut poison = HashSet::new();
    while (poison.len() as u64) < POISON {
        poison.insert(id(rng.u64(..EVENTS)));
    }
    vendor.set(Fault::Poison(poison.clone()));
    let rig = Rig::start(binary, &[("vendor", &vendor)], None).await?;
    fill(rig.daemon.collect, 0..EVENTS).await?;
    arrived(&vendor, EVENTS - POISON, Duration::from_secs(240)).await?;
    until("the poison is parked", async || Ok(rig.api.lane().await?.parked >= POISON)).await?;
    until("nothing is left to do", async || Ok(rig.api.lane().await?.open_events == Some(0))).await?;
    let parked: HashSet<_> = rig.api.parked().await?.into_iter().collect();
    rig.stop().await?;
    let (counts, requests) = (vendor.counts(), vendor.requests());
    // What has an event that was never seen before is a batch as it was made; everything else comes of a refusal.
    let batches = requests.iter().filter(|request| request.new > 0).count() as u64;
    let bound = batches + POISON * 2 * u64::from(BATCH.next_power_of_two().ilog2());
    figures.say(format!(
        "{} of {} good events delivered, {} twice; parked: {} events, {} of them poison; {} requests for {batches} batches, at most {bound} are allowed",
        counts.distinct,
        EVENTS - POISON,
        counts.events - counts.distinct,
        parked.len(),
        parked.intersection(&poison).count(),
        counts.requests
    ));
    figures.hold(parked == poison, "exactly the poison events are parked");
    figures.hold(counts.events == EVENTS - POISON, "every other event is delivered exactly once");
    figures.hold(counts.requests <= bound, "requests within the bound");
    Ok(figures)
}

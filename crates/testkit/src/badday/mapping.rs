//! A mapping that makes poison of everything.

use std::path::Path;
use std::time::Duration;

use super::Figures;
use super::load::fill;
use super::rig::{Rig, arrived};
use crate::api::{LANE, until};
use crate::vendor::{Fault, Vendor};

const EVENTS: u64 = 20_000;
/// The goal: requests until the lane pauses, and events that are parked.
const REQUESTS: u64 = 40;
const PARKED: u64 = 8;
/// For so long nothing may be asked of the vendor then. The first probe comes after a minute.
const QUIET: Duration = Duration::from_secs(10);

pub(super) async fn run(binary: &Path) -> Result<Figures, String> {
    let mut figures = Figures::default();
    let vendor = Vendor::start(3).await;
    vendor.set(Fault::Status(400));
    let rig = Rig::start(binary, &[("vendor", &vendor)], None).await?;
    fill(rig.daemon.collect, 0..EVENTS).await?;
    until("the lane pauses", async || Ok(rig.api.lane().await?.paused.is_some())).await?;
    // Nothing comes: this waits for that long.
    let asked = vendor.wait_for(QUIET, |counts| counts.requests > REQUESTS).await;
    let (requests, lane) = (vendor.counts().requests, rig.api.lane().await?);
    figures.say(format!(
        "paused after {requests} requests with {} of {EVENTS} events parked: {}",
        lane.parked,
        lane.paused.unwrap_or_default()
    ));
    figures.hold(!asked && requests <= REQUESTS, "paused after at most 40 requests");
    figures.hold(lane.parked == PARKED, "eight events are parked");
    vendor.heal();
    rig.api.resume(LANE).await?;
    arrived(&vendor, EVENTS - lane.parked, Duration::from_secs(120)).await?;
    rig.api.replay().await?;
    until("the replay is over", async || rig.api.replayed().await).await?;
    arrived(&vendor, EVENTS, Duration::from_secs(60)).await?;
    let (counts, parked) = (vendor.counts(), rig.api.lane().await?.parked);
    figures.say(format!(
        "healed, resumed and replayed: {} of {EVENTS} delivered, {} twice, {parked} parked",
        counts.distinct,
        counts.events - counts.distinct
    ));
    figures.hold(counts.events == EVENTS && parked == 0, "each event is delivered exactly once");
    rig.stop().await?;
    Ok(figures)
}

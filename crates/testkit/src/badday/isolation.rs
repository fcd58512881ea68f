//! Two destinations, one of which hangs.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::Figures;
use super::load::{pace, saturate};
use super::rig::{Rig, arrived};
use crate::vendor::{Fault, Place, Vendor};

/// How long the machine is saturated, and how long half of that is posted.
const SATURATED: Duration = Duration::from_secs(6);
const HALF: f64 = 15.0;
/// The goal.
const MOST: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(binary: &Path) -> Result<Figures, String> {
    let mut figures = Figures::default();
    let vendor = Vendor::start(1).await;
    let rig = Rig::start(binary, &[("vendor", &vendor)], None).await?;
    let began = Instant::now();
    let sent = saturate(rig.daemon.collect, SATURATED).await?;
    arrived(&vendor, sent, PATIENCE).await?;
    let rate = sent as f64 / began.elapsed().as_secs_f64();
    figures.say(format!(
        "saturation: {sent} events arrived in {:.1} s, {rate:.0} a second",
        began.elapsed().as_secs_f64()
    ));
    let alone = measure(&rig, &vendor, sent, rate / 2.0).await?;
    figures.say(format!(
        "alone, {:.0} events a second: everything {:.2} s after the last acknowledgement",
        rate / 2.0,
        alone.as_secs_f64()
    ));
    rig.stop().await?;

    let (vendor, hanging) = (Vendor::start(1).await, Vendor::start(2).await);
    hanging.set(Fault::Hang(Place::Header));
    let rig = Rig::start(binary, &[("vendor", &vendor), ("hanging", &hanging)], None).await?;
    let beside = measure(&rig, &vendor, 0, rate / 2.0).await?;
    figures.say(format!(
        "beside a destination that hangs: everything {:.2} s after the last acknowledgement; that one got {} requests",
        beside.as_secs_f64(),
        hanging.counts().requests
    ));
    figures.hold(alone <= MOST, "alone, everything within 3 s");
    figures.hold(beside <= MOST, "beside a destination that hangs, everything within 3 s");
    figures.hold(hanging.counts().requests > 0, "the other destination hangs");
    Ok(figures)
}

/// From the last acknowledgement to the last arrival.
async fn measure(rig: &Rig, vendor: &Vendor, first: u64, rate: f64) -> Result<Duration, String> {
    let last = first + (rate * HALF) as u64;
    pace(rig.daemon.collect, first..last, rate).await?;
    let acknowledged = Instant::now();
    arrived(vendor, last, PATIENCE).await?;
    Ok(acknowledged.elapsed())
}

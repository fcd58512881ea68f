//! A few events on which the vendor fails whenever they are sent.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::Figures;
use super::load::{id, pace};
use super::rig::{Rig, arrived};
use crate::api::until;
use crate::vendor::{Fault, Vendor};

/// Events a second, and how many there are of them: others must go through while the odd ones are found.
const RATE: f64 = 200.0;
const EVENTS: u64 = 12_000;
/// The odd ones.
const ODD: [u64; 3] = [1_000, 1_011, 3_500];
const BATCH: u64 = 20;
/// The goals: what is allowed for finding one, and after how long everything else is there.
const FAILURES: u64 = 5;
const MOST: Duration = Duration::from_secs(3);

pub(super) async fn run(binary: &Path) -> Result<Figures, String> {
    let mut figures = Figures::default();
    let vendor = Vendor::start(11).await;
    let odd: HashSet<_> = ODD.into_iter().map(id).collect();
    vendor.set(Fault::Odd(odd.clone()));
    let rig = Rig::start(binary, &[("vendor", &vendor)], Some(BATCH)).await?;
    pace(rig.daemon.collect, 0..EVENTS, RATE).await?;
    let acknowledged = Instant::now();
    let good = EVENTS - ODD.len() as u64;
    arrived(&vendor, good, Duration::from_secs(60)).await?;
    let after = acknowledged.elapsed();
    until("the odd events are deferred", async || Ok(rig.api.lane().await?.deferred == ODD.len() as u64)).await?;
    let mut told = 0;
    for message_id in &odd {
        told += u64::from(rig.api.told(message_id).await? == ("deferred".to_owned(), "fails_alone".to_owned()));
    }
    let (counts, parked) = (vendor.counts(), rig.api.lane().await?.parked);
    let failed = counts.requests - counts.taken_in;
    let bound = ODD.len() as u64 * (FAILURES + 2 * u64::from(BATCH.next_power_of_two().ilog2()) + 1);
    figures.say(format!(
        "{} of {good} other events delivered, {} twice, the last {:.2} s after its acknowledgement; {told} of {} odd ones told as \
         deferred, {parked} parked; {failed} requests failed, at most {bound} are allowed",
        counts.distinct,
        counts.events - counts.distinct,
        after.as_secs_f64(),
        ODD.len()
    ));
    figures.hold(counts.events == good, "each other event is delivered exactly once");
    figures.hold(told == ODD.len() as u64 && parked == 0, "exactly the odd events are deferred");
    figures.hold(failed <= bound, "failed requests within the bound");
    figures.hold(after <= MOST, "everything else within 3 s");
    rig.stop().await?;
    Ok(figures)
}

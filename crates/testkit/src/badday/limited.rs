//! A vendor with a rate limit.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::Figures;
use super::load::pace;
use super::rig::{Rig, arrived};
use crate::vendor::{Fault, Vendor};

/// What the vendor takes, in requests a second.
const LIMIT: f64 = 5.0;
/// Events of a batch, and how many are posted each second: 25 requests a second are on offer.
const BATCH: u64 = 4;
const RATE: f64 = 100.0;
/// What is left out at the beginning, and what is measured.
const SETTLES: Duration = Duration::from_secs(30);
const MEASURED: Duration = Duration::from_secs(60);

pub(super) async fn run(binary: &Path) -> Result<Figures, String> {
    let mut figures = Figures::default();
    let vendor = Vendor::start(5).await;
    vendor.set(Fault::Limit(LIMIT));
    let rig = Rig::start(binary, &[("vendor", &vendor)], Some(BATCH)).await?;
    let began = Instant::now();
    let events = (RATE * (SETTLES + MEASURED).as_secs_f64()) as u64;
    pace(rig.daemon.collect, 0..events, RATE).await?;
    let window = began + SETTLES..began + SETTLES + MEASURED;
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    for request in vendor.requests().iter().filter(|request| window.contains(&request.at)) {
        if request.is_taken_in { accepted += 1 } else { refused += 1 }
    }
    let rate = accepted as f64 / MEASURED.as_secs_f64();
    let part = refused as f64 / (accepted + refused).max(1) as f64;
    let all = vendor.counts();
    figures.say(format!(
        "{:.0} requests a second on offer, {LIMIT} allowed: after {} s {rate:.2} a second were taken in, {:.1} % of requests got 429",
        RATE / BATCH as f64,
        SETTLES.as_secs(),
        100.0 * part
    ));
    figures.say(format!(
        "of all {} requests of {} s, {} got 429",
        all.requests,
        events as f64 / RATE,
        all.requests - all.taken_in
    ));
    // A limit that was found is forgotten by degrees; a daemon that starts anew knows of none.
    vendor.heal();
    let rig = rig.again(binary).await?;
    arrived(&vendor, events, Duration::from_secs(240)).await?;
    let counts = vendor.counts();
    figures.say(format!(
        "after the limit was taken away and a restart {} of {events} events were delivered, {} twice",
        counts.distinct,
        counts.events - counts.distinct
    ));
    figures.hold((LIMIT * 0.8..=LIMIT * 1.2).contains(&rate), "the accepted rate settles within 20 % of the limit");
    figures.hold(part < 0.05, "429s under 5 % of requests");
    figures.hold(counts.events == events, "each event is delivered exactly once");
    rig.stop().await?;
    Ok(figures)
}

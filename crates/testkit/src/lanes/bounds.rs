//! What a lane may hold, and for how long it may wait.

use std::time::Duration;

use anole_event::Clock;

use super::world::World;

/// The ladder's last step, the longest silence, and what a probe, a breaker, a pace and a batch may wait on top.
const LONGEST_WAIT: Duration = Duration::from_secs(17 * 60 + 20);
/// The lane may wait for another try with so many batches more than may be under way, as a pause lets a probe join them.
const PROBES_IN_A_LADDER: usize = 16;

// === impl World ===

impl World {
    /// What the lane holds is bounded.
    pub(super) fn memory(&mut self) -> Result<(), String> {
        let Some(machine) = &self.machine else { return Ok(()) };
        let status = machine.status();
        let watermark = status.progress.watermark.offset;
        while self.window.front().is_some_and(|(offset, _)| *offset < watermark) {
            self.window.pop_front();
        }
        let limits = self.script.options.window;
        let bytes: usize = self.window.iter().map(|(_, bytes)| bytes).sum();
        let last = self.window.back().map_or(0, |(_, bytes)| *bytes);
        if self.window.len() > limits.events || bytes >= limits.bytes + last.max(1) {
            return Err(format!("the window has {} events and {bytes} bytes", self.window.len()));
        }
        let inflight = self.script.options.inflight * self.script.endpoints;
        if status.inflight != self.watch.flights.len() || status.retrying > inflight + PROBES_IN_A_LADDER {
            let (under_way, retrying) = (status.inflight, status.retrying);
            return Err(format!("{under_way} requests are under way, {retrying} wait for another try"));
        }
        if status.paused.is_some() != self.watch.is_paused() {
            return Err(format!("it says that it is paused: {:?}", status.paused));
        }
        Ok(())
    }

    /// A lane with something to send sends it, sooner or later.
    pub(super) fn waits(&mut self) -> Result<(), String> {
        let now = self.clock.mono();
        let is_waiting =
            self.watch.flights.is_empty() && !self.person && !self.watch.draining && self.recorder.is_idle();
        let Some(machine) = self.machine.as_ref().filter(|_| is_waiting) else {
            self.idle_since = now;
            return Ok(());
        };
        if now.since(self.idle_since) > LONGEST_WAIT {
            let status = machine.status();
            if status.open > 0 {
                return Err(format!("nothing was sent for {:?}: {status:?}", now.since(self.idle_since)));
            }
            self.idle_since = now;
        }
        Ok(())
    }
}

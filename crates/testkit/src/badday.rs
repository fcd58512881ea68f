//! A vendor's bad days, and days on which many look on, measured on the real binary.
//!
//! Each run has a folder, a daemon and [`crate::vendor::Vendor`]s of its own, prints its figures, and falls short of its goal or
//! not. They are measurements: what they say depends on the machine, and no test waits for them.
//!
//! | run | goal |
//! |---|---|
//! | `isolation` | beside a destination that hangs, the healthy one has everything within 3 s of the last acknowledgement, at half of what the machine can do |
//! | `random` | of a vendor that fails 7 % of requests at random, everything is delivered, with under 10 % more requests |
//! | `limited` | of a vendor that takes 5 requests a second and answers 429 to more, the rate settles within 20 % of that, and under 5 % of requests get 429 then |
//! | `poison` | of 100,000 events with 100 poison ones exactly these are parked, within `2*ceil(log2 n)` requests each beside the ordinary batches |
//! | `mapping` | when everything is refused the lane pauses after at most 40 requests with eight events parked, and nothing is lost |
//! | `odd` | events on which the vendor fails whenever they are sent are deferred, and everything else is there within 3 s |
//! | `viewers` | with ten viewers of the live feed, one of which reads nothing, everything is delivered as promptly as without, and that one is dropped and told so |

mod isolation;
mod limited;
mod load;
mod mapping;
mod odd;
mod poison;
mod random;
mod rig;
mod viewers;

use std::path::Path;

/// The runs, in the order in which they are made.
pub const RUNS: [&str; 7] = ["isolation", "random", "limited", "poison", "mapping", "odd", "viewers"];

/// What a run showed.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// In words, a line each.
    pub lines: Vec<String>,
    /// What fell short; nothing when the goal was met.
    pub short: Vec<String>,
}

/// Makes a run.
///
/// # Errors
/// When it could not be made, or events were lost.
pub async fn run(name: &str, binary: &Path) -> Result<Figures, String> {
    match name {
        "isolation" => isolation::run(binary).await,
        "random" => random::run(binary).await,
        "limited" => limited::run(binary).await,
        "poison" => poison::run(binary).await,
        "mapping" => mapping::run(binary).await,
        "odd" => odd::run(binary).await,
        "viewers" => viewers::run(binary).await,
        _ => Err(format!("there is no run {name}; there are {}", RUNS.join(", "))),
    }
}

// === impl Figures ===

impl Figures {
    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Holds a figure against its goal.
    fn hold(&mut self, is_met: bool, goal: &str) {
        if !is_met {
            self.short.push(goal.to_owned());
        }
    }
}

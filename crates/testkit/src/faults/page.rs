//! The table of the documentation.

use std::fmt::Write;

use super::Played;
use super::cell::Outcome;

/// The most characters of a hint.
const LONGEST: usize = 160;

/// The page `docs/faults.md`, of both cells of each case.
#[must_use]
pub fn page(played: &[Played]) -> String {
    let green = played.iter().filter(|played| played.outcome.is_ok()).count();
    let mut text = format!(
        "# When a vendor has a bad day\n\n\
         Each row is a fault that a vendor was given, and what the release binary made of it: {} cells, {green} of them green. A cell is a \
         daemon, a folder and a vendor of its own. The vendor takes in 40 events, gets the fault, and 160 more events are \
         posted; the fault stands for three seconds and is healed. In the second cell of a row the daemon is killed (`kill -9`) in \
         the middle and started again. A cell is green when every acknowledged event was taken in by the vendor in the end, twice only \
         where a kill or an answer that never came whole lies between and then under the same nonce; when the events of each visitor arrived in order; \
         when it did not cost more requests than stated; and when the delivery log named status, decision and hint, and the list of lanes how the lane was.\n\n\
         `cargo xtask faults --write` plays all cells and writes this page; `cargo xtask faults --only NAME` plays one row. Batches have at \
         most 20 events, a paused lane probes each second instead of each minute, and where the vendor goes silent `delivery.timeout` is two seconds \
         instead of thirty.\n\n",
        played.len()
    );
    text += "| fault | what the vendor does | what the delivery log says | the lane | requests, and the bound | left alone | killed in the middle |\n\
             |---|---|---|---|---|---|---|\n";
    for pair in played.chunks(2) {
        let [alone, killed] = pair else { continue };
        let case = alone.cell.case;
        let (said, lane) = match &alone.outcome {
            Ok(outcome) => (outcome.said.clone(), outcome.lane.clone()),
            Err(_) => ("red".to_owned(), String::new()),
        };
        // A string takes whatever is written.
        let _written = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            case.name,
            case.does,
            cut(&said),
            cut(&lane),
            case.bound,
            told(&alone.outcome),
            told(&killed.outcome)
        );
    }
    text
}

/// A cell of the table.
fn told(outcome: &Result<Outcome, String>) -> String {
    match outcome {
        Ok(outcome) => {
            let mut text = format!("green: {} of {} delivered", outcome.events, outcome.events);
            if outcome.twice > 0 {
                text += &format!(", {} twice", outcome.twice);
            }
            if outcome.parked > 0 {
                text += &format!(", {} of them parked before and replayed", outcome.parked);
            }
            text + &format!("; {} requests of at most {}", outcome.requests, outcome.bound)
        }
        Err(what) => format!("**red**: {}", what.lines().next().unwrap_or_default()),
    }
}

/// Long hints are cut, and what would end the table's cell is written otherwise.
fn cut(text: &str) -> String {
    let plain = |char| if char == '|' || char == '\n' { ' ' } else { char };
    let mut short: String = text.chars().take(LONGEST).map(plain).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

//! Counts the requests that finding refused sends costs: at most `2*ceil(log2 n)+1` for one among `n`.
//!
//! A batch that is refused begins a *search*. What comes of its parts counts in it, as far as it decides something: taken or
//! refused; a part that is tried again because nobody answered costs what any batch would. A *cause* is a refused request
//! none of whose parts was refused: a poison send, or a larger request if the vendor has become well meanwhile. Each cause
//! lies at the end of a way of at most `ceil(log2 n)` halvings, with two requests each, which gives the bound. A probe cuts a
//! batch short, so each probe is allowed two requests more.

use super::script::SendId;

#[derive(Debug)]
struct Search {
    sends: Vec<SendId>,
    /// Stretches of `sends` that were refused, oldest first.
    refused: Vec<(usize, usize)>,
    requests: u64,
    probes: u64,
}

/// The searches of one life that are not over.
#[derive(Debug, Default)]
pub(crate) struct Searches {
    all: Vec<Search>,
    pub(crate) most: u64,
}

// === impl Searches ===

impl Searches {
    /// A request was taken or refused.
    pub(crate) fn decided(&mut self, sends: &[SendId], refused: bool, probe: bool) -> Result<(), String> {
        let Some(first) = sends.first() else { return Ok(()) };
        let at = self.all.iter().position(|search| search.sends.contains(first));
        let search = match at {
            Some(at) => &mut self.all[at],
            None if refused && sends.len() > 1 => {
                let search = Search { sends: sends.to_vec(), refused: Vec::new(), requests: 0, probes: 0 };
                self.all.push(search);
                self.all.last_mut().ok_or("no search")?
            }
            None => return Ok(()),
        };
        search.requests += 1;
        search.probes += u64::from(probe);
        if refused {
            let place = |send| search.sends.iter().position(|known| *known == send);
            let ends = (place(sends[0]), place(sends[sends.len() - 1]));
            if let (Some(from), Some(to)) = ends {
                search.refused.push((from, to));
            }
        }
        search.check()?;
        self.most = self.most.max(search.requests);
        Ok(())
    }

    /// Sends have ended: a search of which none is left is over.
    pub(crate) fn forget(&mut self, is_over: impl Fn(SendId) -> bool) {
        self.all.retain(|search| !search.sends.iter().all(|send| is_over(*send)));
    }
}

// === impl Search ===

impl Search {
    fn check(&self) -> Result<(), String> {
        let n = self.sends.len();
        let is_cause =
            |at: usize, (from, to): (usize, usize)| !self.refused[at + 1..].iter().any(|(a, b)| from <= *a && *b <= to);
        let causes = self.refused.iter().enumerate().filter(|(at, stretch)| is_cause(*at, **stretch)).count() as u64;
        let halvings = u64::from(n.next_power_of_two().trailing_zeros());
        let bound = causes.max(1) * 2 * halvings + 1 + 2 * self.probes;
        if self.requests > bound {
            let requests = self.requests;
            return Err(format!("{requests} requests to find {causes} refused among {n} sends; {bound} are the bound"));
        }
        Ok(())
    }
}

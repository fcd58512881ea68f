//! Where log lines go, and how repeated ones are thinned.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anole_event::{Clock, Mono};
use tracing_subscriber::EnvFilter;

/// A repeated line is written at most once in this time.
const THIN: Duration = Duration::from_secs(10);

/// How log lines look on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends log lines to stderr, in UTC. `ANOLE_LOG` filters them as `RUST_LOG` does elsewhere; without it they are filtered
/// by `usual`, such as `info`.
///
/// A second call changes nothing, so that tests may call it freely.
pub fn init_logging(format: LogFormat, usual: &str) {
    let filter = EnvFilter::try_from_env("ANOLE_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // An error means that a subscriber is set already: that one stays.
    let _already_set = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
    };
}

pub(crate) struct Thin {
    clock: Arc<dyn Clock>,
    last: Mutex<HashMap<&'static str, (Mono, u64)>>,
}

// === impl Thin ===

impl Thin {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::default() }
    }

    pub(crate) fn allows(&self, key: &'static str) -> Option<u64> {
        let now = self.clock.mono();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.get_mut(key) {
            Some((written, left_out)) if now.since(*written) < THIN => {
                *left_out += 1;
                None
            }
            Some((written, left_out)) => {
                *written = now;
                Some(std::mem::take(left_out))
            }
            None => {
                last.insert(key, (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anole_event::ManualClock;

    #[test]
    fn repeated_lines_are_left_out_and_counted() {
        let clock = ManualClock::default();
        let thin = Thin::new(Arc::new(clock.clone()));
        assert_eq!(thin.allows("a"), Some(0));
        assert_eq!(thin.allows("a"), None);
        assert_eq!(thin.allows("b"), Some(0));
        clock.advance(Duration::from_secs(11));
        assert_eq!(thin.allows("a"), Some(1));
    }
}

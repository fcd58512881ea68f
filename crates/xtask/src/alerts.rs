//! What watches anole from outside: the alert rules and the dashboard of `deploy`.
//!
//! A metric that is renamed must not leave an alert behind that never fires: every name that they use is looked for in the one
//! crate that names metrics. The rules themselves are played by promtool, Prometheus' own tool, where it is or can be had.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::run::{Result, call, exists, root};

/// The files that name metrics.
const FILES: [&str; 2] = ["deploy/prometheus/alerts.yaml", "deploy/grafana/anole.json"];
/// What Prometheus adds to the name of a histogram.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Plays the alert rules.
pub(crate) fn play() -> Result {
    if !exists("promtool") {
        println!("xtask: promtool is not here; trying to install it with apt-get");
        let install = ["install", "-y", "-q", "--no-install-recommends", "prometheus"];
        let installed = call(&root(), "apt-get", &["update", "-q"]).and_then(|()| call(&root(), "apt-get", &install));
        if installed.is_err() || !exists("promtool") {
            println!("xtask: promtool cannot be installed here; the alert rules were not played");
            return Ok(());
        }
    }
    call(&root().join("deploy/prometheus"), "promtool", &["test", "rules", "alerts_test.yaml"])
}

/// Names of metrics in `deploy` that anole does not have.
pub(crate) fn unknown(root: &Path) -> Result<Vec<String>> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut known = String::new();
    let folder = root.join("crates/telemetry/src");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        known.push_str(&read(&entry.map_err(|error| error.to_string())?.path())?);
    }
    let mut unknown = Vec::new();
    for file in FILES {
        for name in names(&read(&root.join(file))?) {
            let bare = PARTS.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
            if ![bare, &*name].iter().any(|name| known.contains(&format!("\"{name}\""))) {
                unknown.push(format!("{file}: there is no metric {name}"));
            }
        }
    }
    Ok(unknown)
}

fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("anole_")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_and_dashboard_name_metrics_that_are_there() {
        assert_eq!(unknown(&root()), Ok(Vec::new()));
        assert!(names("rate(anole_events_received_total[5m]) == anole_parked{lane=\"a\"}").contains("anole_parked"));
    }
}

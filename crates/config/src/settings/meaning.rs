//! What the types of the settings do not say.

use super::Settings;
use crate::problem::{Code, Problem, Report};
use crate::source::At;

/// Reports settings that are of the right type and mean nothing.
pub(super) fn check(settings: &Settings, at: &dyn Fn(&[&str]) -> Option<At>, report: &mut Report) {
    let collect = &settings.collect;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if collect.cookie.is_empty() || !collect.cookie.chars().all(token) {
        let message = format!("`{}` is no name of a cookie", collect.cookie);
        report.add(
            Problem::new(Code::BadValue, at(&["collect", "cookie"]), message).expect("expected letters and digits"),
        );
    }
    if !collect.collector.starts_with('/') {
        let message = format!("`{}` is no path", collect.collector);
        report.add(
            Problem::new(Code::BadValue, at(&["collect", "collector"]), message)
                .expect("expected one such as /anole.js"),
        );
    }
    if ![204, 200].contains(&collect.ga4_status) {
        let message = format!("{} is no answer that GA4's clients take", collect.ga4_status);
        report.add(
            Problem::new(Code::BadValue, at(&["collect", "ga4_status"]), message)
                .expect("expected 204, as Google answers, or 200, as its tagging server does"),
        );
    }
    for path in nothing(settings) {
        let message = format!("`{}` cannot be nothing", path.join("."));
        report.add(Problem::new(Code::BadValue, at(&path), message).expect("expected more than 0"));
    }
}

/// The settings that are nothing and cannot be.
fn nothing(settings: &Settings) -> Vec<Vec<&'static str>> {
    let collect = &settings.collect;
    let limits = [collect.rate_limit.per_key, collect.rate_limit.per_address];
    let all = [
        (limits.contains(&Some(0)), "collect", "rate_limit"),
        (collect.max_event_bytes.is_empty(), "collect", "max_event_bytes"),
        (collect.max_batch_events == 0, "collect", "max_batch_events"),
        (collect.max_body_bytes.is_empty(), "collect", "max_body_bytes"),
        (settings.journal.max_bytes.is_empty(), "journal", "max_bytes"),
        (settings.history.max_bytes.is_empty(), "history", "max_bytes"),
        (settings.history.keep.duration().is_zero(), "history", "keep"),
        (settings.history.keep_bodies.duration().is_zero(), "history", "keep_bodies"),
        (settings.history.keep_statistics.duration().is_zero(), "history", "keep_statistics"),
        (settings.delivery.timeout.duration().is_zero(), "delivery", "timeout"),
        (settings.delivery.probe_every.duration().is_zero(), "delivery", "probe_every"),
        (settings.state.backup_every.duration().is_zero(), "state", "backup_every"),
    ];
    let mut nothing: Vec<_> =
        all.into_iter().filter(|(zero, ..)| *zero).map(|(_, table, key)| vec![table, key]).collect();
    for (listener, connections) in [("collect", &collect.connections), ("admin", &settings.admin.connections)] {
        let all = [
            (connections.max == Some(0), "max"),
            (connections.max_per_address == Some(0), "max_per_address"),
            (connections.header_timeout.duration().is_zero(), "header_timeout"),
            (connections.body_idle_timeout.duration().is_zero(), "body_idle_timeout"),
            (connections.body_timeout.duration().is_zero(), "body_timeout"),
            (connections.write_timeout.duration().is_zero(), "write_timeout"),
            (connections.idle_timeout.duration().is_zero(), "idle_timeout"),
        ];
        nothing.extend(all.into_iter().filter(|(zero, _)| *zero).map(|(_, key)| vec![listener, "connections", key]));
    }
    nothing
}

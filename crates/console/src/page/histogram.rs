//! The histogram above a list: how many sends ended when, by state; or how many requests were made, by the answer. A bar is a link to its stretch of time; a script lets a
//! range be dragged.

use std::time::Duration;

use anole_delivery_log::{Bucket, EntryQuery, HistogramQuery, LogError, SendQuery, StatisticsQuery};
use anole_event::{State as Ended, Timestamp};
use maud::{Markup, html};

use super::plot::{self, Bar};
use super::{filters, overview, parts};
use crate::api::Admin;
use crate::params::Params;

const BARS: usize = 80;
/// The least stretch of time over which requests are drawn, when none is asked for.
const LEAST: Duration = Duration::from_secs(3600);

/// Counts over time of what a list shows.
pub(super) async fn histogram(
    admin: &Admin,
    path: &str,
    params: &Params,
    sends: SendQuery,
) -> Result<Markup, LogError> {
    let found = admin.looks.log.histogram(HistogramQuery { sends, buckets: BARS }).await?;
    let totals = found.totals();
    if totals.is_empty() {
        return Ok(html! {});
    }
    let bar = |bucket: &Bucket| {
        let (from, until) = (bucket.at.to_string(), bucket.at.after(found.width).to_string());
        let href = params.without(&["since", "after"]).with("from", Some(&from)).with("until", Some(&until)).at(path);
        let said: Vec<_> = bucket.counts.iter().map(|(state, count)| format!("{count} {}", name(*state))).collect();
        let title = format!("{from}: {}", if said.is_empty() { "nothing".to_owned() } else { said.join(", ") });
        Bar { at: bucket.at, parts: tones(bucket), title, href: Some(href) }
    };
    let bars: Vec<_> = found.buckets.iter().map(bar).collect();
    let mark = params.without(&["since", "after", "from", "until"]).at(path);
    Ok(html! {
        div.histogram {
            (plot::bars("Sends over time, by state", &bars, found.width, Some(&mark)))
            ul.legend {
                @for (state, count) in &totals {
                    li { i class=(tone(*state)) {} (name(*state)) " " b { @if found.every > 1 { "about " } (parts::number(*count)) } }
                }
                li.soft { (parts::lasting(found.width)) " a bar. Drag to choose a range." }
            }
        }
    })
}

/// Requests over time by the status of the answer, of a lane and a status where they are given.
pub(super) async fn requests(
    admin: &Admin,
    path: &str,
    params: &Params,
    asked: &EntryQuery,
) -> Result<Markup, LogError> {
    let until = asked.until.unwrap_or_else(|| admin.clock.wall());
    let oldest = match asked.from {
        Some(from) => Some(from),
        // Of a log that is young, at least so much that bars are bars.
        None => admin.looks.log.stat().await?.oldest.map(|oldest| oldest.min(filters::before(until, LEAST))),
    };
    let Some(from) = oldest.filter(|from| *from < until) else { return Ok(html! {}) };
    let query = StatisticsQuery { lane: asked.lane.clone(), from, until, step: until.since(from) / BARS as u32 };
    let found = admin.looks.log.statistics(query).await?;
    if found.rows.iter().all(|row| row.sums.attempts.is_empty()) {
        return Ok(html! {});
    }
    let bar = |at: &Timestamp| {
        let rows = found.rows.iter().filter(|row| row.at == *at).flat_map(|row| &row.sums.attempts);
        let of = |wanted: &str| {
            let rows = rows.clone().filter(|(status, _)| asked.status.is_none_or(|asked| *status == Some(asked)));
            rows.filter(|(status, _)| parts::status_tone(*status) == wanted).map(|(_, count)| count).sum::<u64>()
        };
        let parts: Vec<_> = ["good", "wait", "bad", "dull"].into_iter().map(|tone| (tone, of(tone))).collect();
        let (begin, end) = (at.to_string(), at.after(found.step).to_string());
        let href = params.without(&["since", "after"]).with("from", Some(&begin)).with("until", Some(&end)).at(path);
        let title = format!("{begin}: {}", parts::counted(parts.iter().map(|(_, count)| count).sum(), "request"));
        Bar { at: *at, parts, title, href: Some(href) }
    };
    let bars: Vec<_> = plot::steps(from, until, found.step).iter().map(bar).collect();
    let mark = params.without(&["since", "after", "from", "until"]).at(path);
    Ok(html! {
        div.histogram {
            (plot::bars("Requests over time, by the answer", &bars, found.step, Some(&mark)))
            ul.legend { li { i.good {} "success" } li { i.wait {} "429" } li { i.bad {} "refused or failed" } li { i.dull {} "no answer" }
                li.soft { (parts::lasting(found.step)) " a bar. Drag to choose a range." } }
        }
    })
}

fn name(state: Option<Ended>) -> &'static str {
    state.map_or("tried again", |state| state.as_str())
}

fn tone(state: Option<Ended>) -> &'static str {
    state.map_or("wait", overview::tone)
}

/// Counts by tone, from the ground up.
fn tones(bucket: &Bucket) -> Vec<(&'static str, u64)> {
    let of =
        |wanted: &str| bucket.counts.iter().filter(|(state, _)| tone(*state) == wanted).map(|(_, count)| count).sum();
    ["good", "dull", "wait", "warn", "bad"].into_iter().map(|tone| (tone, of(tone))).collect()
}

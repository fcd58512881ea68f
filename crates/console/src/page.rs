//! The Overview: says in words whether all is well, and if not what to do.

use std::fmt::Write;

use anole_delivery::LaneStatus;
use anole_event::LaneId;
use anole_state::ParkedCount;
use axum::response::{Html, IntoResponse, Response};

use crate::api::Admin;

const STYLE: &str = include_str!("console.css");

pub(crate) async fn style() -> Response {
    ([(http::header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// The page as HTML. Everything that is not ours is escaped: names of events and lanes are hostile until shown otherwise.
pub(crate) fn overview(
    admin: &Admin,
    lanes: &[LaneStatus],
    orphans: &[LaneId],
    parked: &[ParkedCount],
) -> Html<String> {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>anole</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"5\"><link rel=\"stylesheet\" href=\"/console.css\"></head><body><main>",
    );
    let (class, words) = verdict(admin, lanes, orphans, parked);
    // Writing to a String cannot fail.
    let _infallible = write!(page, "<h1>anole</h1><p class=\"{class}\">{}</p>", escape(&words));
    page.push_str(
        "<h2>Lanes</h2><table><thead><tr><th>lane</th><th>state</th><th class=\"n\">events in hand</th>\
         <th class=\"n\">requests</th><th class=\"n\">to be retried</th><th class=\"n\">parked</th></tr></thead><tbody>",
    );
    for lane in lanes {
        let waits: u64 = parked.iter().filter(|count| count.lane == lane.lane).map(|count| count.count).sum();
        let state = lane.paused.as_deref().map_or("runs", |_| "paused");
        let _infallible = write!(
            page,
            "<tr><td>{}</td><td class=\"{state}\">{state}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{waits}</td></tr>",
            escape(lane.lane.as_str()),
            lane.open,
            lane.inflight,
            lane.retrying
        );
    }
    for lane in orphans {
        let _infallible = write!(
            page,
            "<tr><td>{}</td><td class=\"paused\">orphaned</td><td></td><td></td><td></td><td></td></tr>",
            escape(lane.as_str())
        );
    }
    page.push_str("</tbody></table>");
    if !parked.is_empty() {
        page.push_str("<h2>Parked</h2><table><thead><tr><th>lane</th><th>reason</th><th class=\"n\">sends</th></tr></thead><tbody>");
        for count in parked {
            let _infallible = write!(
                page,
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td></tr>",
                escape(count.lane.as_str()),
                count.reason,
                count.count
            );
        }
        page.push_str("</tbody></table><p><code>anole parked list</code> shows each with what to do.</p>");
    }
    let _infallible = write!(
        page,
        "<footer>{} · <a href=\"/metrics\">metrics</a> · <a href=\"/api/lanes\">lanes as JSON</a></footer></main></body></html>",
        escape(admin.version)
    );
    Html(page)
}

fn verdict(admin: &Admin, lanes: &[LaneStatus], orphans: &[LaneId], parked: &[ParkedCount]) -> (&'static str, String) {
    if let Err(reason) = (admin.ready)() {
        return ("bad", format!("No events are accepted: {reason}."));
    }
    if let Some((lane, hint)) = lanes.iter().find_map(|lane| lane.paused.as_ref().map(|hint| (&lane.lane, hint))) {
        return ("bad", format!("The lane {lane} is paused: {hint}."));
    }
    if let Some(problem) = admin.files.refused() {
        let what = "anole works by the version before it: `anole check` shows all that is wrong";
        return ("bad", format!("The files were refused when they were last read ({problem}); {what}."));
    }
    let waiting: u64 = parked.iter().map(|count| count.count).sum();
    if waiting > 0 {
        return ("warn", format!("{waiting} sends are parked and wait for you; everything else flows."));
    }
    if let Some(lane) = orphans.first() {
        let what = "what it has not delivered is kept for a while: `anole lanes list` says how much, and \
                    `anole lanes rename` or `release` settles it";
        return ("warn", format!("No pipeline has the lane {lane} any more; {what}."));
    }
    if lanes.iter().any(|lane| lane.retrying > 0) {
        return ("warn", "Some requests failed and are tried again; nothing is lost.".to_owned());
    }
    ("good", "All is well: what came in is delivered or on its way.".to_owned())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_shown_as_text() {
        assert_eq!(
            escape("<script>alert('1')</script>&\""),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"
        );
    }
}

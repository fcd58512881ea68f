//! What pages are put together from: headings, badges, times, numbers.
#![expect(
    clippy::needless_pass_by_value,
    reason = "what is put into a page was made for it, and reads better in its place"
)]

use std::time::Duration;

use anole_event::{LaneId, Timestamp};
use maud::{Markup, html};

use crate::params::{Params, step};

/// The heading of a page, with what stands beside it.
pub(crate) fn head(title: &str, beside: Markup) -> Markup {
    html! {
        div.head {
            h1 { (title) }
            div.beside { (beside) }
        }
    }
}

/// A time: UTC for whoever has no script, the viewer's zone otherwise.
pub(crate) fn time(at: Timestamp) -> Markup {
    let text = at.to_string();
    let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
    let clock = clock.split('.').next().unwrap_or_default();
    html! { time datetime=(text) title=(text) { (day) " " (clock) " UTC" } }
}

/// How long ago something was; the time itself is in the title.
pub(crate) fn ago(now: Timestamp, at: Timestamp) -> Markup {
    html! { time.ago datetime=(at) title=(at) { (since(now, at)) } }
}

/// `12 s ago`.
pub(crate) fn since(now: Timestamp, at: Timestamp) -> String {
    let past = now.since(at);
    if past < Duration::from_secs(1) { "just now".to_owned() } else { format!("{} ago", lasting(past)) }
}

/// A length of time as a person says it.
pub(crate) fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => milliseconds(time.as_secs_f64() * 1000.0),
        1..10 if time.subsec_millis() > 0 => format!("{:.1} s", time.as_secs_f64()),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `12 ms`, `1.4 s`.
pub(crate) fn milliseconds(ms: f64) -> String {
    if ms < 1.0 {
        return format!("{:.0} µs", ms * 1000.0);
    }
    if ms < 10.0 {
        return format!("{ms:.1} ms");
    }
    if ms < 1000.0 { format!("{ms:.0} ms") } else { format!("{:.1} s", ms / 1000.0) }
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            // A narrow blank that no line is broken at.
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 send`, `1 204 sends`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let many = noun.strip_suffix('y').map_or_else(|| format!("{noun}s"), |stem| format!("{stem}ies"));
    if count == 1 { format!("1 {noun}") } else { format!("{} {many}", number(count)) }
}

/// Bytes in the unit that fits.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// How a state looks: what went well, what waits, what needs a person, what was kept back.
pub(crate) fn tone(state: &str) -> &'static str {
    match state {
        "delivered" | "runs" | "sent" | "accepted" | "answers" => "good",
        "waiting" | "deferred" | "retry" | "split" | "refresh_auth" | "probing" | "silent" => "wait",
        "parked" | "park" | "paused" | "pause" | "orphaned" | "stopped" => "warn",
        "lost" | "expired" | "rejected" | "failed" | "fails" => "bad",
        _ => "dull",
    }
}

/// A state as a mark. The word stands in it: colour alone says nothing.
pub(crate) fn badge(state: &str) -> Markup {
    html! { span class={ "badge " (tone(state)) } { (state) } }
}

/// A code, which leads to its page.
pub(crate) fn explained(code: &str) -> Markup {
    html! { a.explained href={ "/explain/" (step(code)) } title="What this means" { code { (code) } } }
}

/// How an answer looks.
pub(crate) fn status_tone(status: Option<u16>) -> &'static str {
    match status {
        Some(200..300) => "good",
        Some(429) => "wait",
        Some(_) => "bad",
        None => "dull",
    }
}

/// The status of an answer.
pub(crate) fn status(status: Option<u16>) -> Markup {
    let tone = status_tone(status);
    let text = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    html! { span class={ "badge " (tone) } { (text) } }
}

/// A lane, as a link to its events.
pub(crate) fn lane(lane: &LaneId) -> Markup {
    let all = Params::default().with("lane", Some(lane.as_str()));
    html! { a.lane href=(all.at("/events")) { (lane.as_str()) } }
}

/// The page of an event.
pub(crate) fn event_path(message_id: &str) -> String {
    format!("/events/{}", step(message_id))
}

/// An event, as a link to its story.
pub(crate) fn event_link(message_id: &str, text: &str) -> Markup {
    html! {
        // Who was forgotten has no page.
        @if message_id.is_empty() { (text) } @else { a href=(event_path(message_id)) { (text) } }
    }
}

/// The time between two stages.
pub(crate) fn gap(before: Timestamp, at: Timestamp) -> String {
    let gap = at.since(before);
    if gap < Duration::from_millis(1) { "< 1 ms".to_owned() } else { format!("+{}", lasting(gap)) }
}

/// A text that may be long: cut in the middle of a line by the style, whole in the title.
pub(crate) fn short(text: &str) -> Markup {
    html! { span.short title=(text) { (text) } }
}

/// A text with a button that copies it. Without a script the text can still be marked.
pub(crate) fn copyable(text: &str) -> Markup {
    html! { span.copy { code { (text) } button type="button" class="plain copies" data-copy=(text) hidden { "Copy" } } }
}

/// A box that says why there is nothing, and what to do next.
pub(crate) fn empty(title: &str, what: Markup) -> Markup {
    html! { div.empty { h2 { (title) } (what) } }
}

/// A sentence that stands out.
pub(crate) fn note(tone: &str, what: Markup) -> Markup {
    html! { div class={ "note " (tone) } role=[(tone == "bad").then_some("alert")] { (what) } }
}

/// Pairs of a name and a value.
pub(crate) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! { dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}

/// A hidden field for each pair.
pub(crate) fn hidden(params: &Params) -> Markup {
    html! { @for (name, value) in params.pairs() { input type="hidden" name=(name) value=(value); } }
}

/// A choice of one of several; the empty value asks for all.
pub(crate) fn choice(name: &str, label: &str, all: &str, options: &[String], chosen: Option<&str>) -> Markup {
    // What was asked for stays in the list, also when nothing of it is there now.
    let unknown = chosen.filter(|chosen| !options.iter().any(|option| option == chosen));
    html! {
        label { span { (label) }
            select name=(name) {
                option value="" { (all) }
                @for option in unknown.into_iter().chain(options.iter().map(String::as_str)) {
                    option value=(option) selected[chosen == Some(option)] { (option) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_bytes_read_as_people_write_them() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_204_567), "1\u{202f}204\u{202f}567");
        assert_eq!(
            (milliseconds(0.25), milliseconds(4.23), milliseconds(250.4)),
            ("250 µs".into(), "4.2 ms".into(), "250 ms".into())
        );
        assert_eq!(milliseconds(1_400.0), "1.4 s");
        assert_eq!(lasting(Duration::from_secs(150)), "2 min");
        assert_eq!((bytes(512), bytes(1536), bytes(3 << 30)), ("512 B".into(), "1.5 KiB".into(), "3.0 GiB".into()));
        assert_eq!((counted(1, "send"), counted(2, "try")), ("1 send".into(), "2 tries".into()));
    }

    #[test]
    fn what_events_bring_is_text_wherever_it_is_put() {
        let evil = "<script>alert(1)</script>\" onload='x'";
        let all = [
            head(evil, html! {}),
            badge(evil),
            lane(&LaneId::from_text(evil)),
            event_link(evil, evil),
            short(evil),
            copyable(evil),
            choice("n", evil, evil, &[evil.to_owned()], Some(evil)),
            hidden(&Params::default().with(evil, Some(evil))),
            note("warn", html! { (evil) }),
        ];
        for made in all {
            let text = made.into_string();
            assert!(!text.contains("<script") && !text.contains("\" onload"), "{text}");
        }
    }
}

//! Plots, drawn on the server: bars over time by state, and lines over time.
//!
//! A plot is stretched to its place, so nothing in it is text: scale and times stand beside it.

use std::time::Duration;

use anole_event::Timestamp;
use maud::{Markup, html};

use super::parts;

/// A plot's inner size; the style stretches it.
const W: f64 = 600.0;
const H: f64 = 100.0;

/// A bar: a stretch of time and what is in it.
pub(super) struct Bar {
    pub(super) at: Timestamp,
    /// Kind and count, from the ground up.
    pub(super) parts: Vec<(&'static str, u64)>,
    /// What is said of it, and where it leads.
    pub(super) title: String,
    pub(super) href: Option<String>,
}

/// A line over the same times as the others.
pub(super) struct Line {
    pub(super) name: String,
    /// Which of the line colours.
    pub(super) class: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

/// Bars over time. `mark` is the address to which the ends of a marked range are added.
pub(super) fn bars(label: &str, bars: &[Bar], width: Duration, mark: Option<&str>) -> Markup {
    let most = bars.iter().map(|bar| bar.parts.iter().map(|(_, count)| count).sum::<u64>()).max().unwrap_or(0).max(1);
    let step = W / bars.len().max(1) as f64;
    let (first, last) = (bars.first().map(|bar| bar.at), bars.last().map(|bar| bar.at.after(width)));
    html! {
        figure.plot {
            div.scale { span { (parts::number(most)) } span { "0" } }
            svg.bars viewBox={ "0 0 " (W) " " (H) } preserveAspectRatio="none" role="img" aria-label=(label)
                data-mark=[mark] data-from=[first.filter(|_| mark.is_some())] data-width=[mark.map(|_| width.as_millis())] data-bars=(bars.len()) {
                @for (at, bar) in bars.iter().enumerate() { (bar_shown(bar, at as f64 * step, step, most)) }
            }
            @if let (Some(first), Some(last)) = (first, last) { figcaption { (parts::time(first)) (parts::time(last)) } }
        }
    }
}

fn bar_shown(bar: &Bar, x: f64, step: f64, most: u64) -> Markup {
    let gap = if step > 4.0 { 1.0 } else { 0.2 };
    let mut top = H;
    let drawn: Vec<_> = bar
        .parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| {
            // What is there is seen, however little.
            let height = (*count as f64 / most as f64 * H).max(1.5);
            top -= height;
            (*class, top.max(0.0), height)
        })
        .collect();
    let inner = html! {
        title { (bar.title) }
        rect.ground x=(format!("{x:.2}")) y="0" width=(format!("{step:.2}")) height=(H) {}
        @for (class, y, height) in drawn {
            rect class=(class) x=(format!("{x:.2}")) y=(format!("{y:.2}")) width=(format!("{:.2}", step - gap)) height=(format!("{height:.2}")) {}
        }
    };
    html! {
        @match &bar.href {
            Some(href) => { a href=(href) tabindex="-1" { (inner) } }
            None => { g { (inner) } }
        }
    }
}

/// Lines over time, with the newest value of each in words.
pub(super) fn lines(label: &str, times: &[Timestamp], lines: &[Line], say: fn(f64) -> String) -> Markup {
    let most = lines.iter().flat_map(|line| line.values.iter().flatten()).copied().fold(0.0, f64::max);
    let scale = if most > 0.0 { most } else { 1.0 };
    html! {
        figure.plot {
            div.scale { span { (say(most)) } span { "0" } }
            svg.lines viewBox={ "0 0 " (W) " " (H) } preserveAspectRatio="none" role="img" aria-label=(label) {
                @for line in lines { path class=(line.class) d=(path(&line.values, scale)) vector-effect="non-scaling-stroke" { title { (line.name) } } }
            }
            @if let (Some(first), Some(last)) = (times.first(), times.last()) { figcaption { (parts::time(*first)) (parts::time(*last)) } }
        }
        ul.legend {
            @for line in lines {
                li { i class=(line.class) {} (line.name) " "
                    b { (line.values.iter().rev().flatten().next().map_or_else(|| "nothing yet".to_owned(), |value| say(*value))) } }
            }
        }
    }
}

/// A path through the values; it is broken where there are none.
fn path(values: &[Option<f64>], most: f64) -> String {
    let step = W / (values.len().max(2) - 1) as f64;
    let mut path = String::new();
    let mut is_drawing = false;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_drawing = false;
            continue;
        };
        let (x, y) = (at as f64 * step, H - value / most * (H - 4.0) - 1.0);
        let sign = if is_drawing { 'L' } else { 'M' };
        path.push_str(&format!("{sign}{x:.1} {y:.1}"));
        // A value alone between two gaps is a dot.
        if !is_drawing && values.get(at + 1).is_none_or(Option::is_none) {
            path.push_str("l2 0");
        }
        is_drawing = true;
    }
    path
}

/// Times from one to the other, a step apart, beginning with the one in which `from` lies.
pub(super) fn steps(from: Timestamp, until: Timestamp, step: Duration) -> Vec<Timestamp> {
    let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX).max(1);
    let first = from.micros().div_euclid(step) * step;
    let mut all = Vec::new();
    let mut at = first;
    while at < until.micros() && all.len() < 2_000 {
        all.push(Timestamp::from_micros(at));
        at = at.saturating_add(step);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_where_nothing_was_measured() {
        assert_eq!(path(&[Some(1.0), Some(2.0), None, Some(0.0)], 2.0), "M0.0 51.0L200.0 3.0M600.0 99.0l2 0");
        assert_eq!(path(&[], 1.0), "");
    }

    #[test]
    fn bars_show_the_least_and_escape_what_they_say() {
        let bar = |count| Bar {
            at: Timestamp::default(),
            parts: vec![("good", 1000), ("bad", count)],
            title: "<b>".to_owned(),
            href: None,
        };
        let drawn = bars("<i>", &[bar(1), bar(0)], Duration::from_secs(60), None).into_string();
        assert_eq!(drawn.matches("rect class=\"bad\"").count(), 1, "what is not there is not drawn");
        assert!(drawn.contains("height=\"1.50\""), "what is there is seen");
        assert!(!drawn.contains("<b>") && !drawn.contains("<i>"), "{drawn}");
    }

    #[test]
    fn steps_are_round() {
        let at = |seconds: u64| Timestamp::default().after(Duration::from_secs(seconds));
        assert_eq!(steps(at(59), at(130), Duration::from_secs(60)), [at(0), at(60), at(120)]);
    }
}

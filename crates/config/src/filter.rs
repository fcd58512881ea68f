//! A destination's filters as they are written: which events it gets, and what it sees of them.

use anole_pipeline::{Filters, Narrow, Path, WHOLE};

use crate::node::Node;
use crate::problem::{Code, Problem, Report};
use crate::reference::{Known, event_path};
use crate::source::{At, Source};

/// What a destination sees of an event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    drop: Vec<Path>,
    allow: Vec<Path>,
}

/// What it sees of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    All,
    Nothing,
    Part(Narrow),
}

/// Reads filters. What is wrong is reported.
pub(crate) fn filters(
    source: &std::sync::Arc<Source>,
    node: Option<&Node>,
    known: &Known,
    report: &mut Report,
) -> (Filters, Sight) {
    let Some(node) = node else { return (Filters::default(), Sight::default()) };
    let words = |key: &str| {
        let items = node.get(key).map(Node::items).unwrap_or_default();
        items.iter().filter_map(Node::text).map(Box::from).collect::<Vec<Box<str>>>()
    };
    let mut paths = |key: &str| {
        let mut paths = Vec::new();
        for item in node.get(key).map(Node::items).unwrap_or_default() {
            let at = At::new(source, item.span);
            paths.extend(item.text().and_then(|text| event_path(text, &at, known, report)));
        }
        paths
    };
    let sight = Sight { drop: paths("drop_properties"), allow: paths("allow_properties") };
    let sample = node.get("sample").and_then(|node| {
        let share = node.text().and_then(share);
        if share.is_none() {
            let message = format!("`{}` is no percentage", node.text().unwrap_or_default());
            let problem = Problem::new(Code::BadValue, At::new(source, node.span), message);
            report.add(problem.expect("expected 0 to 100, with at most two decimals"));
        }
        share
    });
    (Filters { sample, drop: words("drop"), only: words("only") }, sight)
}

/// A percentage as parts of [`WHOLE`].
fn share(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 2 || whole.is_empty() {
        return None;
    }
    let digits = format!("{whole}{decimals:0<2}");
    digits.parse().ok().filter(|share| digits.bytes().all(|digit| digit.is_ascii_digit()) && *share <= WHOLE)
}

// === impl Sight ===

impl Sight {
    /// What is seen of a place.
    pub(crate) fn of(&self, path: &Path) -> Seen {
        let begins = |long: &Path, short: &Path| long.steps().starts_with(short.steps());
        if self.drop.iter().any(|drop| begins(path, drop)) {
            return Seen::Nothing;
        }
        let rest = |other: &Path| other.steps()[path.steps().len()..].into();
        let without = self.drop.iter().filter(|drop| begins(drop, path)).map(rest).collect();
        let mut narrow = Narrow { only: Vec::new(), without };
        let mut allowed = self.allow.iter().filter(|allow| allow.root() == path.root()).peekable();
        if allowed.peek().is_some() {
            let allowed: Vec<&Path> = allowed.collect();
            if !allowed.iter().any(|allow| begins(path, allow)) {
                narrow.only = allowed.into_iter().filter(|allow| begins(allow, path)).map(rest).collect();
                if narrow.only.is_empty() {
                    return Seen::Nothing;
                }
            }
        }
        if narrow == Narrow::default() { Seen::All } else { Seen::Part(narrow) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_exactly() {
        for (text, parts) in [("100", 10_000), ("0", 0), ("12.5", 1_250), ("0.01", 1), ("33.33", 3_333)] {
            assert_eq!(share(text), Some(parts), "{text}");
        }
        for bad in ["101", "-1", "1e1", "0.001", "x", "", ".5"] {
            assert_eq!(share(bad), None, "{bad}");
        }
    }

    #[test]
    fn sight_follows_paths_in_both_directions() {
        let path = |text| Path::parse(text).expect("a path");
        let sight = Sight { drop: vec![path("properties.card.number")], allow: vec![path("traits.plan")] };
        assert_eq!(sight.of(&path("properties.total")), Seen::All);
        assert_eq!(sight.of(&path("properties.card.number")), Seen::Nothing);
        assert_eq!(sight.of(&path("properties.card.number.0")), Seen::Nothing);
        assert!(matches!(sight.of(&path("properties.card")), Seen::Part(narrow) if narrow.without.len() == 1));
        assert_eq!(sight.of(&path("traits.plan")), Seen::All);
        assert_eq!(sight.of(&path("traits.email")), Seen::Nothing);
        assert!(matches!(sight.of(&path("traits")), Seen::Part(narrow) if narrow.only.len() == 1));
    }
}

//! Expressions as files write them: read, and each name checked at its place.

use anole_pipeline::Parsed;

use crate::node::Node;
use crate::problem::{Code, Problem, Report};
use crate::reference::{Known, Reach, Reference, reference};
use crate::source::{At, Source, Span};

/// An expression in CEL.
#[derive(Clone, Debug)]
pub(crate) struct ExprDef {
    pub(crate) parsed: Parsed,
    /// What each of its paths leads to, in the order in which they stand.
    pub(crate) references: Vec<(Reference, At)>,
}

/// Reads an expression. `None` when it is wrong, which is then reported.
pub(crate) fn expression(
    source: &std::sync::Arc<Source>,
    node: &Node,
    known: &Known,
    report: &mut Report,
) -> Option<ExprDef> {
    let written = node.text()?;
    let whole = At::new(source, node.span);
    let parsed = match Parsed::parse(written) {
        Ok(parsed) => parsed,
        Err(error) => {
            let at = place(&whole, written, error.at, token(written, error.at));
            let expected = "expected CEL, such as properties.plan == \"pro\" && has(traits.email)";
            let word = written.get(error.at..).unwrap_or_default();
            let instead = INSTEAD.iter().find(|(wrong, _)| word.starts_with(wrong));
            let problem = Problem::new(Code::BadExpression, at, error.message);
            report.add(
                instead.map_or_else(|| problem.clone().expect(expected), |(_, right)| problem.clone().suggest(*right)),
            );
            return None;
        }
    };
    let mut references = Vec::new();
    let mut right = true;
    for referenced in parsed.references() {
        let path = referenced.path.to_string();
        let at = place(&whole, written, referenced.at, chain(written, referenced.at));
        match reference(&path, &at, Reach::Send, known, report) {
            Some(Reference::Nonce | Reference::Visitor) => {
                let problem = Problem::new(Code::UnknownPath, at, format!("`{path}` cannot stand in an expression"));
                report.add(problem.expect("expected places in the event and settings"));
                right = false;
            }
            Some(found) => references.push((found, at)),
            None => right = false,
        }
    }
    right.then_some(ExprDef { parsed, references })
}

/// What other languages write, and what CEL does.
const INSTEAD: [(&str, &str); 5] = [("and", "&&"), ("or", "||"), ("= ", "=="), ("=", "=="), ("<>", "!=")];

/// Where a part of an expression stands in its file; the whole expression when it is not written there as it is read.
fn place(whole: &At, written: &str, from: usize, length: usize) -> At {
    let part = whole.part(written.trim_end());
    if part.span.end - part.span.start < written.trim_end().len()
        || whole.source.text.get(part.span.start..part.span.end) != Some(written.trim_end())
    {
        return whole.clone();
    }
    let start = (part.span.start + from).min(part.span.end);
    At::new(&whole.source, Span { start, end: (start + length.max(1)).min(part.span.end.max(start)) })
}

fn token(written: &str, at: usize) -> usize {
    let rest = written.get(at..).unwrap_or_default();
    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
}

/// How long the names of a path are.
fn chain(written: &str, at: usize) -> usize {
    let rest = written.get(at..).unwrap_or_default();
    rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len())
}

//! Problems as a person reads them: the line, a caret, what was expected, what was probably meant.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Problem, Severity};
use crate::source::At;

/// A fixed width, so that what is printed does not depend on the terminal it was first printed on.
const WIDTH: usize = 160;

pub(super) fn render(problem: &Problem, colours: bool) -> String {
    let renderer = if colours { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    renderer.render(&[group(problem)])
}

pub(super) fn render_all(problems: &[Problem], colours: bool) -> String {
    let shown: Vec<String> = problems.iter().map(|problem| render(problem, colours)).collect();
    shown.join("\n\n")
}

fn group(problem: &Problem) -> Group<'_> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(problem.message.as_str()).id(problem.code.as_str());
    let mut group = Group::with_title(title);
    if let Some(at) = &problem.at {
        let mut primary = AnnotationKind::Primary.span(range(at));
        if let Some(expected) = &problem.expected {
            primary = primary.label(expected.as_str());
        }
        match &problem.other {
            Some((other, label)) if other.source.name == at.source.name => {
                let context = AnnotationKind::Context.span(range(other)).label(label.as_str());
                group = group.element(snippet(at).annotation(primary).annotation(context));
            }
            Some((other, label)) => {
                let context = AnnotationKind::Primary.span(range(other)).label(label.as_str());
                group = group.element(snippet(at).annotation(primary)).element(snippet(other).annotation(context));
            }
            None => group = group.element(snippet(at).annotation(primary)),
        }
    } else if let Some(expected) = &problem.expected {
        group = group.element(Level::NOTE.message(expected.as_str()));
    }
    if let Some(name) = &problem.suggestion {
        group = group.element(Level::HELP.message(format!("did you mean `{name}`?")));
    }
    group
}

fn snippet(at: &At) -> Snippet<'_, Annotation<'_>> {
    Snippet::source(at.source.text.as_str()).path(at.source.name.as_str())
}

/// The caret covers one line: a block under it would hide what is wrong in what is merely around it.
fn range(at: &At) -> std::ops::Range<usize> {
    let text = &at.source.text;
    let start = text.floor_char_boundary(at.span.start);
    let end = text.floor_char_boundary(at.span.end).max(start);
    let line_end = text[start..end].find('\n').map_or(end, |newline| start + newline);
    start..start + text[start..line_end].trim_end().len()
}

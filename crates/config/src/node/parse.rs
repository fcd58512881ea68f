//! From YAML to nodes.

use std::collections::HashMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{self as yaml, Event, Parser, ScalarStyle};

use super::{Entry, Kind, Node};
use crate::problem::{Code, Problem, Report};
use crate::source::{At, Source, Span};

/// The most nodes of a file, aliases written out: a file of a few lines can ask for billions.
const MAX_NODES: usize = 100_000;

/// How deep a file may nest.
const MAX_DEPTH: usize = 64;

/// A list or a map that is not yet closed.
struct Open {
    start: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Span)> },
}

struct Builder<'b> {
    source: &'b Arc<Source>,
    report: &'b mut Report,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

/// Reads a file. `None` when it is no YAML; what is wrong is reported either way. An empty file is an empty map.
pub(crate) fn parse(source: &Arc<Source>, report: &mut Report) -> Option<Node> {
    let mut builder = Builder { source, report, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None };
    for event in Parser::new_from_str(&source.text) {
        let result = match event {
            Ok((event, span)) => builder.event(event, span_of(&span)),
            Err(error) => Err(builder.syntax(&error)),
        };
        if let Err(problem) = result {
            builder.report.add(*problem);
            return None;
        }
    }
    let root = builder.root.take();
    let empty = || Node { span: source.top(), kind: Kind::Map(Vec::new()) };
    Some(root.filter(|root| !root.is_null()).unwrap_or_else(empty))
}

fn span_of(span: &yaml::Span) -> Span {
    let (start, end) = (span.start.byte_offset().unwrap_or(0), span.end.byte_offset().unwrap_or(0));
    Span { start, end: end.max(start) }
}

type Built = Result<(), Box<Problem>>;

// === impl Builder ===

impl Builder<'_> {
    fn problem(&self, code: Code, span: Span, message: impl Into<String>) -> Box<Problem> {
        Box::new(Problem::new(code, At::new(self.source, span), message))
    }

    fn syntax(&self, error: &yaml::ScanError) -> Box<Problem> {
        let start = error.marker().byte_offset().unwrap_or(0).min(self.source.text.len());
        self.problem(Code::Syntax, Span { start, end: start + 1 }, format!("this is not YAML: {}", error.kind()))
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Built {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.no_tag(tag.is_some(), span)?;
                let kind = if style == ScalarStyle::Plain { plain(&text) } else { Kind::Text(text.into_owned()) };
                // A plain text's span can reach over the blanks or the comment behind it.
                self.put(Node { span: self.trimmed(span), kind }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.no_tag(tag.is_some(), span)?;
                self.begin(span, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.no_tag(tag.is_some(), span)?;
                self.begin(span, anchor, Content::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some((node, nodes)) => self.put(Node { span, ..node }, 0, nodes),
                None => Err(self.problem(Code::Syntax, span, "the alias stands within what it stands for")),
            },
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(self.problem(Code::Syntax, span, "a second document begins here: write one document per file"))
            }
            _ => Ok(()),
        }
    }

    fn no_tag(&self, tagged: bool, span: Span) -> Built {
        if tagged {
            return Err(self.problem(Code::Syntax, span, "tags are not used here: leave the tag out"));
        }
        Ok(())
    }

    fn trimmed(&self, span: Span) -> Span {
        let text = self.source.text.get(span.start..span.end).unwrap_or_default();
        Span { start: span.start, end: span.start + text.trim_end().len() }
    }

    fn begin(&mut self, start: Span, anchor: usize, content: Content) -> Built {
        if self.open.len() == MAX_DEPTH {
            return Err(self.problem(Code::Syntax, start, format!("the file nests deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { start, anchor, content });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Built {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let span = Span { start: open.start.start, end: end.end.max(open.start.end) };
        let kind = match open.content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(entries),
        };
        let node = Node { span: self.trimmed(span), kind };
        // What is in it was counted when it was put there; an alias of it counts it all.
        self.put(node, open.anchor, 1)
    }

    fn put(&mut self, node: Node, anchor: usize, nodes: usize) -> Built {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(self.problem(Code::Syntax, node.span, format!("the file has more than {MAX_NODES} values")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size(&node)));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { key: key @ None, .. }) => {
                let span = node.span;
                match key_of(node) {
                    Some(text) => *key = Some((text, span)),
                    None => return Err(self.problem(Code::Syntax, span, "a key must be a text")),
                }
            }
            Some(Content::Map { entries, key }) => {
                if let Some((key, key_span)) = key.take() {
                    let first = entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_span);
                    entries.push(Entry { key, key_span, value: node });
                    self.check_key(first);
                }
            }
        }
        Ok(())
    }

    /// Reports a key that stands twice, and the merge keys of YAML 1.1.
    fn check_key(&mut self, first: Option<Span>) {
        let Some(Content::Map { entries, .. }) = self.open.last_mut().map(|open| &mut open.content) else { return };
        let Some(entry) = entries.last() else { return };
        let at = At::new(self.source, entry.key_span);
        if let Some(first) = first {
            let problem = Problem::new(Code::DuplicateKey, at, format!("the key `{}` stands twice", entry.key))
                .expect("remove one of the two")
                .beside(At::new(self.source, first), "it stands here already");
            entries.pop();
            self.report.add(problem);
        } else if entry.key == "<<" {
            let problem = Problem::new(Code::Syntax, at, "merge keys are not part of YAML 1.2")
                .expect("write the keys out, or use an alias for the whole value");
            entries.pop();
            self.report.add(problem);
        }
    }
}

fn key_of(node: Node) -> Option<String> {
    match node.kind {
        Kind::Text(text) | Kind::Number(text) => Some(text),
        Kind::Bool(value) => Some(value.to_string()),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

/// How many values a node has, itself included.
fn size(node: &Node) -> usize {
    let items = node.items().iter().map(size).sum::<usize>();
    1 + items + node.entries().iter().map(|entry| size(&entry.value)).sum::<usize>()
}

fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        number if anole_pipeline::is_json_number(number) => Kind::Number(number.to_owned()),
        text => Kind::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let source = Arc::new(Source { name: "f.yaml".to_owned(), text: text.to_owned(), folder: PathBuf::new() });
        let mut report = Report::default();
        let node = parse(&source, &mut report);
        let problems = match report.finish() {
            Ok(warnings) => warnings,
            Err(errors) => errors.problems().to_vec(),
        };
        (node, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn scalars_keep_their_digits_and_follow_yaml_1_2() {
        let text =
            "a: 23.50\nb: off\nc: 12345678901234567890\nd: \"5\"\ne: 0x1F\nf:\ng: True # yes\nh: [1e3, .5]\n404: x";
        let (node, problems) = read(text);
        assert_eq!(problems, Vec::<String>::new());
        let json = r#"{"a":23.50,"b":"off","c":12345678901234567890,"d":"5","e":"0x1F","f":null,"g":true,"h":[1e3,".5"],"404":"x"}"#;
        assert_eq!(node.expect("a node").to_json(), json);
    }

    #[test]
    fn places_are_exact() {
        let text = "a:\n  béb: \"x y\"   # note\n  c: [1, zwei ]\n";
        let (node, _) = read(text);
        let node = node.expect("a node");
        let inner = node.get("a").expect("a");
        let written = |span: Span| &text[span.start..span.end];
        assert_eq!(written(inner.entries()[0].key_span), "béb");
        assert_eq!(written(inner.entries()[0].value.span), "\"x y\"");
        assert_eq!(written(inner.entries()[1].value.span), "[1, zwei ]");
        assert_eq!(written(inner.entries()[1].value.items()[1].span), "zwei");
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error_but_the_rest_is_read() {
        let (node, problems) = read("a: 1\nb: { c: 1, c: 2 }\na: 3\n");
        assert_eq!(problems.len(), 2);
        assert!(problems[0].starts_with("f.yaml:2:12: the key `c` stands twice"), "{}", problems[0]);
        assert!(problems[1].starts_with("f.yaml:3:1: the key `a` stands twice"), "{}", problems[1]);
        assert_eq!(node.expect("a node").to_json(), r#"{"a":1,"b":{"c":1}}"#);
    }

    #[test]
    fn aliases_are_written_out_within_a_budget() {
        let (node, problems) = read("a: &x { k: [1, 2] }\nb: *x\n");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(node.expect("a node").to_json(), r#"{"a":{"k":[1,2]},"b":{"k":[1,2]}}"#);
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{inner}]\n");
        }
        let (node, problems) = read(&bomb);
        assert!(node.is_none() && problems[0].contains("more than 100000 values"), "{problems:?}");
    }

    #[test]
    fn what_is_no_yaml_of_ours_is_refused_with_its_place() {
        for (text, place, part) in [
            ("a: [1, 2\nb: 3\n", "f.yaml:", "not YAML"),
            ("a: 1\n---\nb: 2\n", "f.yaml:2:1", "second document"),
            ("a: !!str 5\n", "f.yaml:1:", "tags"),
            ("a: &x { b: *x }\n", "f.yaml:1:12", "alias"),
            ("a: { <<: { b: 1 } }\n", "f.yaml:1:6", "merge keys"),
            ("? [a, b]\n: 1\n", "f.yaml:1:", "a key must be a text"),
            ("a: *nope\n", "f.yaml:1:4", "anchor"),
        ] {
            let (_, problems) = read(text);
            let first = problems.first().cloned().unwrap_or_default();
            assert!(first.starts_with(place) && first.contains(part), "{text:?}: {first}");
        }
        assert_eq!(read("# nothing\n").0.map(|node| node.to_json()).as_deref(), Some("{}"));
        let deep = format!("a: {}1{}", "[".repeat(70), "]".repeat(70));
        assert!(read(&deep).1[0].contains("deeper than 64"));
    }
}

//! Checking a file against its description.

use std::sync::Arc;

use super::{Need, Table, Type};
use crate::nearest::nearest;
use crate::node::{Kind, Node};
use crate::problem::{Code, Problem, Report};
use crate::source::{At, Source, Span};
use crate::units::{Period, Size};

/// Reports all in which a value differs from its description. `name` is what the value is called in messages.
pub(crate) fn check(source: &Arc<Source>, node: &Node, of: &Type, name: &str, report: &mut Report) {
    Checker { source, report }.value(node, of, name);
}

struct Checker<'c> {
    source: &'c Arc<Source>,
    report: &'c mut Report,
}

// === impl Checker ===

impl Checker<'_> {
    fn at(&self, span: Span) -> At {
        At::new(self.source, span)
    }

    fn value(&mut self, node: &Node, of: &Type, name: &str) {
        match (of, &node.kind) {
            (Type::Any, _) => {}
            (Type::Text, Kind::Text(_) | Kind::Number(_))
            | (Type::Bool, Kind::Bool(_))
            | (Type::Number, Kind::Number(_)) => {}
            (Type::Integer, Kind::Number(digits)) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {}
            (Type::Size, Kind::Text(text) | Kind::Number(text)) => self.unit(node, text.parse::<Size>().err()),
            (Type::Period, Kind::Text(text)) => self.unit(node, text.parse::<Period>().err()),
            (Type::Choice(words), Kind::Text(text)) => {
                if !words.contains(&text.as_str()) {
                    self.report.add(Self::word(self.at(node.span), name, text, words));
                }
            }
            (Type::List(of), Kind::List(items)) => {
                for item in items {
                    self.value(item, of, &format!("an entry of {name}"));
                }
            }
            (Type::Map(of), Kind::Map(entries)) => {
                for entry in entries {
                    self.value(&entry.value, of, &format!("`{}`", entry.key));
                }
            }
            (Type::Table(table), Kind::Map(_)) => self.table(node, table),
            (Type::Either(types), _) => match types.iter().find(|of| looks_like(node, of)) {
                Some(of) => self.value(node, of, name),
                None => self.wrong(node, of, name),
            },
            _ => self.wrong(node, of, name),
        }
    }

    fn table(&mut self, node: &Node, table: &Table) {
        for entry in node.entries() {
            match table.keys.iter().find(|key| key.name == entry.key) {
                Some(key) => self.value(&entry.value, key.of, &format!("`{}`", key.name)),
                None => {
                    let known = table.keys.iter().map(|key| key.name);
                    let message = format!("unknown key `{}` in {}", entry.key, table.what);
                    let problem = Problem::new(Code::UnknownKey, self.at(entry.key_span), message);
                    let problem = match nearest(&entry.key, known.clone()) {
                        Some(name) => problem.suggest(name),
                        None => problem,
                    };
                    self.report.add(problem.expect_one_of(known));
                }
            }
        }
        for key in table.keys.iter().filter(|key| key.need == Need::Must && node.get(key.name).is_none()) {
            let message = format!("`{}` is missing in {}", key.name, table.what);
            let problem = Problem::new(Code::MissingKey, self.at(node.span), message);
            let doc = key.doc.trim_end_matches('.');
            let doc = doc.chars().take(1).flat_map(char::to_lowercase).chain(doc.chars().skip(1)).collect::<String>();
            self.report.add(problem.expect(format!("write `{}: …`: {doc}", key.name)));
        }
    }

    fn unit(&mut self, node: &Node, error: Option<crate::units::UnitError>) {
        if let Some(error) = error {
            self.report.add(Problem::new(Code::BadValue, self.at(node.span), error.to_string()));
        }
    }

    fn word(at: At, name: &str, written: &str, words: &[&'static str]) -> Problem {
        let problem = Problem::new(Code::BadValue, at, format!("{name} cannot be `{written}`"));
        let problem = match nearest(written, words.iter().copied()) {
            Some(word) => problem.suggest(word),
            None => problem,
        };
        problem.expect_one_of(words.iter().copied())
    }

    fn wrong(&mut self, node: &Node, of: &Type, name: &str) {
        let message = match node.text() {
            Some(text) if text.len() <= 40 => format!("{name} cannot be `{text}`"),
            _ => format!("{name} is {}", node.kind.called()),
        };
        let problem = Problem::new(Code::WrongType, self.at(node.span), message);
        let problem = match node.text().and_then(|text| nearest(text, words_of(of))) {
            Some(word) => problem.suggest(word),
            None => problem,
        };
        self.report.add(problem.expect(format!("expected {}", of.called())));
    }
}

/// The words that a type takes.
fn words_of(of: &Type) -> Vec<&'static str> {
    match of {
        Type::Choice(words) => words.to_vec(),
        Type::Either(types) => types.iter().flat_map(|of| words_of(of)).collect(),
        _ => Vec::new(),
    }
}

/// Whether a value looks like a type at first sight.
fn looks_like(node: &Node, of: &Type) -> bool {
    match (of, &node.kind) {
        (Type::Any, _)
        | (Type::Text | Type::Size, Kind::Text(_) | Kind::Number(_))
        | (Type::Period, Kind::Text(_))
        | (Type::Bool, Kind::Bool(_))
        | (Type::Integer | Type::Number, Kind::Number(_))
        | (Type::List(_), Kind::List(_))
        | (Type::Map(_) | Type::Table(_), Kind::Map(_)) => true,
        (Type::Choice(words), Kind::Text(text)) => words.contains(&text.as_str()),
        (Type::Either(types), _) => types.iter().any(|of| looks_like(node, of)),
        _ => false,
    }
}

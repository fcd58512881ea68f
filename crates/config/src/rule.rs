//! Rules: which events they match and what they make of them; and how a pipeline's rules lie over a preset's.
//!
//! The key of a rule is its name, and what it matches unless it says otherwise: the name of an event, a type, or `*`.
//! A pipeline's rule replaces the preset's rule of the same name when it says what to send or `off`; when it only sets
//! fields, it is laid over it.

use anole_pipeline::Categories;

use crate::expression::{ExprDef, expression};
use crate::governance::categories;
use crate::governance::tables::CATEGORIES;
use crate::nearest::nearest;
use crate::node::{Entry, Kind, Node};
use crate::problem::{Code, Problem, Report};
use crate::source::At;
use crate::table::{Table, Type, may, must};
use crate::value::{FIELD, FieldDef, Fields};

use crate::blueprint::SendDef;

/// A rule.
pub(crate) static RULE: Type =
    Type::Either(&[&Type::Choice(&["off"]), &Type::Table(&RULE_TABLE), &Type::List(&Type::Table(&USE))]);

static RULE_TABLE: Table = Table {
    what: "a rule",
    keys: &[
        may(
            "match",
            &Type::List(&Type::Text),
            "What it matches, when that is not its key: names of events, types, or *.",
        ),
        may("send", &Type::Text, "What is sent: a send of the blueprint."),
        may("set", &Type::Map(&FIELD), "Fields of the payload that get another value."),
        may("sends", &Type::List(&Type::Table(&USE)), "Several sends made of one event, each with its own nonce."),
        may("when", &Type::Text, "What must hold of the event, in CEL; if not, it is filtered."),
        may("consent", &CATEGORIES, "The consent that it needs, instead of what its destination needs."),
    ],
};

static USE: Table = Table {
    what: "one of several sends",
    keys: &[
        must("send", &Type::Text, "What is sent: a send of the blueprint."),
        may("set", &Type::Map(&FIELD), "Fields of the payload that get another value."),
        may("when", &Type::Text, "What must hold of the event for this send, in CEL."),
    ],
};

/// A rule as it is written.
#[derive(Clone, Debug)]
pub(crate) struct RuleDef {
    pub(crate) name: String,
    pub(crate) at: At,
    /// What it matches, when that is not its name.
    pub(crate) matches: Option<Vec<(String, At)>>,
    pub(crate) when: Option<ExprDef>,
    /// The consent that it needs, when it says so.
    pub(crate) consent: Option<(Categories, At)>,
    pub(crate) action: ActionDef,
}

/// What a rule does.
#[derive(Clone, Debug)]
pub(crate) enum ActionDef {
    Off,
    Sends(Vec<UseDef>),
    /// Fields to be laid over the preset's rule of that name.
    Over(Vec<FieldDef>),
}

/// A send as a rule uses it.
#[derive(Clone, Debug)]
pub(crate) struct UseDef {
    pub(crate) at: At,
    pub(crate) send: String,
    pub(crate) set: Vec<FieldDef>,
    /// What must hold of the event, when it is one of several sends.
    pub(crate) when: Option<ExprDef>,
}

/// A rule after the pipeline's were laid over the preset's.
#[derive(Clone, Debug)]
pub(crate) struct Merged {
    pub(crate) rule: RuleDef,
    /// Whether the pipeline has a hand in it.
    pub(crate) own: bool,
}

/// The sends that rules may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sends<'s> {
    /// All that are written, also those with mistakes of their own.
    pub(crate) names: &'s [&'s str],
    pub(crate) defs: &'s [SendDef],
}

// === impl RuleDef ===

impl RuleDef {
    pub(crate) fn matched(&self) -> Vec<(String, At)> {
        self.matches.clone().unwrap_or_else(|| vec![(self.name.clone(), self.at.clone())])
    }
}

/// Reads the rules of a preset, or those of a pipeline.
pub(crate) fn rules(fields: &mut Fields<'_>, node: &Node, sends: &Sends<'_>) -> Vec<RuleDef> {
    node.entries().iter().filter_map(|entry| rule(fields, entry, sends)).collect()
}

fn rule(fields: &mut Fields<'_>, entry: &Entry, sends: &Sends<'_>) -> Option<RuleDef> {
    let at = At::new(fields.source, entry.key_span);
    let node = &entry.value;
    let action = match &node.kind {
        Kind::Text(text) if text == "off" => ActionDef::Off,
        Kind::List(items) => ActionDef::Sends(uses(fields, items, sends)),
        Kind::Map(_) => action(fields, entry, sends)?,
        _ => return None,
    };
    if let ActionDef::Sends(uses) = &action
        && uses.is_empty()
        && node.items().is_empty()
        && node.get("send").is_none()
    {
        let problem = Problem::new(Code::BadValue, at, format!("the rule `{}` sends nothing", entry.key));
        fields.report.add(problem.expect("write `off` to filter the event"));
        return None;
    }
    let matches = node.get("match").map(|matches| {
        let named = matches
            .items()
            .iter()
            .filter_map(|item| Some((item.text()?.to_owned(), At::new(fields.source, item.span))));
        named.collect()
    });
    let when = match node.get("when") {
        Some(when) => Some(expression(fields.source, when, fields.known, fields.report)?),
        None => None,
    };
    let consent = node.entry("consent");
    let consent = consent.map(|it| (categories(&it.value), At::new(fields.source, it.key_span)));
    Some(RuleDef { name: entry.key.clone(), at, matches, when, consent, action })
}

fn action(fields: &mut Fields<'_>, entry: &Entry, sends: &Sends<'_>) -> Option<ActionDef> {
    let node = &entry.value;
    let set = node.get("set");
    if let Some(several) = node.entry("sends") {
        if let Some(other) = node.entry("send").or(node.entry("set")) {
            let at = At::new(fields.source, other.key_span);
            let message = format!("`{}` cannot stand beside `sends`", other.key);
            fields.report.add(Problem::new(Code::Conflict, at, message).expect("put it into one of the `sends`"));
            return None;
        }
        return Some(ActionDef::Sends(uses(fields, several.value.items(), sends)));
    }
    if node.get("send").is_some() {
        // The rule's own condition is the rule's, not the send's.
        let using = one(fields, node, sends).map(|using| UseDef { when: None, ..using });
        return Some(ActionDef::Sends(using.into_iter().collect()));
    }
    Some(ActionDef::Over(set.map(|set| fields.fields(set)).unwrap_or_default()))
}

fn uses(fields: &mut Fields<'_>, items: &[Node], sends: &Sends<'_>) -> Vec<UseDef> {
    items.iter().filter_map(|item| one(fields, item, sends)).collect()
}

fn one(fields: &mut Fields<'_>, node: &Node, sends: &Sends<'_>) -> Option<UseDef> {
    let named = node.get("send")?;
    let send = named.text()?;
    let at = At::new(fields.source, named.span);
    if !sends.names.contains(&send) {
        let names = sends.names.iter().copied();
        fields.report.add(Problem::unknown(Code::UnknownName, at, "send", send, names));
        return None;
    }
    let set = node.get("set").map(|set| fields.fields(set)).unwrap_or_default();
    if let Some(def) = sends.defs.iter().find(|def| def.name == send) {
        check_set(&set, def, fields.report);
    }
    let when = match node.get("when") {
        Some(when) => Some(expression(fields.source, when, fields.known, fields.report)?),
        None => None,
    };
    Some(UseDef { at, send: send.to_owned(), set, when })
}

/// Reports fields that a send does not have.
fn check_set(set: &[FieldDef], send: &SendDef, report: &mut Report) {
    for field in set {
        let known = send.body.iter().map(|field| field.key.as_str());
        if !known.clone().any(|key| key == field.key) {
            let message = format!("the send {} has no field `{}`", send.name, field.key);
            let problem = Problem::new(Code::UnknownName, field.key_at.clone(), message);
            let problem = match nearest(&field.key, known.clone()) {
                Some(name) => problem.suggest(name),
                None => problem,
            };
            report.add(problem.expect_one_of(known));
        }
    }
}

/// Reports rules of a preset that only set fields: there is nothing below them.
pub(crate) fn check_preset(rules: &[RuleDef], sends: &Sends<'_>, report: &mut Report) {
    for rule in rules {
        if let ActionDef::Over(_) = rule.action {
            let message = format!("the rule `{}` does not say what to send", rule.name);
            let problem = Problem::new(Code::MissingKey, rule.at.clone(), message);
            report.add(
                problem.expect(format!("write `send: …`: {}", crate::nearest::listed(sends.names.iter().copied()))),
            );
        }
    }
    let merged: Vec<Merged> = rules.iter().map(|rule| Merged { rule: rule.clone(), own: false }).collect();
    check_matches(&merged, report);
}

/// Lays a pipeline's rules over a preset's.
pub(crate) fn merge(preset: &[RuleDef], own: &[RuleDef], sends: &[SendDef], report: &mut Report) -> Vec<Merged> {
    let mut merged: Vec<Merged> = Vec::new();
    for rule in preset {
        if !own.iter().any(|own| own.name == rule.name) {
            merged.push(Merged { rule: rule.clone(), own: false });
        }
    }
    for rule in own {
        let below = preset.iter().find(|below| below.name == rule.name);
        let rule = match &rule.action {
            ActionDef::Off | ActionDef::Sends(_) => Some(rule.clone()),
            ActionDef::Over(set) => laid_over(rule, set, below, preset, sends, report),
        };
        merged.extend(rule.map(|rule| Merged { rule, own: true }));
    }
    check_matches(&merged, report);
    merged
}

fn laid_over(
    rule: &RuleDef,
    set: &[FieldDef],
    below: Option<&RuleDef>,
    preset: &[RuleDef],
    sends: &[SendDef],
    report: &mut Report,
) -> Option<RuleDef> {
    let write = || {
        let names = crate::nearest::listed(sends.iter().map(|send| send.name.as_str()));
        format!("write `send: …` as well: {names}")
    };
    let Some(below) = below else {
        let message = format!("the preset has no rule `{}`, so this one must say what to send", rule.name);
        let problem = Problem::new(Code::UnknownName, rule.at.clone(), message);
        let problem = match nearest(&rule.name, preset.iter().map(|rule| rule.name.as_str())) {
            Some(name) => problem.suggest(name),
            None => problem,
        };
        report.add(problem.expect(write()));
        return None;
    };
    let [below_use] = (match &below.action {
        ActionDef::Sends(uses) => uses.as_slice(),
        ActionDef::Off | ActionDef::Over(_) => &[],
    }) else {
        let message = format!("the preset's rule `{}` does not make exactly one send", rule.name);
        let problem = Problem::new(Code::Conflict, rule.at.clone(), message);
        report.add(problem.expect(write()).beside(below.at.clone(), "the preset's rule"));
        return None;
    };
    if let Some(send) = sends.iter().find(|send| send.name == below_use.send) {
        check_set(set, send, report);
    }
    let mut fields = below_use.set.clone();
    for field in set {
        match fields.iter_mut().find(|below| below.key == field.key) {
            Some(below) => below.value = below.value.under(&field.value),
            None => fields.push(field.clone()),
        }
    }
    let uses =
        vec![UseDef { at: rule.at.clone(), send: below_use.send.clone(), set: fields, when: below_use.when.clone() }];
    let matches = rule.matches.clone().or_else(|| below.matches.clone());
    let when = rule.when.clone().or_else(|| below.when.clone());
    let consent = rule.consent.clone().or_else(|| below.consent.clone());
    let action = ActionDef::Sends(uses);
    Some(RuleDef { name: rule.name.clone(), at: rule.at.clone(), matches, when, consent, action })
}

/// Reports what two rules of the same layer both match: neither is more specific.
fn check_matches(merged: &[Merged], report: &mut Report) {
    let mut seen: Vec<(bool, String, At)> = Vec::new();
    for Merged { rule, own } in merged {
        let matched = rule.matched();
        if matched.is_empty() {
            let problem =
                Problem::new(Code::BadValue, rule.at.clone(), format!("the rule `{}` matches nothing", rule.name));
            report.add(problem.expect("write names of events, types or * into `match`, or leave it out"));
        }
        for (word, at) in matched {
            match seen.iter().find(|(seen_own, seen, _)| seen_own == own && *seen == word) {
                Some((_, _, first)) => {
                    let problem = Problem::new(Code::Conflict, at, format!("two rules match `{word}`"));
                    let problem = problem.expect("neither is more specific: remove one");
                    report.add(problem.beside(first.clone(), "this one does already"));
                }
                None => seen.push((*own, word, at)),
            }
        }
    }
}

//! From a blueprint, a destination's settings and its rules to a lane's plan.

use std::sync::Arc;

use anole_event::LaneId;
use anole_pipeline::{
    Action, Bound, Check, Each, Expression, Field, Filters, Gate, ItemPaths, LaneParts, LanePlan, NonceForm, Origin,
    Otherwise, Path, Paths, Piece, Resolve, Rule, SendPlan, Shape, Slot, Source, Template,
};

use crate::blueprint::{Blueprint, SendDef};
use crate::expression::ExprDef;
use crate::filter::{Seen, Sight};
use crate::node::json_text;
use crate::problem::{Code, Problem, Report};
use crate::reference::{Reference, Text};
use crate::rule::{ActionDef, Merged, UseDef};
use crate::setting::{SettingValue, Settings};
use crate::source::At;
use crate::value::{FieldDef, SourceDef, ValueDef};

mod request;

use request::Place;

/// Compiles one destination.
pub(crate) struct Compiler<'c> {
    pub(crate) blueprint: &'c Blueprint,
    pub(crate) settings: &'c Settings,
    /// Where a missing setting is told.
    pub(crate) settings_at: &'c At,
    /// The consent that the lane needs.
    pub(crate) gate: Option<Gate>,
    pub(crate) paths: &'c mut Paths,
    /// What the destination sees of an event.
    pub(crate) sight: &'c Sight,
    /// What is asked of the elements of the lists that are gone through, the innermost last.
    pub(crate) items: Vec<ItemPaths>,
    pub(crate) report: &'c mut Report,
}

// === impl Compiler ===

impl Compiler<'_> {
    /// The plan of a lane. `None` when something is wrong, which is then reported.
    pub(crate) fn lane(
        &mut self,
        lane: LaneId,
        enabled: bool,
        (filters, when): (Filters, Option<&ExprDef>),
        rules: &[Merged],
    ) -> Option<LanePlan> {
        let blueprint = self.blueprint;
        let mut requests = Vec::new();
        for request in &blueprint.requests {
            requests.push(self.request(request)?);
        }
        let mut parts = LaneParts::new(lane);
        parts.enabled = enabled;
        parts.filters = filters;
        parts.when = self.condition(when);
        parts.gate = self.gate.take();
        parts.account = self.setting_text(blueprint.account.as_ref()).map(Into::into);
        parts.nonce = self.nonce()?;
        parts.resolve = self.resolve()?;
        parts.requests = requests;
        for Merged { rule, own } in rules {
            let action = match &rule.action {
                ActionDef::Sends(uses) => Action::Send(uses.iter().filter_map(|using| self.send(using)).collect()),
                ActionDef::Off | ActionDef::Over(_) => Action::Off,
            };
            let matches = rule.matched().into_iter().map(|(word, _)| word.into()).collect();
            let when = self.condition(rule.when.as_ref());
            parts.rules.push(Rule { name: rule.name.as_str().into(), matches, own: *own, when, action });
        }
        match LanePlan::new(parts) {
            Ok(plan) => Some(plan),
            Err((index, message)) => {
                let at = blueprint.requests.get(index).map_or(&blueprint.at, |request| &request.at).clone();
                self.report
                    .add(Problem::new(Code::BadValue, at, message).expect("look at the settings that it is made of"));
                None
            }
        }
    }

    pub(crate) fn setting_text(&self, text: Option<&Text>) -> Option<String> {
        self.settings.fill_in(text?)
    }

    fn nonce(&mut self) -> Option<NonceForm> {
        let Some(text) = &self.blueprint.nonce else { return Some(NonceForm::default()) };
        match self.settings.fill_in(text).as_deref() {
            Some("message_id") => Some(NonceForm::MessageId),
            Some("hex16") => Some(NonceForm::Hex16),
            other => {
                let message = format!("`{}` is no way of making nonces", other.unwrap_or_default());
                let problem = Problem::new(Code::BadValue, text.at.clone(), message);
                self.report.add(problem.expect("expected message_id or hex16"));
                None
            }
        }
    }

    fn resolve(&mut self) -> Option<Option<Resolve>> {
        let Some(visitor) = &self.blueprint.visitor else { return Some(None) };
        let otherwise = match &visitor.otherwise {
            None => Otherwise::Park,
            Some(text) => match self.settings.fill_in(text).as_deref() {
                Some("park") => Otherwise::Park,
                Some(path) => {
                    let path = crate::reference::event_path(path, &text.at, &self.blueprint.known, self.report)?;
                    Otherwise::Fallback(self.paths.slot(&path))
                }
                None => Otherwise::Park,
            },
        };
        Some(Some(Resolve {
            first_of: visitor
                .first_of
                .iter()
                .filter(|path| self.sight.of(path) != Seen::Nothing)
                .map(|path| self.paths.slot(path))
                .collect(),
            clean: visitor.clean.clone(),
            otherwise,
            hint: visitor.hint.as_deref().map(Into::into),
        }))
    }

    fn send(&mut self, using: &UseDef) -> Option<SendPlan> {
        let blueprint = self.blueprint;
        let send = blueprint.send(&using.send)?;
        let mut fields = Vec::new();
        for FieldDef { key, key_at, value } in &send.body {
            let set = using.set.iter().find(|field| field.key == *key);
            let origin = match set {
                Some(set) if set.value.source.is_some() || value.source.is_none() => {
                    self.origin(&set.value, &set.key_at)
                }
                _ => self.origin(value, key_at),
            };
            let over = set.map(|set| &set.value);
            fields.push(self.field(key, origin, value, over, Some((send, &using.at)))?);
        }
        let expires = send.expires.map(crate::units::Period::duration);
        let mut plan = SendPlan::new(send.name.as_str().into(), send.request, expires, fields);
        plan.when = self.condition(using.when.as_ref());
        Some(plan)
    }

    fn field(
        &mut self,
        key: &str,
        origin: Origin,
        base: &ValueDef,
        over: Option<&ValueDef>,
        within: Option<(&SendDef, &At)>,
    ) -> Option<Field> {
        let merged = over.map(|over| base.under(over));
        let value = merged.as_ref().unwrap_or(base);
        let field = Field {
            key: key.into(),
            source: self.source(value)?,
            shape: Shape {
                keep_null: value.keep_null,
                keep_empty: value.keep_empty,
                pick: value.pick.clone(),
                omit: value.omit.clone(),
                flatten: value.flatten.as_deref().map(Into::into),
                values: value.values.clone(),
                sha256: value.sha256,
                round: value.round,
                trim: value.trim.unwrap_or(false),
                strip_prefix: value.strip_prefix.as_deref().map(Into::into),
                case: value.case,
                max_length: value.max_length,
                kind: over.and(value.kind),
                absolute: value.absolute.unwrap_or(false),
                default: value.default.as_deref().map(Into::into),
            },
            check: Check {
                kind: base.kind,
                required: value.required.unwrap_or(false),
                min: value.min.as_deref().map(Into::into),
                max: value.max.as_deref().map(Into::into),
                url: value.url,
            },
            origin,
        };
        self.check(&field, value, within)?;
        Some(field)
    }

    /// Where a field's source is written: at its key, but for a source that came from another file, as when a pipeline only
    /// shapes what a preset set.
    fn origin(&self, value: &ValueDef, key: &At) -> Origin {
        let source = match &value.source {
            Some(SourceDef::Places(places)) => places.first().map(|(_, at)| at),
            Some(SourceDef::Template(text)) => Some(&text.at),
            _ => None,
        };
        let mut settings = Vec::new();
        if let Some(SourceDef::Places(places)) = &value.source {
            // Settings that are not given are no sources.
            let given = places.iter().filter(|(place, _)| match place {
                Reference::Setting(name) => self.settings.get(name).is_some(),
                Reference::Event(path) => self.sight.of(path) != Seen::Nothing,
                Reference::Item(_) | Reference::Nonce | Reference::Visitor => true,
            });
            for (index, (place, _)) in given.enumerate() {
                if let Reference::Setting(name) = place {
                    settings.push((index, Arc::from(name.as_str())));
                }
            }
        }
        let source = source.unwrap_or(&value.at);
        let at = if Arc::ptr_eq(&source.source, &key.source) { key } else { source };
        Origin::new(&at.source.name, at.source.line_column(at.span.start).0, settings)
    }

    /// Reports what can be known to fail before there is an event.
    fn check(&mut self, field: &Field, value: &ValueDef, within: Option<(&SendDef, &At)>) -> Option<()> {
        if let Err(wrong) = field.check_constants() {
            let message = format!("`{}` cannot be {wrong}", field.key);
            let problem = Problem::new(Code::BadValue, value.at.clone(), message);
            self.report.add(problem.expect("the vendor would lose it"));
            return None;
        }
        let nothing = field.source == Source::Nothing && field.shape.default.is_none();
        if let Some((send, at)) = within.filter(|_| nothing && field.check.required) {
            let message = format!("the send {} needs `{}`", send.name, field.key);
            let problem = Problem::new(Code::MissingKey, at.clone(), message);
            self.report.add(problem.expect(format!("write `set: {{ {}: … }}`", field.key)));
            return None;
        }
        let number = |kind| matches!(kind, Some(anole_pipeline::Kind::Number | anole_pipeline::Kind::Integer));
        let has_number = number(field.shape.kind) || number(field.check.kind);
        let bounded = field.check.min.is_some() || field.check.max.is_some();
        if (field.shape.absolute || field.shape.round.is_some() || bounded) && !has_number {
            let message = format!("`{}` is treated as a number without being one", field.key);
            let problem = Problem::new(Code::MissingKey, value.at.clone(), message);
            self.report.add(problem.expect("write `type: number` or `type: integer`"));
            return None;
        }
        Some(())
    }

    fn source(&mut self, value: &ValueDef) -> Option<Source> {
        Some(match &value.source {
            None => Source::Nothing,
            Some(SourceDef::Constant(json)) => Source::Constant(json.as_str().into()),
            Some(SourceDef::Places(places)) => {
                let mut sources: Vec<Source> = places.iter().filter_map(|(place, _)| self.place(place)).collect();
                match (sources.pop(), sources.is_empty()) {
                    (Some(only), true) => only,
                    (Some(last), false) => {
                        sources.push(last);
                        Source::FirstOf(sources)
                    }
                    (None, _) => Source::Nothing,
                }
            }
            Some(SourceDef::Template(text)) => Source::Template(self.template(text, Place::Plain)?),
            Some(SourceDef::Expression(expression)) => Source::Expression(self.bound(expression)),
            Some(SourceDef::Each(list, item)) => {
                let list = self.place(list).unwrap_or(Source::Nothing);
                self.items.push(ItemPaths::default());
                let origin = self.origin(item, &item.at);
                let item = self.field("", origin, item, None, None);
                self.items.pop();
                Source::Each(Box::new(Each::new(list, item?)))
            }
            Some(SourceDef::Merge(values)) => {
                let fields = values.iter().map(|value| {
                    let origin = self.origin(value, &value.at);
                    self.field("", origin, value, None, None)
                });
                Source::Merge(fields.collect::<Option<_>>()?)
            }
            Some(SourceDef::Object(fields)) => {
                let fields = fields.iter().map(|field| {
                    let origin = self.origin(&field.value, &field.key_at);
                    self.field(&field.key, origin, &field.value, None, None)
                });
                Source::Object(fields.collect::<Option<_>>()?)
            }
            Some(SourceDef::List(values)) => {
                let fields =
                    values.iter().map(|value| self.field("", self.origin(value, &value.at), value, None, None));
                Source::List(fields.collect::<Option<_>>()?)
            }
        })
    }

    /// Where a path leads; `None` for an optional setting that is not given.
    fn place(&mut self, place: &Reference) -> Option<Source> {
        Some(match place {
            Reference::Event(path) => match self.sight.of(path) {
                Seen::All => Source::Event(self.slot(path)),
                Seen::Nothing => return None,
                Seen::Part(narrow) => Source::Narrowed(Box::new(Source::Event(self.slot(path))), narrow),
            },
            Reference::Item(path) => Source::Item(self.item(path)),
            Reference::Nonce => Source::Nonce,
            Reference::Visitor => Source::Visitor,
            Reference::Setting(name) => match self.settings.get(name)? {
                SettingValue::Text(text) | SettingValue::Url(text) => Source::Constant(json_text(text).into()),
                SettingValue::Json(json) => Source::Constant(json.as_str().into()),
                SettingValue::Secret(secret) => Source::Template(Template(vec![Piece::Secret(secret.clone())])),
            },
        })
    }

    fn slot(&mut self, path: &Path) -> Slot {
        self.paths.slot(path)
    }

    fn item(&mut self, path: &Path) -> Slot {
        if self.items.is_empty() {
            self.items.push(ItemPaths::default());
        }
        let last = self.items.len() - 1;
        self.items[last].slot(path)
    }

    fn condition(&mut self, when: Option<&ExprDef>) -> Option<Expression> {
        when.map(|when| self.bound(when))
    }

    fn bound(&mut self, expression: &ExprDef) -> Expression {
        let mut references = expression.references.iter();
        expression.parsed.bind(|_| match references.next() {
            Some((Reference::Event(path), at)) => match self.sight.of(path) {
                Seen::All => Bound::Event(self.slot(path)),
                Seen::Nothing => Bound::Nothing,
                Seen::Part(_) => {
                    self.unseen(path, at);
                    Bound::Nothing
                }
            },
            Some((Reference::Item(path), _)) => Bound::Item(self.item(path)),
            Some((Reference::Setting(name), at)) => match self.settings.get(name) {
                Some(SettingValue::Text(text) | SettingValue::Url(text)) => Bound::Constant(json_text(text).into()),
                Some(SettingValue::Json(json)) => Bound::Constant(json.as_str().into()),
                Some(SettingValue::Secret(_)) => {
                    let problem = Problem::new(Code::BadValue, at.clone(), "a secret cannot stand in an expression");
                    self.report.add(problem.expect("what a condition compares is shown in logs"));
                    Bound::Nothing
                }
                None => Bound::Nothing,
            },
            Some((Reference::Nonce | Reference::Visitor, _)) | None => Bound::Nothing,
        })
    }

    /// Reports a place of which the filters take something away, where all of it is needed.
    fn unseen(&mut self, path: &Path, at: &At) {
        let message = format!("the destination's filters keep `{path}` from it, or a part of it");
        let problem = Problem::new(Code::Conflict, at.clone(), message);
        self.report.add(problem.expect("name a place that it sees, or change its `filters`"));
    }
}

//! What each field of an item was made from.
//!
//! For people, and slow: rendering stays as it is, and what it did is found out afterwards by asking the same functions
//! again, source by source. A second way of reading a plan would sooner or later tell another story than the first; and to
//! keep notes while rendering would cost every event what one in a million is asked for.

use std::borrow::Cow;
use std::sync::Arc;

use anole_event::State;

use crate::detail::Named;
use crate::render::Scope;
use crate::resolve::Visitor;
use crate::value::Got;
use crate::{Action, Each, Field, LanePlan, Made, Origin, Piece, SendPlan, Shape, Source, Template, Values, object};

/// A field of an item, and what its value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its key, or its number in a list, counted from 0.
    pub key: Box<str>,
    /// Its value as it is sent, JSON; `None` when it is left out.
    pub value: Option<String>,
    /// What is wrong with it, when it is why the send was parked.
    pub trouble: Option<String>,
    /// What gave the value.
    pub taken: Taken,
    /// Where that is written.
    pub origin: Origin,
    /// The fields of an object, or the entries of a list.
    pub parts: Vec<Self>,
}

/// What gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Taken {
    /// Nothing: the field has no source, or none of them held anything.
    Nothing,
    /// A constant of the file.
    Constant,
    /// A setting of the destination.
    Setting(Arc<str>),
    /// A place in the event, or in the element of a list.
    Event(Arc<str>),
    /// A template over these places in the event.
    Template(Vec<Arc<str>>),
    /// An expression over these places in the event.
    Expression(Vec<Arc<str>>),
    /// The elements of a list at this place in the event.
    Each(Vec<Arc<str>>),
    /// The nonce of the send.
    Nonce,
    /// The resolved visitor; the place in the event that gave it.
    Visitor(Arc<str>),
    /// The field's default.
    Default,
    /// It was put together, from its parts when it has some.
    Made,
}

// === impl LanePlan ===

impl LanePlan {
    /// What each field of a send was made from, in the order in which they are sent; of a send that ended without a request
    /// too. Empty when no rule made a send.
    #[must_use]
    pub fn explain(&self, made: &Made, values: &Values) -> Vec<Explained> {
        let (ordinal, rule, code, rung) = match made {
            Made::Send(send) => (send.ordinal, &send.rule, &send.visitor_code, &send.rung),
            // Whoever was kept back by a condition or a filter was not rendered.
            Made::Ended(ended) if ended.outcome.state != State::Parked => return Vec::new(),
            Made::Ended(ended) => (ended.ordinal, &ended.rule, &ended.visitor_code, &ended.rung),
        };
        let Some(rule) = self.rules.all().iter().find(|known| known.name == *rule) else { return Vec::new() };
        let Action::Send(sends) = &rule.action else { return Vec::new() };
        let Some(send) = sends.get(usize::from(ordinal)) else { return Vec::new() };
        let account = self.account.as_deref().unwrap_or_default();
        let nonce =
            send.uses_nonce.then(|| self.nonce.nonce(account, values.message_id(), &rule.name, ordinal).into_owned());
        let visitor = code.as_deref().zip(rung.as_ref()).map(|(code, rung)| Visitor {
            code: Cow::Borrowed(code),
            rung: Arc::clone(rung),
            fallback: false,
        });
        let scope = Scope { values, nonce: nonce.as_deref(), visitor: visitor.as_ref(), item: None };
        scope.explained(&send.fields, "")
    }

    /// The same plan with a mask in place of every secret of its payloads: what is made by it may be shown. Addresses and
    /// credentials stay, as they are masked by those who show them.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut masked = self.clone();
        masked.rules = self.rules.mapped(SendPlan::masked);
        masked
    }
}

// === impl Scope ===

impl<'v> Scope<'v> {
    fn explained(self, fields: &'v [Field], above: &str) -> Vec<Explained> {
        let mut explained: Vec<Explained> = Vec::new();
        let mut entries = 0_usize;
        for field in fields {
            let named = Named { field, above };
            let (value, trouble) = match self.field(named, field) {
                Ok(value) => (value.map(|value| written(&value)), None),
                Err(trouble) => (None, Some(trouble.detail)),
            };
            let is_entry = field.key.is_empty();
            if is_entry && value.is_none() && trouble.is_none() {
                continue;
            }
            let key = if is_entry { entries.to_string().into() } else { field.key.clone() };
            entries += 1;
            let parts = self.parts(&field.source, named);
            let origin = field.origin.clone();
            explained.push(Explained { key, value, trouble, taken: self.taken(field, named), origin, parts });
        }
        explained
    }

    fn parts(self, source: &'v Source, named: Named<'_>) -> Vec<Explained> {
        match source {
            Source::Object(fields) | Source::List(fields) | Source::Merge(fields) => {
                self.explained(fields, &named.full())
            }
            Source::Each(each) => self.elements(each, named),
            _ => Vec::new(),
        }
    }

    /// What was made of each element of a list.
    fn elements(self, each: &'v Each, named: Named<'_>) -> Vec<Explained> {
        let Ok(Some((list, _))) = self.source(&each.list, &Shape::default(), named) else { return Vec::new() };
        let raw = list.raw();
        let elements = object::elements(&raw).unwrap_or_else(|| vec![&*raw]);
        let mut explained: Vec<Explained> = Vec::new();
        for element in elements {
            let Some(values) = each.trie.element(element) else { continue };
            let scope = Scope { item: Some(&values), ..self };
            let mut made = scope.explained(std::slice::from_ref(&each.item), &named.full());
            for entry in &mut made {
                entry.key = explained.len().to_string().into();
            }
            explained.extend(made);
        }
        explained
    }

    /// Which source gave the value.
    fn taken(self, field: &'v Field, named: Named<'_>) -> Taken {
        let alone = std::slice::from_ref(&field.source);
        let sources = if let Source::FirstOf(sources) = &field.source { sources.as_slice() } else { alone };
        for (place, source) in sources.iter().enumerate() {
            let value = match self.source(source, &field.shape, named) {
                Ok(None) => continue,
                Ok(Some((value, _))) => value,
                // It is why the send was parked.
                Err(_) => return self.named(field, place, source),
            };
            if matches!(value.shaped(&field.shape, field.check.kind), Ok(None)) {
                // Nothing was left of it, and rendering looks no further.
                break;
            }
            return self.named(field, place, source);
        }
        if field.shape.default.is_some() { Taken::Default } else { Taken::Nothing }
    }

    fn named(self, field: &Field, place: usize, source: &Source) -> Taken {
        if let Some(name) = field.origin.setting(place) {
            return Taken::Setting(Arc::clone(name));
        }
        match source {
            Source::Nothing => Taken::Nothing,
            Source::Constant(_) => Taken::Constant,
            Source::Event(slot) => Taken::Event(Arc::clone(slot.text())),
            Source::Template(_) => Taken::Template(texts(source)),
            Source::Item(slot) => Taken::Event(Arc::clone(slot.text())),
            Source::Narrowed(within, _) => self.named(field, place, within),
            Source::Expression(_) => Taken::Expression(texts(source)),
            Source::Each(_) => Taken::Each(texts(source)),
            Source::Nonce => Taken::Nonce,
            Source::Visitor => self.visitor.map_or(Taken::Nothing, |visitor| Taken::Visitor(Arc::clone(&visitor.rung))),
            _ => Taken::Made,
        }
    }
}

fn texts(source: &Source) -> Vec<Arc<str>> {
    source.places().into_iter().map(|slot| Arc::clone(slot.text())).collect()
}

fn written(value: &Got<'_>) -> String {
    let mut out = Vec::new();
    value.write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

// === impl SendPlan ===

impl SendPlan {
    fn masked(&self) -> Self {
        Self { fields: self.fields.iter().map(Field::masked).collect(), ..self.clone() }
    }
}

// === impl Field ===

impl Field {
    fn masked(&self) -> Self {
        Self { source: self.source.masked(), ..self.clone() }
    }
}

// === impl Source ===

impl Source {
    fn masked(&self) -> Self {
        match self {
            Self::FirstOf(sources) => Self::FirstOf(sources.iter().map(Self::masked).collect()),
            Self::Object(fields) => Self::Object(fields.iter().map(Field::masked).collect()),
            Self::List(fields) => Self::List(fields.iter().map(Field::masked).collect()),
            Self::Merge(fields) => Self::Merge(fields.iter().map(Field::masked).collect()),
            Self::Each(each) => Self::Each(Box::new(Each::new(each.list.masked(), each.item.masked()))),
            Self::Narrowed(source, narrow) => Self::Narrowed(Box::new(source.masked()), narrow.clone()),
            Self::Template(template) => Self::Template(template.masked()),
            other => other.clone(),
        }
    }
}

// === impl Template ===

impl Template {
    fn masked(&self) -> Self {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Secret(_) => Piece::Text(crate::Secret::MASK.into()),
            open => open.clone(),
        });
        Self(pieces.collect())
    }
}

//! Applying a plan to an event. A pure function of the plan, the head and the values.

use std::borrow::Cow;
use std::sync::Arc;

use anole_event::{Head, Marks, Outcome, Reason, State};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use smallvec::smallvec;

use crate::address::Filled;
use crate::detail::{Trouble, called};
use crate::lane::Destined;
use crate::render::Scope;
use crate::resolve::Visitor;
use crate::{
    Action, Address, Applied, Call, Ended, Expression, LanePlan, Made, Piece, Rule, Secret, Send, SendPlan, Template,
    Values,
};

/// What is encoded in a value that is put into a URL: all but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

// === impl LanePlan ===

impl LanePlan {
    /// What this lane makes of an event of its pipeline.
    #[must_use]
    pub fn apply(&self, head: &Head<'_>, values: &Values) -> Applied {
        if !self.enabled {
            return filtered("".into(), Reason::Disabled);
        }
        let scope = Scope { values, nonce: None, visitor: None, item: None };
        if let Some(outcome) = unmet(self.when.as_ref(), scope, "destination") {
            return ended("".into(), outcome);
        }
        if let Some(reason) = self.filters.keeps_back(head, values) {
            return filtered("".into(), reason);
        }
        let Some(rule) = self.rules.find(head) else { return filtered("".into(), Reason::Unmapped) };
        let sends = match &rule.action {
            Action::Off => return filtered(Arc::clone(&rule.name), Reason::Off),
            Action::Send(sends) => sends,
        };
        if let Some(outcome) = self.gate.as_ref().and_then(|gate| gate.shut(&rule.name, values)) {
            return ended(Arc::clone(&rule.name), outcome);
        }
        if let Some(outcome) = unmet(rule.when.as_ref(), scope, "rule") {
            return ended(Arc::clone(&rule.name), outcome);
        }
        let visitor = match &self.resolve {
            Some(resolve) if sends.iter().any(|send| send.uses_visitor) => resolve.visitor(values),
            _ => None,
        };
        let ordinals = 0_u16..=u16::MAX;
        let made = sends.iter().zip(ordinals).map(|(send, ordinal)| {
            if let Some(outcome) = unmet(send.when.as_ref(), scope, "send") {
                return Made::Ended(Ended {
                    ordinal,
                    rule: Arc::clone(&rule.name),
                    visitor_code: None,
                    rung: None,
                    outcome,
                });
            }
            let visitor = if send.uses_visitor { visitor.as_ref() } else { None };
            self.make(rule, send, ordinal, values, visitor)
        });
        Applied::Made(made.collect())
    }

    fn make(&self, rule: &Rule, send: &SendPlan, ordinal: u16, values: &Values, visitor: Option<&Visitor<'_>>) -> Made {
        let nonce = send.uses_nonce.then(|| {
            let account = self.account.as_deref().unwrap_or_default();
            self.nonce.nonce(account, values.message_id(), &rule.name, ordinal)
        });
        let visitor_code = visitor.map(|visitor| Box::from(&*visitor.code));
        let rung = visitor.map(|visitor| Arc::clone(&visitor.rung));
        let scope = Scope { values, nonce: nonce.as_deref(), visitor, item: None };
        match self.rendered(send, scope) {
            Ok((item, address)) => {
                let fallback = visitor.is_some_and(|visitor| visitor.fallback);
                Made::Send(Send {
                    ordinal,
                    rule: Arc::clone(&rule.name),
                    address,
                    item,
                    nonce: nonce.as_deref().map(Box::from),
                    visitor_code,
                    rung,
                    marks: if fallback { Marks::FALLBACK_VISITOR } else { Marks::NONE },
                    hint: self.resolve.as_ref().filter(|_| fallback).and_then(|resolve| resolve.hint.clone()),
                    expires: send.expires,
                })
            }
            Err(trouble) => Made::Ended(Ended {
                ordinal,
                rule: Arc::clone(&rule.name),
                visitor_code,
                rung,
                outcome: Outcome::new(State::Parked, trouble.reason).with_detail(trouble.detail),
            }),
        }
    }

    fn rendered(&self, send: &SendPlan, scope: Scope<'_>) -> Result<(Bytes, Arc<Address>), Trouble> {
        if send.uses_visitor && scope.visitor.is_none() {
            let nobody = self
                .resolve
                .as_ref()
                .map_or_else(|| "the blueprint resolves no visitor".into(), crate::Resolve::nobody);
            return Err(Trouble::new(Reason::NoVisitor, nobody));
        }
        let item = scope.item(send)?;
        let address = match &self.calls[send.request] {
            Destined::Fixed(address) => Arc::clone(address),
            Destined::PerEvent { call, credentials } => self.address(send.request, call, *credentials, scope)?,
        };
        Ok((item, address))
    }

    fn address(&self, at: usize, call: &Call, credentials: u64, scope: Scope<'_>) -> Result<Arc<Address>, Trouble> {
        let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let (url, masked_url) = filled(&call.url, "address", scope, &encode)?;
        let mut headers = Vec::with_capacity(call.headers.len());
        for (name, value) in &call.headers {
            let (value, _) = filled(value, name, scope, &|text| text.to_owned())?;
            headers.push((Arc::clone(name), value.into()));
        }
        let all = Filled { url, masked_url, headers };
        let address = Address::new(at, &call.method, all, self.account.as_ref(), credentials);
        address.map(Arc::new).map_err(|error| Trouble::new(Reason::Mapping, error.to_string()))
    }
}

fn filtered(rule: Arc<str>, reason: Reason) -> Applied {
    ended(rule, Outcome::new(State::Filtered, reason))
}

/// How an event ends whose condition does not hold. One that fails is told apart: it may hide a mistake.
fn unmet(when: Option<&Expression>, scope: Scope<'_>, whose: &str) -> Option<Outcome> {
    let when = when?;
    let source = when.source();
    match when.holds(scope) {
        Ok(true) => None,
        Ok(false) => {
            let detail = format!("the condition of the {whose} does not hold: {source}");
            Some(Outcome::new(State::Filtered, Reason::Condition).with_detail(detail))
        }
        Err(why) => {
            let detail = format!("the condition of the {whose} fails, which counts as false: {why}, in {source}");
            Some(Outcome::new(State::Filtered, Reason::ConditionFailed).with_detail(detail))
        }
    }
}

fn ended(rule: Arc<str>, outcome: Outcome) -> Applied {
    Applied::Made(smallvec![Made::Ended(Ended { ordinal: 0, rule, visitor_code: None, rung: None, outcome })])
}

/// Fills an address' text in; gives it twice, its secrets revealed and masked.
fn filled(
    template: &Template,
    name: &str,
    scope: Scope<'_>,
    encode: &dyn Fn(&str) -> String,
) -> Result<(String, String), Trouble> {
    let (mut text, mut masked) = (String::new(), String::new());
    for piece in &template.0 {
        let value = scope.piece(piece).map_err(|place| {
            Trouble::new(
                Reason::Mapping,
                format!("the {name} of the request needs {}, which is no text", called(place)),
            )
        })?;
        let value = value.ok_or_else(|| {
            let place = if let Piece::Event(slot) = piece { called(slot) } else { "a value".to_owned() };
            Trouble::new(
                Reason::MissingField,
                format!("the {name} of the request needs {place}, which is missing: send it"),
            )
        })?;
        let (open, shown): (Cow<'_, str>, Cow<'_, str>) = match piece {
            Piece::Text(_) => (value.clone(), value),
            Piece::Secret(_) => (value, Cow::Borrowed(Secret::MASK)),
            Piece::Event(_) | Piece::Item(_) | Piece::Nonce | Piece::Visitor => {
                let encoded = encode(&value);
                (Cow::Owned(encoded.clone()), Cow::Owned(encoded))
            }
        };
        text.push_str(&open);
        masked.push_str(&shown);
    }
    Ok((text, masked))
}

//! Who the vendor takes the visitor for.

use std::borrow::Cow;
use std::sync::Arc;

use crate::read::scalar;
use crate::{Clean, Slot, Values};

/// The ladder to the visitor code: the first rung that gives a clean value holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resolve {
    /// The rungs, best first.
    pub first_of: Vec<Slot>,
    /// How a rung's value is cleaned. One that does not survive is passed over.
    pub clean: Clean,
    /// What happens when no rung holds.
    pub otherwise: Otherwise,
    /// What a person should know when no rung holds: how to get a good visitor code.
    pub hint: Option<Arc<str>>,
}

/// What happens when no rung holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Otherwise {
    /// The send is parked.
    Park,
    /// This value is sent, cleaned like the others, and the send is marked `fallback_visitor`.
    Fallback(Slot),
}

/// A visitor that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visitor<'v> {
    pub(crate) code: Cow<'v, str>,
    pub(crate) rung: Arc<str>,
    pub(crate) fallback: bool,
}

// === impl Resolve ===

impl Resolve {
    pub(crate) fn visitor<'v>(&self, values: &'v Values) -> Option<Visitor<'v>> {
        let found = |slot: &Slot, fallback| {
            let code = self.cleaned(values.get(slot)?)?;
            Some(Visitor { code, rung: Arc::clone(slot.text()), fallback })
        };
        self.first_of.iter().find_map(|slot| found(slot, false)).or_else(|| match &self.otherwise {
            Otherwise::Park => None,
            Otherwise::Fallback(slot) => found(slot, true),
        })
    }

    fn cleaned<'v>(&self, raw: &'v str) -> Option<Cow<'v, str>> {
        match scalar(raw)? {
            Cow::Borrowed(text) => self.clean.clean(text),
            Cow::Owned(text) => self.clean.clean(&text).map(|code| Cow::Owned(code.into_owned())),
        }
    }

    /// What to tell when nobody was found.
    pub(crate) fn nobody(&self) -> String {
        let mut places: Vec<&str> = self.first_of.iter().map(|slot| &**slot.text()).collect();
        if let Otherwise::Fallback(slot) = &self.otherwise {
            places.push(slot.text());
        }
        let looked = format!("no usable visitor code in {}", places.join(", "));
        match &self.hint {
            Some(hint) => format!("{looked}: {hint}"),
            None => looked,
        }
    }
}

//! Texts with places to be filled in.

use std::sync::Arc;

use crate::{Secret, Slot};

/// A text with places to be filled in. Settings are filled in when the plan is made, the rest for each event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template(pub Vec<Piece>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// As it is.
    Text(Arc<str>),
    /// A secret, as it is; shown masked.
    Secret(Secret),
    /// A value of the event.
    Event(Slot),
    /// A value of the list's element.
    Item(Slot),
    /// The nonce.
    Nonce,
    /// The resolved visitor code.
    Visitor,
}

// === impl Template ===

impl Template {
    /// A text without places.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    /// Whether it is the same for all events.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Text(_) | Piece::Secret(_)))
    }

    pub(crate) fn secrets<'t>(&'t self, secrets: &mut Vec<&'t Secret>) {
        secrets.extend(self.0.iter().filter_map(|piece| match piece {
            Piece::Secret(secret) => Some(secret),
            _ => None,
        }));
    }

    /// The text of a fixed template, its secrets revealed or masked.
    pub(crate) fn fixed(&self, reveal: bool) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Secret(secret) if reveal => secret.reveal(),
            Piece::Secret(_) => Secret::MASK,
            Piece::Event(_) | Piece::Item(_) | Piece::Nonce | Piece::Visitor => "",
        });
        pieces.collect()
    }
}

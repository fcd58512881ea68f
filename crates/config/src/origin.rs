//! Where a field was written, for people who ask what a value came from.

use std::sync::Arc;

use anole_pipeline::Origin;

use crate::compile::Compiler;
use crate::filter::Seen;
use crate::reference::Reference;
use crate::source::At;
use crate::value::{SourceDef, ValueDef};

// === impl Compiler ===

impl Compiler<'_> {
    /// Where a field's source is written: at its key, but for a source that came from another file, as when a pipeline only
    /// shapes what a preset set.
    pub(crate) fn origin(&self, value: &ValueDef, key: &At) -> Origin {
        let source = match &value.source {
            Some(SourceDef::Places(places)) => places.first().map(|(_, at)| at),
            Some(SourceDef::Template(text)) => Some(&text.at),
            _ => None,
        };
        let mut settings = Vec::new();
        if let Some(SourceDef::Places(places)) = &value.source {
            // Settings that are not given, and places that the destination does not see, are no sources.
            let given = places.iter().filter(|(place, _)| match place {
                Reference::Setting(name) => self.settings.get(name).is_some(),
                Reference::Event(path) => !matches!(self.sight.of(path), Seen::Nothing),
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
}

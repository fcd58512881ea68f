//! Where a field was written, for people who ask what a value came from.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The place in a file where a field's source was written. Two fields that differ in it alone are the same field: a plan's
/// hash says what is sent, and a line that moved sends nothing else.
#[derive(Clone, Debug, Default)]
pub struct Origin(Option<Arc<Written>>);

#[derive(Debug)]
struct Written {
    file: Box<str>,
    line: usize,
    settings: Box<[(usize, Arc<str>)]>,
}

// === impl Origin ===

impl Origin {
    /// A line, counted from 1, of a file as a person knows it. `settings` says which of the field's sources were settings,
    /// by their place among them and by name: a plan holds nothing but their values.
    #[must_use]
    pub fn new(file: &str, line: usize, settings: Vec<(usize, Arc<str>)>) -> Self {
        Self(Some(Arc::new(Written { file: file.into(), line, settings: settings.into() })))
    }

    /// The file; `None` for a field that was not read from one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.0.as_ref().map(|written| &*written.file)
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.0.as_ref().map(|written| written.line)
    }

    /// The setting that stood at this place among the field's sources.
    pub(crate) fn setting(&self, place: usize) -> Option<&Arc<str>> {
        let settings = &self.0.as_ref()?.settings;
        settings.iter().find(|(known, _)| *known == place).map(|(_, name)| name)
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

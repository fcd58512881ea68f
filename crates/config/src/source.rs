//! Files as they were read, and places in them.

use std::path::PathBuf;
use std::sync::Arc;

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name, as a person knows it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// The folder to which paths in it are relative.
    pub(crate) folder: PathBuf,
}

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A place in a file. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) source: Arc<Source>,
    pub(crate) span: Span,
}

// === impl Source ===

impl Source {
    /// Line and column of a byte, both counted from 1, the column in characters.
    pub(crate) fn line_column(&self, byte: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(byte)];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// The span of the first line, or of nothing in an empty file: where to point when something is missing altogether.
    pub(crate) fn top(&self) -> Span {
        Span { start: 0, end: self.text.find('\n').unwrap_or(self.text.len()) }
    }
}

// === impl Span ===

impl Span {
    /// The part of this place that is written so; the whole place when it is not found there, as in a text with escapes.
    pub(crate) fn part(self, text: &str, part: &str) -> Self {
        let found = text.get(self.start..self.end).and_then(|whole| whole.find(part)).filter(|_| !part.is_empty());
        found.map_or(self, |at| Self { start: self.start + at, end: self.start + at + part.len() })
    }
}

// === impl At ===

impl At {
    pub(crate) fn new(source: &Arc<Source>, span: Span) -> Self {
        Self { source: Arc::clone(source), span }
    }

    /// The part of this place that is written so.
    pub(crate) fn part(&self, part: &str) -> Self {
        Self::new(&self.source, self.span.part(&self.source.text, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let source = Source { name: String::new(), text: "é: 1\nbb: 2".to_owned(), folder: PathBuf::new() };
        assert_eq!(source.line_column(0), (1, 1));
        assert_eq!(source.line_column(2), (1, 2));
        assert_eq!(source.line_column(6), (2, 1));
        assert_eq!(source.line_column(1000), (2, 6));
        assert_eq!(source.top(), Span { start: 0, end: 5 });
    }
}

//! One page.

use crate::block::{Block, Inline, blocks, inlines};
use crate::place::Place;

/// The page of a code.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    code: &'static str,
    text: &'static str,
}

// === impl Page ===

impl Page {
    pub(crate) const fn new(code: &'static str, text: &'static str) -> Self {
        Self { code, text }
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The page as Markdown.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// Where the code is told: the first is the group that it stands in.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        self.nouns().filter_map(Place::from_noun).collect()
    }

    /// What stands in the line of the places.
    pub(crate) fn nouns(&self) -> impl Iterator<Item = &'static str> {
        let line = self.text.lines().nth(2).unwrap_or_default();
        line.trim_matches('*').split("; ")
    }

    /// What it means, in a paragraph.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.blocks().into_iter().next() {
            Some(Block::Paragraph(summary)) => summary,
            _ => String::new(),
        }
    }

    /// The first sentence of that: what a list of codes has room for.
    #[must_use]
    pub fn line(&self) -> String {
        let summary = self.summary();
        summary.split_once(". ").map_or(summary.clone(), |(first, _)| format!("{first}."))
    }

    /// All that stands below the places.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let head: usize = self.text.split_inclusive('\n').take(3).map(str::len).sum();
        blocks(&self.text[head..])
    }

    /// What stands under a heading; nothing where there is no such heading.
    #[must_use]
    pub fn section(&self, heading: &str) -> Vec<Block> {
        let mut blocks = self.blocks().into_iter();
        let is_it = |block: &Block| matches!(block, Block::Heading(text) if text == heading);
        if !blocks.by_ref().any(|block| is_it(&block)) {
            return Vec::new();
        }
        blocks.take_while(|block| !matches!(block, Block::Heading(_))).collect()
    }

    /// The codes that it points to at its end.
    #[must_use]
    pub fn related(&self) -> Vec<String> {
        let mut codes = Vec::new();
        for block in self.section("See also") {
            let Block::Paragraph(line) = block else { continue };
            codes.extend(inlines(&line).into_iter().filter_map(|piece| match piece {
                Inline::Link(_, target) => {
                    target.strip_suffix(".md").filter(|code| !code.contains('/')).map(str::to_owned)
                }
                Inline::Text(_) | Inline::Code(_) => None,
            }));
        }
        codes
    }
}

//! The index of the manual: all codes by where they are told.

use std::fmt::Write;

use crate::pages::all;
use crate::place::Place;

/// The text of `docs/codes.md`.
#[must_use]
pub fn index() -> String {
    let mut text = String::from(
        "# Codes\n\nWhatever can go wrong or end otherwise than you think has a code: a word that stays the same, so that programs, alerts \
         and\nyou can go by it. `anole explain CODE` prints its page, in the console codes lead to theirs, and they all stand here.\n\
         \n<!-- Generated from the pages: UPDATE_CODES=1 cargo test -p anole-codes -->\n",
    );
    for place in Place::ALL {
        // Writing into a text does not fail.
        let _done = write!(text, "\n## {}\n\n{}\n\n| code | |\n|---|---|\n", place.noun(), place.met());
        for page in all().iter().filter(|page| page.places().contains(place)) {
            let line = page.line().replace('|', "\\|");
            let _done = writeln!(text, "| [`{0}`](codes/{0}.md) | {line} |", page.code());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::block::Block;
    use crate::page;

    /// The sections that every page has, in this order.
    const SECTIONS: [&str; 5] = ["Why it happens", "What anole did", "What to do", "Example", "See also"];

    fn docs() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
    }

    fn hold(name: &str, fresh: &str) {
        let path = docs().join(name);
        if std::env::var_os("UPDATE_CODES").is_some() {
            std::fs::write(&path, fresh).expect("it can be written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == fresh, "docs/{name} is not what the pages make it: UPDATE_CODES=1 cargo test -p anole-codes");
    }

    #[test]
    fn the_index_is_made_from_the_pages() {
        hold("codes.md", &index());
    }

    #[test]
    fn the_summary_of_the_book_lists_every_page() {
        let summary = std::fs::read_to_string(docs().join("SUMMARY.md")).expect("it is there");
        let (before, rest) = summary.split_once("- [Codes](codes.md)\n").expect("the codes have their line");
        let after: String = rest.split_inclusive('\n').skip_while(|line| line.starts_with("  - ")).collect();
        let pages: String = all().iter().map(|page| format!("  - [{0}](codes/{0}.md)\n", page.code())).collect();
        hold("SUMMARY.md", &format!("{before}- [Codes](codes.md)\n{pages}{after}"));
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let files: BTreeSet<String> = std::fs::read_dir(docs().join("codes"))
            .expect("it is there")
            .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
            .collect();
        let embedded: BTreeSet<String> = all().iter().map(|page| format!("{}.md", page.code())).collect();
        assert_eq!(files, embedded);
    }

    #[test]
    fn every_page_has_the_form_that_readers_and_programs_rely_on() {
        for page in all() {
            let code = page.code();
            assert!(page.text().starts_with(&format!("# {code}\n\n*")), "{code}: title and place");
            assert_eq!(page.nouns().count(), page.places().len(), "{code}: {:?}", page.nouns().collect::<Vec<_>>());
            assert!(page.summary().len() >= 25, "{code}: what it means");
            let headings = page.blocks().into_iter().filter_map(|block| match block {
                Block::Heading(heading) => Some(heading),
                _ => None,
            });
            assert_eq!(headings.collect::<Vec<_>>(), SECTIONS, "{code}");
            for section in SECTIONS {
                assert!(!page.section(section).is_empty(), "{code}: nothing stands under `{section}`");
            }
            assert!(matches!(page.section("Example")[..], [Block::Code(_)]), "{code}: the example is what is seen");
            assert!(page.text().lines().all(|line| line.chars().count() <= 180), "{code}: a line is too long");
        }
    }

    #[test]
    fn pages_point_to_pages_that_are_there() {
        for one in all() {
            assert!(!one.related().is_empty(), "{} points nowhere", one.code());
            for code in one.related() {
                assert!(page(&code).is_some(), "{} points to {code}, which is not there", one.code());
                assert_ne!(code, one.code());
            }
            for target in one.text().split("](../").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                assert!(docs().join(target).exists(), "{} points to docs/{target}", one.code());
            }
        }
    }
}

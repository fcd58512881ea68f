//! `anole explain`: the page of a code, or the list of all.

use anole_codes::{Block, Inline, Page, Place, all, inlines, page};
use serde_json::{Value, json};

use crate::cli::Explain;
use crate::failure::Failure;
use crate::output::{Output, Tone};

#[cfg(test)]
mod tests;

/// How wide pages are printed: what reads well, and fits beside something else.
const WIDTH: usize = 96;
/// How many names are suggested at most.
const SUGGESTED: usize = 5;

pub(crate) fn run(explain: &Explain, output: Output) -> Result<(), Failure> {
    let Some(code) = &explain.code else {
        list(output);
        return Ok(());
    };
    let Some(page) = page(code) else { return Err(unknown(code)) };
    if output.json {
        output.value(&shown(&page));
    } else {
        print(&page, output);
    }
    Ok(())
}

/// Names that are like the one that was typed, and such as contain it: `404` is in `kameleoon_404`.
fn unknown(code: &str) -> Failure {
    let codes = || all().iter().map(Page::code);
    let holds = |known: &&str| !code.is_empty() && known.contains(&code.to_lowercase());
    let mut suggested: Vec<&str> = anole_config::near(code, codes());
    for known in codes().filter(holds) {
        if !suggested.contains(&known) {
            suggested.push(known);
        }
    }
    suggested.truncate(SUGGESTED);
    let meant = match suggested[..] {
        [] => String::new(),
        _ => format!("; did you mean {}?", suggested.join(", ")),
    };
    Failure::Wrong(format!(
        "anole: there is no code `{}`{meant}\n`anole explain` lists all codes",
        crate::output::tame(code)
    ))
}

fn list(output: Output) {
    if output.json {
        for page in all() {
            output.value(&json!({ "code": page.code(), "places": nouns(page), "meaning": page.line() }));
        }
        return;
    }
    let width = all().iter().map(|page| page.code().len()).max().unwrap_or_default();
    for place in Place::ALL {
        output.line(&output.paint(Tone::Strong, place.noun()));
        for page in all().iter().filter(|page| page.places().contains(place)) {
            output.line(&format!("  {:width$}  {}", page.code(), plain(&page.line())));
        }
        output.line("");
    }
    output.talk("`anole explain CODE` says why it happens and what to do");
}

fn nouns(page: &Page) -> Vec<&'static str> {
    page.places().into_iter().map(Place::noun).collect()
}

fn shown(page: &Page) -> Value {
    let section = |heading: &str| text(&page.section(heading));
    json!({
        "code": page.code(),
        "places": nouns(page),
        "meaning": plain(&page.summary()),
        "why": section("Why it happens"),
        "did": section("What anole did"),
        "to_do": section("What to do"),
        "example": section("Example"),
        "see_also": page.related(),
    })
}

/// Blocks as plain text, paragraphs apart.
fn text(blocks: &[Block]) -> String {
    let texts = blocks.iter().map(|block| match block {
        Block::Heading(text) | Block::Paragraph(text) => plain(text),
        Block::List(items) => items.iter().map(|item| format!("- {}", plain(item))).collect::<Vec<_>>().join("\n"),
        Block::Code(code) => code.clone(),
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

fn print(page: &Page, output: Output) {
    output.line(&output.paint(Tone::Strong, page.code()));
    output.line(&output.paint(Tone::Soft, &nouns(page).join("; ")));
    for block in page.blocks() {
        match block {
            Block::Heading(heading) => {
                output.line("");
                output.line(&output.paint(Tone::Strong, &heading));
            }
            Block::Paragraph(text) => {
                output.line("");
                wrapped(&plain(&text), WIDTH).iter().for_each(|line| output.line(line));
            }
            Block::List(items) => {
                output.line("");
                for item in items {
                    let lines = wrapped(&plain(&item), WIDTH - 2);
                    let bullets = std::iter::once("- ").chain(std::iter::repeat("  "));
                    lines.iter().zip(bullets).for_each(|(line, bullet)| output.line(&format!("{bullet}{line}")));
                }
            }
            Block::Code(code) => {
                output.line("");
                code.lines().for_each(|line| output.line(&format!("    {line}")));
            }
        }
    }
}

/// A line without its marks; code keeps its backticks, as what is typed must be told from what is said.
fn plain(line: &str) -> String {
    let pieces = inlines(line).into_iter().map(|piece| match piece {
        Inline::Text(text) => text.to_owned(),
        Inline::Code(code) => format!("`{code}`"),
        Inline::Link(shown, target) if target.starts_with("../") => {
            let target = target.trim_start_matches("../");
            format!("{shown} (docs/{})", target.split('#').next().unwrap_or(target))
        }
        Inline::Link(shown, _) => shown.trim_matches('`').to_owned(),
    });
    pieces.collect()
}

/// Breaks a text into lines at its blanks.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

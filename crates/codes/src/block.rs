//! The little Markdown that pages are written in: headings, paragraphs, lists, code, and within a line code and links.

/// A piece of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A heading of the second level.
    Heading(String),
    /// A paragraph, its lines joined.
    Paragraph(String),
    /// A list, an item each.
    List(Vec<String>),
    /// Code, as it stands.
    Code(String),
}

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline<'t> {
    /// Text.
    Text(&'t str),
    /// Code.
    Code(&'t str),
    /// A link; the target is the code of another page where it ends in `.md` and has no folder.
    Link(&'t str, &'t str),
}

/// Takes Markdown apart. What is none of the pages' forms is a paragraph.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    let mut open = false;
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let code: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            blocks.push(Block::Code(code.join("\n")));
            open = false;
        } else if let Some(heading) = line.strip_prefix("## ") {
            blocks.push(Block::Heading(heading.to_owned()));
            open = false;
        } else if line.trim().is_empty() {
            open = false;
        } else {
            put(&mut blocks, line, open);
            open = true;
        }
    }
    blocks
}

/// Puts a line of text where it belongs: into the open paragraph or item, or into a new one.
fn put(blocks: &mut Vec<Block>, line: &str, open: bool) {
    if let Some(item) = line.strip_prefix("- ") {
        match blocks.last_mut() {
            Some(Block::List(items)) => items.push(item.to_owned()),
            _ => blocks.push(Block::List(vec![item.to_owned()])),
        }
        return;
    }
    let goes_on = match blocks.last_mut() {
        Some(Block::Paragraph(text)) if open => Some(text),
        Some(Block::List(items)) if open => items.last_mut(),
        _ => None,
    };
    match goes_on {
        Some(text) => {
            text.push(' ');
            text.push_str(line.trim());
        }
        None => blocks.push(Block::Paragraph(line.trim().to_owned())),
    }
}

/// Takes a line apart.
#[must_use]
pub fn inlines(line: &str) -> Vec<Inline<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), line);
    while let Some(at) = rest.find(['`', '[']) {
        let Some((piece, after)) = special(&rest[at..]) else {
            // A lone sign is text, with what stands before it.
            let end = at + 1;
            pieces.push(Inline::Text(&rest[..end]));
            rest = &rest[end..];
            continue;
        };
        if at > 0 {
            pieces.push(Inline::Text(&rest[..at]));
        }
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Inline::Text(rest));
    }
    pieces
}

fn special(text: &str) -> Option<(Inline<'_>, &str)> {
    if let Some(code) = text.strip_prefix('`') {
        let (code, after) = code.split_once('`')?;
        return Some((Inline::Code(code), after));
    }
    let (shown, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (target, after) = rest.split_once(')')?;
    (!shown.contains('[')).then_some((Inline::Link(shown, target), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_apart() {
        let text = "One\nline.\n\n## Head\n\n- an item\n  that goes on\n- another\n\n```\n# code\n\n- x\n```\nEnd.\n";
        let expected = [
            Block::Paragraph("One line.".into()),
            Block::Heading("Head".into()),
            Block::List(vec!["an item that goes on".into(), "another".into()]),
            Block::Code("# code\n\n- x".into()),
            Block::Paragraph("End.".into()),
        ];
        assert_eq!(blocks(text), expected);
    }

    #[test]
    fn code_and_links_are_found_and_lone_signs_are_text() {
        let line = "Say `anole check`, see [this](that.md), or [not] a ` sign.";
        let expected = [
            Inline::Text("Say "),
            Inline::Code("anole check"),
            Inline::Text(", see "),
            Inline::Link("this", "that.md"),
            Inline::Text(", or ["),
            Inline::Text("not] a `"),
            Inline::Text(" sign."),
        ];
        assert_eq!(inlines(line), expected);
    }
}

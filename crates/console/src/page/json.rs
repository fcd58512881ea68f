//! JSON for people: laid out, coloured, and where it is known with what each field was made from.
//!
//! It is laid out token by token and not by a parsed value, so that digits and the order of keys stay as they were sent.

use anole_pipeline::{Explained, Taken};
use maud::{Markup, html};

/// The most bytes that are laid out; more is shown as it is, up to this.
const MOST: usize = 256 * 1024;
/// What an object or a list goes one step in by.
const STEP: &str = "  ";

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Key,
    Text,
    Number,
    Word,
    Sign,
}

type Token = (Kind, String);

/// A text, laid out when it is JSON.
pub(crate) fn shown(text: &str) -> Markup {
    if text.trim().is_empty() {
        return html! { p.none { "empty" } };
    }
    let cut = &text[..text.floor_char_boundary(MOST)];
    let is_json = cut.len() == text.len() && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    html! {
        pre.code tabindex="0" {
            @if is_json {
                @for line in lines(text) { (line_shown(&line)) "\n" }
            } @else { (cut) }
        }
        @if cut.len() < text.len() { p.none { "only the first 256 KiB are shown" } }
    }
}

/// Valid JSON laid out, digits and order as they are.
pub(crate) fn laid_out(text: &str) -> String {
    let joined = |line: &Vec<Token>| line.iter().map(|(_, text)| text.as_str()).collect::<String>();
    lines(text).iter().map(joined).collect::<Vec<_>>().join("\n")
}

/// The item at a place of a JSON list, as it was sent.
pub(crate) fn item(text: &str, at: usize, of: usize) -> Option<String> {
    let items: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(text).ok()?;
    (items.len() == of).then(|| items.get(at).map(|item| item.get().to_owned())).flatten()
}

/// A payload line by line, and beside each field which path and which line of YAML it came from.
pub(crate) fn explained(fields: &[Explained]) -> Markup {
    let mut rows = Vec::new();
    row_group(fields, 1, &mut rows);
    html! {
        div.origins role="table" aria-label="Fields and where they came from" {
            @for (line, from, place) in rows {
                div.row role="row" {
                    code role="cell" { (line) }
                    span.from role="cell" { (from) }
                    span.place role="cell" title=(place) { (short(&place)) }
                }
            }
        }
    }
}

fn row_group(fields: &[Explained], depth: usize, rows: &mut Vec<(Markup, String, String)>) {
    for field in fields {
        let place = match (field.origin.file(), field.origin.line()) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => String::new(),
        };
        let indent = STEP.repeat(depth - 1);
        if field.parts.is_empty() {
            let value = match (&field.value, &field.trouble) {
                (_, Some(trouble)) => html! { em.wrong { (trouble) } },
                (Some(value), None) => html! { @for token in tokens(value) { (token_shown(&token)) } },
                (None, None) => html! { em.none { "left out" } },
            };
            rows.push((html! { (indent) b.k { (field.key) } " " (value) }, from(&field.taken), place));
        } else {
            rows.push((html! { (indent) b.k { (field.key) } }, from(&field.taken), place));
            row_group(&field.parts, depth + 1, rows);
        }
    }
}

/// A place by the last name of its file: the whole one is in the title.
fn short(place: &str) -> String {
    let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
    let file = file.trim_end_matches(" (embedded)");
    let name = file.rsplit('/').next().unwrap_or(file);
    if line.is_empty() { name.to_owned() } else { format!("{name}:{line}") }
}

/// What gave a value, in words.
fn from(taken: &Taken) -> String {
    let over = |what: &str, paths: &[std::sync::Arc<str>]| match paths {
        [] => what.to_owned(),
        paths => format!("{what} over {}", paths.join(", ")),
    };
    match taken {
        Taken::Nothing => "nothing gave it".to_owned(),
        Taken::Constant => "a constant".to_owned(),
        Taken::Setting(name) => format!("settings.{name}"),
        Taken::Event(path) => path.to_string(),
        Taken::Template(paths) => over("a template", paths),
        Taken::Expression(paths) => over("an expression", paths),
        Taken::Each(paths) => format!("each of {}", paths.join(", ")),
        Taken::Nonce => "the nonce of the send".to_owned(),
        Taken::Visitor(rung) => rung.to_string(),
        Taken::Default => "the default".to_owned(),
        _ => String::new(),
    }
}

fn line_shown(line: &[Token]) -> Markup {
    html! { @for token in line { (token_shown(token)) } }
}

fn token_shown((kind, text): &Token) -> Markup {
    match kind {
        Kind::Key => html! { b.k { (text) } },
        Kind::Text => html! { span.s { (text) } },
        Kind::Number => html! { span.n { (text) } },
        Kind::Word => html! { span.w { (text) } },
        Kind::Sign => html! { (text) },
    }
}

/// The tokens of valid JSON. Blanks between them are left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => text_length(rest),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => {
                rest.find(|c: char| c.is_whitespace() || ",:]}".contains(c)).unwrap_or(rest.len()).max(first.len_utf8())
            }
        };
        let (token, behind) = rest.split_at(length);
        rest = behind.trim_start();
        let kind = match first {
            '"' if rest.starts_with(':') => Kind::Key,
            '"' => Kind::Text,
            '-' | '0'..='9' => Kind::Number,
            't' | 'f' | 'n' => Kind::Word,
            _ => Kind::Sign,
        };
        tokens.push((kind, token.to_owned()));
    }
    tokens
}

/// The length of the JSON text at the beginning.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Valid JSON as lines.
fn lines(text: &str) -> Vec<Vec<Token>> {
    let tokens = tokens(text);
    let mut lines: Vec<Vec<Token>> = vec![Vec::new()];
    let mut depth = 0_usize;
    let begin = |lines: &mut Vec<Vec<Token>>, depth: usize| lines.push(vec![(Kind::Sign, STEP.repeat(depth))]);
    for (at, (kind, text)) in tokens.iter().enumerate() {
        let sign = (*kind == Kind::Sign).then_some(text.as_str());
        let is_empty = |open: &str| at > 0 && tokens[at - 1].1 == open && tokens[at - 1].0 == Kind::Sign;
        if let Some("}" | "]") = sign {
            depth = depth.saturating_sub(1);
            if !is_empty(if text == "}" { "{" } else { "[" }) {
                begin(&mut lines, depth);
            }
        }
        let last = lines.last_mut();
        if let Some(last) = last {
            last.push((*kind, if sign == Some(":") { ": ".to_owned() } else { text.clone() }));
        }
        match sign {
            Some("{" | "[") => {
                depth += 1;
                let closes = tokens
                    .get(at + 1)
                    .is_some_and(|(kind, next)| *kind == Kind::Sign && ["}", "]"].contains(&next.as_str()));
                if !closes {
                    begin(&mut lines, depth);
                }
            }
            Some(",") => begin(&mut lines, depth),
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_as_it_was_sent() {
        let text = r#"[{"a":23.50,"b":"x, \"{y}\" é","c":{},"d":[],"e":[1,true,null]}]"#;
        let expected = "[\n  {\n    \"a\": 23.50,\n    \"b\": \"x, \\\"{y}\\\" é\",\n    \"c\": {},\n    \"d\": [],\n    \
                        \"e\": [\n      1,\n      true,\n      null\n    ]\n  }\n]";
        assert_eq!(laid_out(text), expected);
        assert_eq!(laid_out(expected), expected, "laid out once is laid out");
    }

    #[test]
    fn what_is_no_json_is_shown_as_text() {
        for text in ["<script>alert(1)</script>", "{\"a\":", "\"<img onerror=x>\""] {
            let shown = shown(text).into_string();
            assert!(!shown.contains("<script") && !shown.contains("<img"), "{shown}");
        }
    }

    #[test]
    fn the_item_of_a_send_is_taken_out_of_its_batch() {
        let body = r#"[{"a":1.0},{"b":2}]"#;
        assert_eq!(item(body, 0, 2).as_deref(), Some(r#"{"a":1.0}"#));
        assert_eq!(item(body, 0, 3), None, "another count of sends: the body is not a list of them");
        assert_eq!(item("a=1&b=2", 0, 1), None);
    }
}

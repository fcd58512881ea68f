//! Comparing with results that were kept.
//!
//! The file is a JSON list with a result per event, as `anole test --json` prints them one a line; both forms are read.
//! Results are compared as texts, laid out alike, and not as values: `23.50` and `23.5` are the same number to JSON and two
//! things to a vendor, and so may be the order of keys.

use std::path::Path;

use serde_json::json;
use serde_json::value::RawValue;
use similar::TextDiff;

use super::result::EventResult;
use crate::failure::Failure;
use crate::output::{Output, Tone, tame};

/// Lines around a difference.
const CONTEXT: usize = 3;

/// Writes the file anew.
pub(super) fn update(file: &Path, results: &[EventResult], output: Output) -> Result<(), Failure> {
    let text = format!("{}\n", laid_out(&serde_json::to_string(results).map_err(Failure::of)?));
    let shown = file.display();
    if std::fs::read_to_string(file).is_ok_and(|known| known == text) {
        output.talk(&format!("{shown} is as it was"));
        return Ok(());
    }
    std::fs::write(file, text).map_err(|error| Failure::Failed(format!("{shown}: {error}")))?;
    output.talk(&format!("wrote {shown}"));
    Ok(())
}

/// Compares with the file.
pub(super) fn compare(file: &Path, results: &[EventResult], output: Output) -> Result<(), Failure> {
    let shown = file.display();
    let expected = read(file)?;
    let mut different = 0;
    for (index, result) in results.iter().enumerate() {
        let made = laid_out(&serde_json::to_string(result).map_err(Failure::of)?);
        let Some(expected) = expected.get(index) else { continue };
        if made == *expected {
            continue;
        }
        different += 1;
        let diff = difference(expected, &made);
        if output.json {
            output.value(&json!({ "event": index + 1, "name": result.name(), "difference": diff }));
        } else {
            output.line(&format!("event {}, {}: not as expected", index + 1, result.name()));
            diff.lines().for_each(|line| output.line(&painted(line, output)));
        }
    }
    if expected.len() != results.len() {
        let (expected, made) = (expected.len(), results.len());
        return Err(Failure::Failed(format!("{shown} has results for {expected} events, and there are {made}")));
    }
    if different > 0 {
        let of = results.len();
        return Err(Failure::Failed(format!(
            "{different} of {of} not as {shown} expects: when the new result is right, --update keeps it"
        )));
    }
    let events =
        if results.len() == 1 { "the event is".to_owned() } else { format!("all {} events are", results.len()) };
    if output.json {
        output.value(&json!({ "events": results.len(), "as_expected": true }));
    } else {
        output.line(&format!("{events} as expected"));
    }
    Ok(())
}

fn painted(line: &str, output: Output) -> String {
    let tone = match line.as_bytes().first() {
        Some(b'-') => Tone::Bad,
        Some(b'+') => Tone::Good,
        _ => Tone::Soft,
    };
    output.paint(tone, &tame(line))
}

/// The lines that differ, with those around them: `-` is expected, `+` was made.
fn difference(expected: &str, made: &str) -> String {
    let (expected, made) = (format!("{expected}\n"), format!("{made}\n"));
    let diff = TextDiff::from_lines(&expected, &made);
    diff.unified_diff().context_radius(CONTEXT).header("expected", "made").to_string()
}

/// The results of a file, each laid out.
fn read(file: &Path) -> Result<Vec<String>, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Wrong(format!("anole: {shown}: {error}; --update writes it")))?;
    let wrong = |error: serde_json::Error| {
        Failure::Wrong(format!("anole: {shown}: {error}: expected results as `anole test --json` prints them"))
    };
    let mut results = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Box<RawValue>>() {
        let value = value.map_err(wrong)?;
        if value.get().starts_with('[') {
            let list: Vec<Box<RawValue>> = serde_json::from_str(value.get()).map_err(wrong)?;
            results.extend(list.iter().map(|value| laid_out(value.get())));
        } else {
            results.push(laid_out(value.get()));
        }
    }
    Ok(results)
}

/// JSON with a line for each value, every token as it was written: a parser would take the digits of numbers away.
fn laid_out(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut rest) = (0_usize, json.trim_start());
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            other => other.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        let next = behind.trim_start();
        match first {
            '{' | '[' if next.starts_with(['}', ']']) => out.push(first),
            '{' | '[' => {
                out.push(first);
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(first);
            }
            ',' => {
                out.push(first);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push_str(token),
        }
        rest = next;
    }
    out
}

/// The bytes of the JSON string that a text begins with.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_token_by_token() {
        let json = r#" {"a":[1.50,{"b":"x\"},{ é\\"}],"c":{},"d":[ ],"e":1e3} "#;
        let expected = "{\n  \"a\": [\n    1.50,\n    {\n      \"b\": \"x\\\"},{ é\\\\\"\n    }\n  ],\n  \"c\": {},\n  \"d\": [],\n  \"e\": 1e3\n}";
        assert_eq!(laid_out(json), expected);
        assert_eq!(laid_out(expected), expected, "laid out once is laid out");
        assert_eq!(laid_out("5"), "5");
    }

    #[test]
    fn a_difference_shows_what_was_expected_and_what_was_made() {
        let difference = difference("{\n  \"a\": 23.50\n}", "{\n  \"a\": 23.5\n}");
        assert!(difference.contains("-  \"a\": 23.50\n+  \"a\": 23.5\n"), "{difference}");
        assert!(!difference.contains("No newline"), "{difference}");
    }

    #[test]
    fn a_list_and_lines_are_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        let read_as = |text: &str| {
            let file = folder.path().join("expected.json");
            std::fs::write(&file, text).unwrap();
            read(&file).unwrap()
        };
        assert_eq!(read_as("{\"a\":1}\n{\"a\":2}\n"), read_as("[\n { \"a\": 1 }, {\"a\":2} ]"));
        assert!(read(&folder.path().join("none.json")).is_err());
    }
}

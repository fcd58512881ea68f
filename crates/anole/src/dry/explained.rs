//! What each field of a payload was made from, as a table and as JSON.

use anole_pipeline::{Explained, Taken};
use serde_json::{Value, json};

use crate::output::{Output, Tone, tame};

/// The most characters of a value that the table shows.
const MAX_SHOWN: usize = 48;

/// A line of the table.
struct Row {
    field: String,
    value: String,
    from: String,
    place: String,
}

pub(super) fn show(explained: &[Explained], output: Output) {
    let mut rows = Vec::new();
    fill(explained, "", &mut rows);
    if rows.is_empty() {
        return;
    }
    let widest = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (field, value, from) = (widest(|row| &row.field), widest(|row| &row.value), widest(|row| &row.from));
    output.line("");
    for row in &rows {
        let place = output.paint(Tone::Soft, &row.place);
        let line = format!("    {:field$}  {:value$}  {:from$}  {place}", row.field, row.value, row.from);
        output.line(line.trim_end());
    }
}

fn fill(explained: &[Explained], above: &str, rows: &mut Vec<Row>) {
    for field in explained {
        let name = if above.is_empty() { field.key.to_string() } else { format!("{above}.{}", field.key) };
        if !field.parts.is_empty() {
            fill(&field.parts, &name, rows);
            continue;
        }
        let value = match (&field.value, &field.trouble) {
            (Some(value), _) => short(value),
            (None, Some(_)) => "(wrong)".to_owned(),
            (None, None) => "(left out)".to_owned(),
        };
        rows.push(Row { field: tame(&name), value, from: from(&field.taken), place: place(field) });
    }
}

fn short(value: &str) -> String {
    let value = tame(value);
    match value.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}

/// What gave a value, in words.
fn from(taken: &Taken) -> String {
    match taken {
        Taken::Nothing => "nothing".to_owned(),
        Taken::Constant => "a constant".to_owned(),
        Taken::Setting(name) => format!("settings.{name}"),
        Taken::Event(path) => path.to_string(),
        Taken::Template(paths) if paths.is_empty() => "a template".to_owned(),
        Taken::Template(paths) => format!("a template over {}", paths.join(", ")),
        Taken::Expression(paths) if paths.is_empty() => "an expression".to_owned(),
        Taken::Expression(paths) => format!("an expression over {}", paths.join(", ")),
        Taken::Each(paths) => format!("each of {}", paths.join(", ")),
        Taken::Nonce => "send.nonce".to_owned(),
        Taken::Visitor(rung) => format!("resolved.visitor_code, by {rung}"),
        Taken::Default => "the default".to_owned(),
        _ => "its parts".to_owned(),
    }
}

fn place(field: &Explained) -> String {
    match (field.origin.file(), field.origin.line()) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        _ => String::new(),
    }
}

/// Field by field, as a program reads it.
pub(super) fn as_json(explained: &[Explained]) -> Value {
    let fields = explained.iter().map(|field| {
        json!({
            "field": field.key,
            "value": field.value,
            "trouble": field.trouble,
            "from": from(&field.taken),
            "file": field.origin.file(),
            "line": field.origin.line(),
            "parts": as_json(&field.parts),
        })
    });
    fields.collect()
}

//! The only place that prints: data to stdout, talk to stderr, colours only on a terminal.
#![allow(clippy::print_stderr, reason = "this is where the program prints")]

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// How a bar looks.
const BAR: &str = "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} to go";

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    colour: bool,
}

/// What a word stands for, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warn,
    Bad,
    Soft,
    Strong,
}

/// A text from outside, with control characters shown instead of obeyed: event names and vendors' answers are hostile, and
/// a terminal does what it is told.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            tamed.extend(character.escape_default());
        } else {
            tamed.push(character);
        }
    }
    tamed
}

// === impl Output ===

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colour = !json && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour }
    }

    /// A line of data.
    pub(crate) fn line(self, text: &str) {
        if let Err(error) = writeln!(std::io::stdout().lock(), "{text}") {
            // Who reads may leave early (`anole … | head`): then nobody is left to print for, which is no failure.
            let left = error.kind() == std::io::ErrorKind::BrokenPipe;
            if !left {
                eprintln!("anole: cannot write to standard output: {error}");
            }
            std::process::exit(i32::from(!left));
        }
    }

    /// Talk: what a program that reads the data does not want.
    pub(crate) fn talk(self, text: &str) {
        let _gone = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Asks a person a question that is answered by yes or no. `None` when nobody sits there.
    pub(crate) fn ask(self, question: &str) -> Option<bool> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let _gone = write!(std::io::stderr().lock(), "{question} [y/N] ");
        let mut answer = String::new();
        // Who closes the terminal says no.
        let _closed = std::io::stdin().read_line(&mut answer);
        Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// A bar for work that is counted in bytes, on a terminal; elsewhere it shows nothing.
    pub(crate) fn bar(self, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::new(0);
        // The template is a constant that the test of this module builds.
        bar.set_style(ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.with_message(what)
    }

    /// A value as JSON; a list has one value a line.
    pub(crate) fn value(self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.line(&value.to_string())),
            value => self.line(&value.to_string()),
        }
    }

    /// Rows under headings.
    pub(crate) fn table(self, headings: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(headings.to_vec());
        if std::io::stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        table.add_rows(rows);
        for line in table.to_string().lines() {
            self.line(line.trim_end());
        }
    }

    /// A word in the colour of its tone.
    pub(crate) fn paint(self, tone: Tone, word: &str) -> String {
        if !self.colour {
            return word.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Soft => "2",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    }

    /// A state in its colour.
    pub(crate) fn state(self, state: &str) -> String {
        let tone = match state {
            "delivered" => Tone::Good,
            "waiting" | "filtered" | "no_consent" | "bot" | "deferred" => Tone::Warn,
            _ => Tone::Bad,
        };
        self.paint(tone, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_can_be_drawn() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }

    #[test]
    fn a_terminal_is_not_told_anything_by_events() {
        assert_eq!(tame("E\u{1b}[31m\u{7}\nX é"), "E\\u{1b}[31m\\u{7}\\nX é");
    }
}

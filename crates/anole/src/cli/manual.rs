//! The manual's page of the command line, made from its definition; and what holds for all verbs.
//!
//! Everything here goes by enumeration of the verbs, so that a new one is in the manual, has an example, and is tested.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const HEAD: &str = "\
# The command line

`anole VERB`, with `--help` behind any of them. Every verb takes `--config FILE` and finds the running daemon through it; where none runs,
verbs that only look read the files themselves. Data goes to standard output, talk to standard error; `--json` makes the data JSON, one
value a line where it is a list. Colours are used on a terminal only, and not when `NO_COLOR` is set.

| exit code | |
|---|---|
| 0 | done |
| 1 | failed: the last line on standard error says why, and names a [code](codes.md) where there is one |
| 2 | wrong usage or configuration: nothing was started or changed |

`anole completion bash` prints a script by which the shell completes verbs and flags; there are others for zsh, fish, elvish and PowerShell.

<!-- Generated from the command line's definition: UPDATE_CLI=1 cargo test -p anole manual -->
";

/// The command with what clap adds to it by itself.
fn command() -> Command {
    let mut command = Cli::command().term_width(100);
    command.build();
    command
}

/// All verbs that do something, with their full names.
fn leaves(command: &Command) -> Vec<(String, &Command)> {
    let below: Vec<&Command> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    if below.is_empty() {
        return vec![(command.get_bin_name().unwrap_or(command.get_name()).to_owned(), command)];
    }
    below.into_iter().flat_map(leaves).collect()
}

/// The lines of a verb's examples.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut lines = help.lines().skip_while(|line| !line.starts_with("Example"));
    let heads = lines.by_ref().take(1).count();
    let taken = lines.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned());
    if heads == 0 { Vec::new() } else { taken.collect() }
}

/// What stands in the help behind the examples.
fn remarks(command: &Command) -> String {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines = help.lines().filter(|line| !line.starts_with("Example") && !line.starts_with("  "));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// A line of a shell as words: blanks part them, quotes hold them together. What stands before `anole`, and behind a `|`, `>`
/// or `&&`, is the shell's.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (vec![], None::<String>, None);
    for sign in line.chars() {
        match (quote, sign) {
            (Some(open), sign) if sign == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, sign) => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word.take());
    let start = words.iter().position(|word| word == "anole")?;
    let ours = words[start..].iter().take_while(|word| !["|", ">", "&&"].contains(&word.as_str()));
    Some(ours.cloned().collect())
}

fn manual() -> String {
    let command = command();
    let mut text = HEAD.to_owned();
    text.push_str("\n## Verbs\n\n| verb | does |\n|---|---|\n");
    for (name, verb) in leaves(&command) {
        let anchor = name.replace(' ', "-");
        writeln!(text, "| [`{name}`](#{anchor}) | {} |", about(verb)).unwrap();
    }
    for (name, verb) in leaves(&command) {
        write!(text, "\n## {name}\n\n{}.\n\n", about(verb)).unwrap();
        let usage = verb.clone().render_usage().to_string();
        writeln!(text, "```text\n{}\n```", usage.trim_start_matches("Usage: ").trim()).unwrap();
        options(&mut text, verb);
        let examples = examples(verb);
        write!(text, "\n```sh\n{}\n```\n", examples.join("\n")).unwrap();
        let remarks = remarks(verb);
        if !remarks.is_empty() {
            write!(text, "\n{remarks}\n").unwrap();
        }
    }
    text
}

fn about(verb: &Command) -> String {
    verb.get_about().map(ToString::to_string).unwrap_or_default().replace('|', "\\|")
}

/// clap takes the last full stop away.
fn sentence(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.ends_with('.') { text } else { format!("{text}.") }
}

fn options(text: &mut String, verb: &Command) {
    let is_own = |arg: &&Arg| {
        !arg.is_global_set() && !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
    };
    let own: Vec<&Arg> = verb.get_arguments().filter(is_own).collect();
    if own.is_empty() {
        return;
    }
    text.push_str("\n| argument | |\n|---|---|\n");
    for arg in own {
        let shown = arg.to_string().replace("...", "");
        let mut help = sentence(&arg.get_help().map(ToString::to_string).unwrap_or_default());
        let hidden = arg.is_hide_possible_values_set() || !arg.get_action().takes_values();
        let values: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        if !hidden && !values.is_empty() {
            write!(help, " One of `{}`.", values.join("`, `")).unwrap();
        }
        let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if arg.get_action().takes_values() && !default.is_empty() && !help.contains("Default:") {
            write!(help, " Default: {}.", default.join(", ")).unwrap();
        }
        writeln!(text, "| `{shown}` | {help} |").unwrap();
    }
}

#[test]
fn the_manuals_page_is_made_from_the_definition() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let fresh = manual();
    if std::env::var_os("UPDATE_CLI").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == fresh, "docs/cli.md is not of this version: UPDATE_CLI=1 cargo test -p anole manual");
}

#[test]
fn every_verb_says_what_it_does_and_has_an_example_that_it_understands() {
    for (name, verb) in leaves(&command()) {
        assert!(about(verb).len() > 10, "{name}: what does it do?");
        let examples = examples(verb);
        assert!(!examples.is_empty(), "{name} has no example under `Example:` in its after_help");
        let mut own = 0;
        for line in examples {
            let Some(words) = words(&line) else { panic!("{name}: no `anole` in {line}") };
            if let Err(wrong) = Cli::command().try_get_matches_from(&words) {
                panic!("{name}: the example `{line}` is not understood:\n{wrong}");
            }
            own += usize::from(words.join(" ").starts_with(&name));
        }
        assert!(own > 0, "{name}: no example calls it");
        for arg in verb.get_arguments() {
            assert!(arg.get_help().is_some(), "{name}: {} has no help", arg.get_id());
        }
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_line_of_a_shell_is_taken_apart() {
    let line = "echo '{\"a\": 1}' | anole test - --at \"2026 x\" > out";
    assert_eq!(words(line).unwrap(), ["anole", "test", "-", "--at", "2026 x"]);
    assert_eq!(words("mkdir shop && cd shop && anole init").unwrap(), ["anole", "init"]);
    assert_eq!(words("ls"), None);
}

//! Values from the environment and from files: `${NAME}` and `${file:/path}`.
//!
//! They are filled in once, when the configuration is loaded. A file's last line break is taken off, as editors and
//! `echo` put it there. `$$` writes a dollar sign where a brace follows.

use std::path::Path;

use crate::problem::{Code, Problem, Report};
use crate::source::At;

/// Looks a variable of the environment up.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The most bytes of a file that a value is taken from.
const MAX_FILE: u64 = 64 * 1024;

/// A text with its places filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Whether something came from outside of the file.
    pub(crate) from_outside: bool,
}

/// Fills a text in. `None` when something is missing or malformed, which is then reported.
pub(crate) fn expand(written: &str, at: &At, env: Environment<'_>, report: &mut Report) -> Option<Expanded> {
    let mut text = String::new();
    let (mut rest, mut from_outside) = (written, false);
    while let Some(dollar) = rest.find('$') {
        text.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if rest.starts_with("$${") {
            text.push_str("${");
            rest = &rest[3..];
        } else if let Some(inner) = rest.strip_prefix("${") {
            let Some((name, behind)) = inner.split_once('}') else {
                let problem = Problem::new(Code::BadValue, at.part(rest), "a brace is not closed");
                report.add(problem.expect("write ${NAME}, or $${ for a dollar sign and a brace"));
                return None;
            };
            let place = at.part(&rest[..name.len() + 3]);
            match value(name, &place, env) {
                Ok(value) => text.push_str(&value),
                Err(problem) => {
                    report.add(*problem);
                    return None;
                }
            }
            from_outside = true;
            rest = behind;
        } else {
            text.push('$');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    Some(Expanded { text, from_outside })
}

fn value(name: &str, at: &At, env: Environment<'_>) -> Result<String, Box<Problem>> {
    let problem =
        |code, message: String, expected: &str| Box::new(Problem::new(code, at.clone(), message).expect(expected));
    if let Some(path) = name.strip_prefix("file:") {
        return read(&at.source.folder.join(path.trim())).map_err(|error| {
            problem(Code::NoVariable, format!("the file {path} cannot be read: {error}"), "name a file")
        });
    }
    let is_name = |name: &str| {
        let mut chars = name.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if !is_name(name) {
        let message = format!("`{name}` is no name of an environment variable");
        return Err(problem(Code::BadValue, message, "write ${NAME} or ${file:/path}"));
    }
    match env(name) {
        Some(value) if !value.is_empty() => Ok(value),
        found => {
            let what = if found.is_some() { "empty" } else { "not set" };
            let message = format!("the environment variable {name} is {what}");
            Err(problem(Code::NoVariable, message, "set it for the process that runs anole"))
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MAX_FILE {
        return Err(format!("it has more than {MAX_FILE} bytes"));
    }
    let mut text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::source::{Source, Span};

    fn expanded(text: &str, folder: PathBuf) -> Result<Expanded, String> {
        let source = Arc::new(Source { name: "f.yaml".to_owned(), text: text.to_owned(), folder });
        let at = At::new(&source, Span { start: 0, end: text.len() });
        let env = |name: &str| match name {
            "SECRET" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let mut report = Report::default();
        let expanded = expand(text, &at, &env, &mut report);
        expanded.ok_or_else(|| report.finish().err().map(|errors| errors.problems()[0].to_string()).unwrap_or_default())
    }

    #[test]
    fn places_are_filled_in_from_the_environment_and_from_files() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key"), "from-file\r\n").expect("a file");
        let text = |written: &str| expanded(written, folder.path().to_owned()).map(|expanded| expanded.text);
        assert_eq!(text("a-${SECRET}-b"), Ok("a-s3cret-b".to_owned()));
        assert_eq!(text("${file:key}"), Ok("from-file".to_owned()), "relative to the file that names it");
        assert_eq!(text("$5 and $${SECRET} $"), Ok("$5 and ${SECRET} $".to_owned()));
        assert_eq!(expanded("plain", PathBuf::new()).map(|expanded| expanded.from_outside), Ok(false));
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let problem = |written: &str| expanded(written, PathBuf::new()).expect_err("an error");
        assert!(problem("x ${NOPE}").starts_with("f.yaml:1:3: the environment variable NOPE is not set"));
        assert!(problem("${EMPTY}").contains("EMPTY is empty"));
        assert!(problem("${file:/nonexistent/x}").contains("the file /nonexistent/x cannot be read"));
        assert!(problem("${NOPE").contains("not closed"));
        assert!(problem("${A B}").contains("no name of an environment variable"));
    }
}

//! What is wrong with a file: where, what was expected, and what was probably meant.

use std::fmt;
use std::sync::Arc;

use anole_event::code_enum;
use serde::Serialize;

use crate::nearest::{listed, nearest};
use crate::source::{At, Source};

mod render;

code_enum! {
    /// The kind of a problem. `anole explain CODE` tells more.
    pub enum Code {
        /// A file or a folder cannot be read.
        Unreadable "unreadable_file",
        /// It is not YAML.
        Syntax "yaml_syntax",
        /// A key stands twice in one map.
        DuplicateKey "duplicate_key",
        /// A key that nothing reads.
        UnknownKey "unknown_key",
        /// A list where a text is expected, and the like.
        WrongType "wrong_type",
        /// A key that must be there is not.
        MissingKey "missing_key",
        /// A destination lacks a setting that its blueprint needs.
        MissingSetting "missing_setting",
        /// A value that is not allowed here.
        BadValue "bad_value",
        /// A blueprint, preset, setting, send or request of that name is not there.
        UnknownName "unknown_name",
        /// A path whose root an event does not have.
        UnknownPath "unknown_path",
        /// A condition or value is no CEL expression.
        BadExpression "bad_expression",
        /// Two files, or two parts of one, claim the same.
        Conflict "conflict",
        /// An environment variable or a file that a secret names is not there.
        NoVariable "no_variable",
        /// A secret stands in the file itself.
        PlainSecret "plain_secret",
        /// A setting of a blueprint that nothing in it names.
        UnusedSetting "unused_setting",
        /// A value that does not look as such values do.
        Unusual "unusual_value",
        /// There is no pipeline.
        NoPipelines "no_pipelines",
        /// A request may not go to this address.
        Forbidden "forbidden_address",
        /// A vendor does not know what a destination says.
        Remote "remote_mismatch",
        /// A vendor could not be asked.
        RemoteUnsure "remote_unsure",
        /// An environment variable that overrides a setting is wrong.
        BadVariable "bad_variable",
        /// A file of a certificate or of its key cannot be read, or is none.
        BadCertificate "bad_certificate",
        /// The key is another certificate's.
        CertificateMismatch "certificate_mismatch",
        /// The certificate has ended, ends soon, or is not valid yet.
        CertificateExpiry "certificate_expiry",
        /// Every user of the machine may read a key.
        ExposedKey "exposed_key",
    }
}

/// Whether a problem stops the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// Something wrong, or worth a look, in one place of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    severity: Severity,
    message: String,
    at: Option<At>,
    expected: Option<String>,
    suggestion: Option<String>,
    other: Option<(At, String)>,
}

/// A problem as a program reads it.
#[derive(Debug, Serialize)]
struct Plain<'p> {
    severity: Severity,
    code: &'static str,
    file: Option<&'p str>,
    line: Option<usize>,
    column: Option<usize>,
    end_line: Option<usize>,
    end_column: Option<usize>,
    message: &'p str,
    expected: Option<&'p str>,
    suggestion: Option<&'p str>,
    also: Option<Also<'p>>,
}

/// Another place that a problem speaks of.
#[derive(Debug, Serialize)]
struct Also<'p> {
    file: &'p str,
    line: usize,
    column: usize,
    message: &'p str,
}

/// All that is wrong with the configuration, sorted by file and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Problem>);

/// Collects problems while files are read.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
    /// Where secrets stand in files: such lines are shown masked.
    secrets: Vec<At>,
    /// Blueprints whose files could not be read.
    unreadable: Vec<String>,
}

// === impl Problem ===

impl Problem {
    pub(crate) fn new(code: Code, at: impl Into<Option<At>>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            at: at.into(),
            expected: None,
            suggestion: None,
            other: None,
        }
    }

    /// A problem that stands in no single place of a file: two listeners at one address.
    #[must_use]
    pub fn of_all(code: Code, message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::new(code, None, message).expect(expected)
    }

    /// The same, for what does not stop the configuration from being used.
    #[must_use]
    pub fn warning_of_all(code: Code, message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::of_all(code, message, expected).warning()
    }

    /// A name that is not among the known ones.
    pub(crate) fn unknown<'n>(
        code: Code,
        at: At,
        what: &str,
        written: &str,
        known: impl IntoIterator<Item = &'n str> + Clone,
    ) -> Self {
        let problem = Self::new(code, at, format!("there is no {what} `{written}`"));
        match nearest(written, known.clone()) {
            Some(name) => problem.suggest(name),
            None => problem,
        }
        .expect_one_of(known)
    }

    pub(crate) fn expect_one_of<'n>(self, known: impl IntoIterator<Item = &'n str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        if known.is_empty() {
            self.expect("none is known here")
        } else {
            self.expect(format!("expected {}", listed(known)))
        }
    }

    pub(crate) fn expect(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn suggest(mut self, name: impl Into<String>) -> Self {
        self.suggestion = Some(name.into());
        self
    }

    pub(crate) fn beside(mut self, at: At, label: impl Into<String>) -> Self {
        self.other = Some((at, label.into()));
        self
    }

    pub(crate) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Whether it stops the configuration from being used.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What was expected, or what to write.
    #[must_use]
    pub fn expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// The name that was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }

    /// The file; `None` for what is in no file, such as an environment variable.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.at.as_ref().map(|at| at.source.name.as_str())
    }

    /// Line and column, counted from 1, the column in characters.
    #[must_use]
    pub fn place(&self) -> Option<(usize, usize)> {
        self.at.as_ref().map(|at| at.source.line_column(at.span.start))
    }

    /// Line and column behind its last character, as [`Self::place`] counts them.
    #[must_use]
    pub fn end(&self) -> Option<(usize, usize)> {
        self.at.as_ref().map(|at| at.source.line_column(at.span.end.max(at.span.start)))
    }

    /// The problem with its line and a caret, as a person reads it.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        render::render(self, colours)
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (place, end) = (self.place(), self.end());
        let also = self.other.as_ref().map(|(at, message)| {
            let (line, column) = at.source.line_column(at.span.start);
            Also { file: &at.source.name, line, column, message }
        });
        let plain = Plain {
            severity: self.severity,
            code: self.code.as_str(),
            file: self.file(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            end_line: end.map(|(line, _)| line),
            end_column: end.map(|(_, column)| column),
            message: &self.message,
            expected: self.expected(),
            suggestion: self.suggestion(),
            also,
        };
        plain.serialize(serializer)
    }
}

/// In one line, with its place.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some((line, column))) = (self.file(), self.place()) {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(name) = &self.suggestion {
            write!(f, ": did you mean `{name}`?")?;
        } else if let Some(expected) = &self.expected {
            write!(f, ": {expected}")?;
        }
        Ok(())
    }
}

// === impl ConfigErrors ===

impl ConfigErrors {
    /// These problems, in their order.
    #[must_use]
    pub const fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// All problems, errors and warnings, sorted by file and place.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }

    /// All of them with their lines and carets, as a person reads them.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        render::render_all(&self.0, colours)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}

impl Serialize for ConfigErrors {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

// === impl Report ===

impl Report {
    pub(crate) fn add(&mut self, problem: Problem) {
        // A mistake in something that is used twice is one mistake.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Tells where a secret stands, so that no line that is shown has it.
    pub(crate) fn mask(&mut self, secret: At) {
        self.secrets.push(secret);
    }

    /// Notes a blueprint whose file could not be read.
    pub(crate) fn unreadable(&mut self, blueprint: &str) {
        self.unreadable.push(blueprint.to_owned());
    }

    pub(crate) fn is_unreadable(&self, blueprint: &str) -> bool {
        self.unreadable.iter().any(|known| known == blueprint)
    }

    pub(crate) const fn count(&self) -> usize {
        self.problems.len()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The warnings, or all that is wrong.
    pub(crate) fn finish(mut self) -> Result<Vec<Problem>, ConfigErrors> {
        self.problems.sort_by(|one, two| {
            let place = |problem: &Problem| problem.at.as_ref().map(|at| (at.source.name.clone(), at.span.start));
            place(one).cmp(&place(two))
        });
        let masked = self.masked();
        let places = self
            .problems
            .iter_mut()
            .flat_map(|problem| problem.at.iter_mut().chain(problem.other.iter_mut().map(|(other, _)| other)));
        for at in places {
            if let Some(masked) = masked.iter().find(|masked| masked.name == at.source.name) {
                at.source = Arc::clone(masked);
            }
        }
        if self.has_errors() { Err(ConfigErrors(self.problems)) } else { Ok(self.problems) }
    }

    /// The files that hold secrets, with stars in their place: byte for byte, so that places stay right.
    fn masked(&self) -> Vec<Arc<Source>> {
        let mut masked: Vec<Source> = Vec::new();
        for At { source, span } in &self.secrets {
            let at = masked.iter().position(|known| known.name == source.name).unwrap_or_else(|| {
                masked.push((**source).clone());
                masked.len() - 1
            });
            let text = &mut masked[at].text;
            if text.get(span.start..span.end).is_some() {
                text.replace_range(span.start..span.end, &"*".repeat(span.end - span.start));
            }
        }
        masked.into_iter().map(Arc::new).collect()
    }
}

//! The shape of a file, as data: which keys, of which types, with what meaning.
//!
//! One description serves three ends: files are checked against it, JSON Schemas are made from it, and its sentences are the
//! reference of the language. What a type cannot say (a name that must be known, a pattern) is checked where it is read.

mod check;
mod schema;

pub(crate) use check::check;
pub(crate) use schema::schema;

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Type {
    /// A text. A number is taken as it is written.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number, not negative.
    Integer,
    /// A number.
    Number,
    /// `20GiB`.
    Size,
    /// `7d`.
    Period,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Anything.
    Any,
    /// A list of these.
    List(&'static Type),
    /// A map whose keys are names of the writer's own.
    Map(&'static Type),
    /// A map with known keys.
    Table(&'static Table),
    /// Whichever of these the value looks like.
    Either(&'static [&'static Type]),
}

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Table {
    /// What it describes: `a destination`.
    pub(crate) what: &'static str,
    /// Its keys.
    pub(crate) keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) of: &'static Type,
    pub(crate) need: Need,
    pub(crate) doc: &'static str,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Must,
    May,
}

// === impl Key ===

pub(crate) const fn must(name: &'static str, of: &'static Type, doc: &'static str) -> Key {
    Key { name, of, need: Need::Must, doc }
}

pub(crate) const fn may(name: &'static str, of: &'static Type, doc: &'static str) -> Key {
    Key { name, of, need: Need::May, doc }
}

// === impl Type ===

impl Type {
    /// What such a value is called.
    pub(crate) fn called(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Size => "a size such as 1MiB".to_owned(),
            Self::Period => "a length of time such as 30s, 1h or 7d".to_owned(),
            Self::Choice([word]) => (*word).to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Any => "any value".to_owned(),
            Self::List(of) => format!("a list, each {}", of.called()),
            Self::Map(_) => "a map".to_owned(),
            Self::Table(table) => format!("a map ({})", table.what),
            Self::Either(types) => {
                let names: Vec<String> = types.iter().map(|of| of.called()).collect();
                names.join(", or ")
            }
        }
    }
}

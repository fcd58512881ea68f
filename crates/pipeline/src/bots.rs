//! Robots: what a pipeline does with what they send. Who is one is judged by ingest.

/// What is done with robots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BotAct {
    /// Nothing: nobody is judged.
    #[default]
    Keep,
    /// Their events are marked with `context.bot`.
    Flag,
    /// Their events are answered as usual, counted, and not kept.
    Drop,
}

/// How a pipeline treats robots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bots {
    /// What is done with them.
    pub act: BotAct,
    /// Parts of a `User-Agent`, in lower case, by which somebody is a robot, beside the list that is built in.
    pub also: Vec<Box<str>>,
    /// Parts of a `User-Agent`, in lower case, by which somebody is none, whatever else it says.
    pub not: Vec<Box<str>>,
}

// === impl Bots ===

impl Bots {
    /// Whether anybody is judged.
    #[must_use]
    pub const fn judges(&self) -> bool {
        !matches!(self.act, BotAct::Keep)
    }
}

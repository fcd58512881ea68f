//! Everything that reads bytes of strangers, and what must hold whatever they are.
//!
//! A [`Target`] is a function of bytes that panics when something does not hold. `cargo xtask fuzz` plays libFuzzer on it;
//! the corpus, `corpus/TARGET/`, is played as an ordinary test, so that what was once found stays mended. Each target goes
//! through the door that strangers use (a request to the endpoint, a file of a folder that is opened), not through a
//! function within: so what holds is what a user has.
//!
//! What must hold of a request ([`collect`]): it is answered; in JSON where it is refused, with a code and a message; nothing is
//! kept of one that was refused; what is kept is canonical JSON without a key that stands twice, bounded, and can be
//! mapped; what mapping makes of it is JSON again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a fuzz target tells what does not hold by a panic")]

mod answer;
mod body;
mod collect;
mod files;
mod head;
mod kept;
mod stored;
#[path = "../../ingest/tests/collection/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "the endpoint's own tests have it; not all of it is needed here")]
mod world;

/// One thing to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also of its folder in the corpus.
    pub name: &'static str,
    /// What it reads.
    pub about: &'static str,
    /// Plays one input.
    ///
    /// # Panics
    /// When something does not hold.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, about: &'static str, run: fn(&[u8])) -> Target {
    Target { name, about, run }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("segment", "bodies of Segment's, RudderStack's and Jitsu's clients", |input| _ = collect::segment(input)),
    target("web", "hits of GA4's tag: a query, and lines of them as a body", |input| _ = collect::web(input)),
    target("measurement", "bodies of GA4's Measurement Protocol, to be kept or to be checked", |input| {
        _ = collect::measurement(input);
    }),
    target("signed", "signed bodies", |input| _ = collect::signed(input)),
    target("pixel", "queries of pictures", |input| _ = collect::pixel(input)),
    target("head", "heads of requests: keys, cookies, addresses, origins, times", head::run),
    target("body", "compressed bodies", body::run),
    target("answer", "a vendor's answers", answer::run),
    target("journal", "files of the journal", stored::journal),
    target("record", "records of the journal, as they stand behind a sum that fits", stored::record),
    target("pipeline", "pipeline files", files::pipeline),
    target("blueprint", "blueprint files", files::blueprint),
];

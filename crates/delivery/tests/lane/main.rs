//! The lane machine, played against vendors on a clock that the tests move.

mod machine;
mod plan;
mod random_vendors;
mod support;

//! The fuzzer of one target, named by the variable `FUZZ_TARGET`. `cargo xtask fuzz` builds and runs it.
//!
//! One program rather than one per target: linking is most of the build, and they share everything but a function.
#![no_main]

use std::sync::LazyLock;

/// What a target does with an input.
type Run = fn(&[u8]);

/// The target that was asked for.
static TARGET: LazyLock<Run> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = anole_fuzz::TARGETS.iter().find(|target| target.name == name);
    found.map_or_else(|| panic!("FUZZ_TARGET names no target: {name:?}"), |target| target.run)
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| TARGET(input));

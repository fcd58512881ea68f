//! `cargo xtask bench NAME`: figures that anybody can measure again. They are never part of a test.

use crate::release;
use crate::run::Result;

const USAGE: &str = "the benches are:
  cargo xtask bench spine [SECONDS]                   events per second and CPU per event, beside a bare hyper server
  cargo xtask bench journal [SECONDS] [FOLDER] [LEVEL]  records per second, beside a bare loop of write and fdatasync
  cargo xtask bench open [EVENTS] [FOLDER] [--keep]     time and memory to open a large journal
  cargo xtask bench mapping [SECONDS]                 from an event to a payload, beside programs made for it
  cargo xtask bench backlog [EVENTS] [SECONDS]          what a lane far behind costs one that is not
  cargo xtask bench history [OUTCOMES] [FOLDER]         every question to the delivery log, and what writing it costs
  cargo xtask bench crowd [IDLE] [SLOW] [SECONDS]       latency beside idle and slow connections, and what they cost in memory";

pub(crate) fn run(arguments: &[String]) -> Result {
    let (name, rest) = arguments.split_first().ok_or(USAGE)?;
    match name.as_str() {
        "spine" | "backlog" | "crowd" => {
            let mut all = vec![release::anole()?.display().to_string()];
            all.extend_from_slice(rest);
            release::run(name, &all)
        }
        "journal" | "open" | "mapping" | "history" => release::run(name, rest),
        _ => Err(USAGE.to_owned()),
    }
}

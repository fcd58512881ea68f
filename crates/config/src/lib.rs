//! anole.yaml, pipelines and blueprints: YAML, checked, compiled to plans.
//!
//! Three kinds of files. `anole.yaml` holds the [`Settings`] of the daemon. A pipeline names its write
//! keys and its destinations; a blueprint describes a vendor. [`load`] reads the last two, checks all of all files, and
//! compiles each pipeline to a plan that ingest and delivery share.
//!
//! Two rules hold everywhere. Nothing that is written is without effect: an unknown key, a key that this version does not
//! act on yet, a setting that nobody reads are errors. And every problem is told at its place, with what was expected and
//! what was probably meant; all problems of all files at once.

mod blueprint;
mod catalogue;
mod compile;
mod expand;
mod expression;
mod filter;
mod governance;
mod load;
mod merged;
mod nearest;
mod node;
mod pipeline;
mod problem;
mod reference;
mod remote;
mod rule;
mod schema;
mod setting;
mod settings;
mod source;
mod starter;
mod table;
mod units;
mod value;

pub use catalogue::{Asked, BlueprintFile, blueprints};
pub use load::{Loaded, check_blueprint, embedded_blueprints, load, yaml_files};
pub use merged::{MergeError, Merging, merged};
pub use nearest::near;
pub use problem::{Code, ConfigErrors, Problem, Severity};
pub use remote::{RemoteAnswer, RemoteCheck};
pub use schema::{FileKind, schema};
pub use settings::{
    Ack, Admin, Collect, Connections, Delivery, History, Journal, LoadedSettings, Network, OnFull, RateLimit, Settings,
    State, Tls, load_settings, settings_as_far_as_right,
};
pub use starter::{Starter, starter, starter_blueprint};
pub use units::{Period, Size, UnitError};

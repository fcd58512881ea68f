//! The compiled plan and how it is applied: match, resolve, map, nonce.
//!
//! This crate is pure: no HTTP, no YAML, no clock, no randomness. `anole-config` compiles files to a [`PipelinePlan`];
//! what an event becomes is then a function of the plan and of the event's record alone, so that a retry, a restart or a
//! replay can never map an event differently unless the plan changed, and the plan's hash says that it did.
//!
//! The way of an event: [`PipelinePlan::read`] takes all values that any lane of the pipeline asks for in one pass
//! ([`Values`]); [`LanePlan::apply`] picks the rule, resolves the visitor, and renders each of the rule's sends, or names
//! the state in which it ends without one ([`Made`]).

mod address;
mod answers;
mod apply;
mod bots;
mod clean;
mod consent;
mod detail;
mod explain;
mod expression;
mod filter;
mod intake;
mod lane;
mod made;
mod mask;
mod nonce;
mod normalise;
mod number;
mod object;
mod origin;
mod path;
mod pipeline;
mod privacy;
mod quick;
mod read;
mod render;
mod request;
mod resolve;
mod rule;
mod secret;
mod send;
mod shape;
mod template;
mod value;

pub use address::{Address, Call, EndpointKey};
pub use answers::{Answers, ItemVerdicts, Verdict};
pub use bots::{BotAct, Bots};
pub use clean::{Clean, Refuse};
pub use consent::{Categories, Category, ConsentPlan, ConsentSource, Gate, Unknown};
pub use explain::{Explained, Taken};
pub use expression::{Bound, Expression, ExpressionError, MAX_EXPRESSION, Parsed, Referenced};
pub use filter::{Filters, WHOLE};
pub use intake::{Ga4, Intake, Remember, WriteKey};
pub use lane::{LaneParts, LanePlan};
pub use made::{Applied, Ended, Made, Send};
pub use nonce::NonceForm;
pub use normalise::{Normaliser, sha256_hex};
pub use number::is_json_number;
pub use origin::Origin;
pub use path::{Path, PathError, find};
pub use pipeline::PipelinePlan;
pub use privacy::{Privacy, Redact, Redacted};
pub use read::{ItemPaths, Paths, ReadError, Slot, Values};
pub use request::{Auth, BatchLimits, BodyKind, Encoding, Hmac, OAuth2, RequestPlan};
pub use resolve::{Otherwise, Resolve};
pub use rule::{Action, Rule, Rules};
pub use secret::Secret;
pub use send::{Case, Check, Each, Field, Kind, Narrow, SendPlan, Shape, Source, ValueMap};
pub use template::{Piece, Template};

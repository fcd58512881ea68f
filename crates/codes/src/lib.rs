//! The page of each stable code: what `anole explain CODE`, the console and the manual say of it.
//!
//! One text serves all three: `docs/codes/CODE.md`, embedded here. A page has a fixed form, so that a reader in a hurry knows
//! where to look, and so that a program can take it apart:
//!
//! ```markdown
//! # the_code
//!
//! *Place where it is told; another place*
//!
//! What it means, in a paragraph.
//!
//! ## Why it happens
//! ## What anole did
//! ## What to do
//! ## Example
//! ## See also
//! ```
//!
//! A word that is told in two places has one page that speaks of both: whoever types it does not know which it was. Which codes
//! there are is known by the crates that tell them; the crate `anole` holds both lists against each other in a test. Rejected:
//! texts beside the enums, which end as a sentence each and which nobody sees in the manual.

mod block;
mod index;
mod page;
mod pages;
mod place;

pub use block::{Block, Inline, inlines};
pub use index::index;
pub use page::Page;
pub use pages::{all, page};
pub use place::Place;

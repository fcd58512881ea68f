//! The protocols, one module each. All end in the same place: drafts of events that [`crate::keep`] makes durable.

pub(crate) mod measurement;
pub(crate) mod pixel;
pub(crate) mod segment;
pub(crate) mod signed;
mod values;
pub(crate) mod web;

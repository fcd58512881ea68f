//! The protocols, one module each. All end in the same place: drafts of events that [`crate::keep`] makes durable.

pub(crate) mod measurement;
pub(crate) mod segment;
pub(crate) mod web;

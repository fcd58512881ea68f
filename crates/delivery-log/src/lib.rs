//! The searchable history of attempts and outcomes.

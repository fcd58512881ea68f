//! Admin HTTP API and web console.

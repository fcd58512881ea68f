//! The durable log of accepted events: contract, conformance suite, embedded segments.

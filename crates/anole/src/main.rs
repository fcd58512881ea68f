//! A server-side event forwarder: durable before it answers, delivered, and explained.

fn main() {}

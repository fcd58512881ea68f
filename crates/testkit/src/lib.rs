//! Fake vendor, fault injection, kill harness, conservation oracle. Development only.

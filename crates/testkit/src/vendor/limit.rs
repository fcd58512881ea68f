//! A vendor's rate limit.

use tokio::time::Instant;

/// Tokens for requests: so many come in a second, and a second's worth is kept.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    tokens: f64,
    at: Instant,
}

// === impl Bucket ===

impl Bucket {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, tokens: rate, at: Instant::now() }
    }

    /// Whether a request may pass.
    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        self.tokens = (self.tokens + (now - self.at).as_secs_f64() * self.rate).min(self.rate.max(1.0));
        self.at = now;
        let passes = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(passes));
        passes
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self::new(1.0)
    }
}

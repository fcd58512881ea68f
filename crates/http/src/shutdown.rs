//! The word that a listener, and whoever else watches it, should come to an end.

use std::sync::Arc;

use tokio::sync::watch;

/// A switch that is thrown once. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

// === impl Shutdown ===

impl Shutdown {
    /// A switch that has not been thrown.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Throws the switch. A second time changes nothing.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has been thrown.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is thrown; returns at once when it has been.
    pub async fn wait(&self) {
        let mut seen = self.0.subscribe();
        // An error would mean that the sender is gone, but `self` holds it.
        let _held_by_self = seen.wait_for(|begun| *begun).await.is_err();
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clone_hears_it_and_so_does_one_who_comes_late() {
        let shutdown = Shutdown::new();
        let clone = shutdown.clone();
        let waiter = tokio::spawn(async move { clone.wait().await });
        assert!(!shutdown.has_begun());
        shutdown.begin();
        waiter.await.unwrap();
        shutdown.wait().await;
        assert!(shutdown.has_begun());
    }
}

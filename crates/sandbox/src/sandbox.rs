//! A running sandbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anole_http::{BindError, ListenOptions, Listener, Shutdown};
use anole_telemetry::Telemetry;
use http::StatusCode;
use tokio::task::JoinHandle;

use crate::fault::{ActiveFault, Fault, FaultError};
use crate::inner::Inner;
use crate::options::Options;
use crate::service;
use crate::store::{Received, Stats};
use crate::view::{Arrived, Filter};

/// A running sandbox. It stops when it is dropped.
pub struct Sandbox {
    address: SocketAddr,
    inner: Arc<Inner>,
    served: JoinHandle<()>,
}

/// A sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The status of success is none.
    #[error("{0} is not a status of success: use 204, as documented, or 200")]
    Success(u16),
}

// === impl Sandbox ===

impl Sandbox {
    /// Starts a sandbox.
    ///
    /// # Errors
    ///
    /// When the address cannot be had, or the status of success is none.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let success = StatusCode::from_u16(options.success).ok().filter(StatusCode::is_success);
        let success = success.ok_or(StartError::Success(options.success))?;
        let telemetry = options.telemetry.clone().unwrap_or_else(|| Telemetry::new(Arc::clone(&options.clock)));
        // A stand-in has nothing to bring to safety, so it does not wait long for those who are still sending.
        let listen = ListenOptions { grace: Duration::from_secs(1), ..ListenOptions::new("sandbox", options.address) };
        let listener = Listener::bind(listen, telemetry).await?;
        let address = listener.local_addr();
        let stop = Shutdown::new();
        let inner = Arc::new(Inner::new(&options, success, stop.clone()));
        let shared = Arc::clone(&inner);
        let service = move |request, peer| service::answer(Arc::clone(&shared), request, peer);
        let served = tokio::spawn(listener.serve(service, stop));
        Ok(Self { address, inner, served })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin, `http://127.0.0.1:PORT`: the base URL for a destination, and the address of its page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The kept events that match, newest last.
    #[must_use]
    pub fn events(&self, filter: &Filter) -> Vec<Arrived> {
        let kept = self.inner.state().store.kept();
        filter.search(&kept)
    }

    /// The kept requests, newest last.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<Received>> {
        self.inner.state().store.kept()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.state().store.stats()
    }

    /// Waits until the counters satisfy a condition, which is asked after each change.
    pub async fn wait_for(&self, mut condition: impl FnMut(&Stats) -> bool) -> Stats {
        let mut changed = self.inner.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let stats = self.stats();
            if condition(&stats) {
                return stats;
            }
            // An error would mean that the sender is gone, which `self` holds.
            let _held_by_self = changed.changed().await.is_err();
        }
    }

    /// Sets a fault; returns its number.
    ///
    /// # Errors
    ///
    /// When it makes no sense.
    pub fn set_fault(&self, fault: Fault) -> Result<u64, FaultError> {
        let id = self.inner.state().faults.set(fault)?;
        self.inner.tell_changed();
        Ok(id)
    }

    /// The faults that are set.
    #[must_use]
    pub fn faults(&self) -> Vec<ActiveFault> {
        self.inner.state().faults.list()
    }

    /// Heals one fault; false when there is none of this number.
    pub fn heal(&self, id: u64) -> bool {
        self.inner.heal(Some(id))
    }

    /// Heals all faults. Requests that hang are closed.
    pub fn heal_all(&self) {
        self.inner.heal(None);
    }

    /// Forgets what arrived, the counters and the nonces. Faults and tokens stay.
    pub fn reset(&self) {
        self.inner.state().store.reset();
        self.inner.tell_changed();
    }

    /// Makes all tokens invalid.
    pub fn revoke_tokens(&self) {
        self.inner.state().tokens.revoke();
    }

    /// Stops it and waits until its port is closed and no connection is left.
    pub async fn stop(mut self) {
        self.inner.stop.begin();
        // An error is a panic in the accept loop: it has ended in that case too.
        let _ended = (&mut self.served).await.is_ok();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.inner.stop.begin();
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("address", &self.address).finish_non_exhaustive()
    }
}

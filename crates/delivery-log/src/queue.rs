//! A bounded queue from async callers to a thread of its own.
//!
//! SQLite blocks, so it lives on threads. A semaphore with as many permits as the standard channel has places makes the
//! waiting async, and the send never finds the channel full.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The thread behind a queue has ended.
pub(crate) struct Gone;

/// What a thread that waits for jobs is given.
pub(crate) enum Next<J> {
    /// A job.
    Job(J),
    /// None came for a while.
    Idle,
    /// None will come any more.
    Gone,
}

/// The callers' end.
pub(crate) struct Queue<J> {
    send: SyncSender<(J, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

/// The thread's end.
pub(crate) struct Jobs<J>(Receiver<(J, OwnedSemaphorePermit)>);

pub(crate) fn queue<J>(places: usize) -> (Queue<J>, Jobs<J>) {
    let (send, receive) = sync_channel(places);
    (Queue { send, room: Arc::new(Semaphore::new(places)) }, Jobs(receive))
}

// === impl Queue ===

impl<J> Clone for Queue<J> {
    fn clone(&self) -> Self {
        Self { send: self.send.clone(), room: Arc::clone(&self.room) }
    }
}

impl<J> Queue<J> {
    /// Puts a job in, waiting for a place.
    pub(crate) async fn put(&self, job: J) -> Result<(), Gone> {
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Gone)?;
        self.send.try_send((job, place)).map_err(|_| Gone)
    }
}

// === impl Jobs ===

impl<J> Jobs<J> {
    /// The next job, or that none came for so long.
    pub(crate) fn next_within(&self, time: Duration) -> Next<J> {
        match self.0.recv_timeout(time) {
            Ok((job, _place)) => Next::Job(job),
            Err(RecvTimeoutError::Timeout) => Next::Idle,
            Err(RecvTimeoutError::Disconnected) => Next::Gone,
        }
    }

    /// A job that waits already.
    pub(crate) fn next_now(&self) -> Option<J> {
        self.0.try_recv().ok().map(|(job, _place)| job)
    }
}

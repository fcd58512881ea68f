//! The live feed: server-sent events of what happens to events, as it happens.

use std::sync::Arc;
use std::time::Duration;

use anole_http::Shutdown;
use anole_http::body::Body;
use anole_telemetry::Telemetry;

/// Pieces that wait for a slow viewer before it misses events.
const AHEAD: usize = 64;
/// A silent connection is kept open by a comment this often.
const ALIVE: Duration = Duration::from_secs(15);

/// A body that tells what happens from now on, until the viewer goes or the daemon ends. A viewer that is too slow
/// misses events and is told how many; nothing waits for it.
#[must_use]
pub fn feed(telemetry: &Arc<Telemetry>, shutdown: Shutdown) -> Body {
    let (sender, body) = Body::channel(AHEAD);
    let mut listener = telemetry.tap().listen();
    tokio::spawn(async move {
        loop {
            let text = tokio::select! {
                told = listener.next() => match told {
                    Some(Ok(event)) => match serde_json::to_string(&*event) {
                        Ok(json) => format!("data: {json}\n\n"),
                        Err(_) => continue,
                    },
                    Some(Err(missed)) => format!("event: missed\ndata: {{\"missed\":{missed}}}\n\n"),
                    None => return,
                },
                () = tokio::time::sleep(ALIVE) => ": alive\n\n".to_owned(),
                () = sender.gone() => return,
                () = shutdown.wait() => return,
            };
            if sender.send(text).await.is_err() {
                return;
            }
        }
    });
    body
}

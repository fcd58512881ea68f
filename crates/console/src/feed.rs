//! The live feed: server-sent events of what happens to events, as it happens.
//!
//! The way of an event is never slowed by who watches it:
//!
//! - the tap is a bounded broadcast that nobody waits for; who falls behind in it learns how many events were missed;
//! - a viewer is given at most [`MOST`] events in [`TURN`], as nobody reads more and each costs a piece of JSON. Events beyond are
//!   counted and told as missed. A viewer is woken once in a turn and not by each event, which at 100,000 events a second and ten
//!   viewers would cost more than the events themselves;
//! - a viewer that takes nothing for [`PATIENCE`] is dropped: from then on nothing is kept for it but one last piece that says so,
//!   which it finds when it reads on. Its connection ends by the listener's own timeout when it never does.

use std::sync::Arc;
use std::time::Duration;

use anole_http::Shutdown;
use anole_http::body::{Body, BodySender};
use anole_telemetry::{TapEvent, TapReader, Telemetry};
use tokio::time::timeout;

use crate::params::Params;

/// Pieces that wait for a slow viewer.
const AHEAD: usize = 4;
/// How often a viewer is given what happened.
const TURN: Duration = Duration::from_millis(100);
/// Events that a viewer is given in a turn.
const MOST: usize = 100;
/// A viewer that takes nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(5);
/// Turns without a word after which a comment keeps the connection open.
const ALIVE: u32 = 150;
/// What a viewer can choose by.
pub(crate) const FILTERS: [&str; 5] = ["stage", "lane", "state", "event", "message_id"];
/// The stages of an event's way.
pub const STAGES: [&str; 5] = ["accepted", "duplicate", "rejected", "attempt", "outcome"];

/// What a viewer wants to see. Nothing given asks for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedFilter(Params);

/// What happened in a turn.
#[derive(Default)]
struct Turn {
    text: String,
    events: usize,
    missed: u64,
}

/// A body that tells what happens from now on, until the viewer goes or the daemon ends. A viewer that is too slow is
/// dropped and told so; one for whom too much happens is told how much it missed. Nothing waits for it.
#[must_use]
pub fn feed(telemetry: &Arc<Telemetry>, filter: FeedFilter, shutdown: Shutdown) -> Body {
    let (sender, body) = Body::channel(AHEAD);
    let listener = telemetry.tap().listen();
    tokio::spawn(async move {
        tokio::select! {
            () = watch(listener, &filter, &sender) => {}
            () = sender.gone() => {}
            () = shutdown.wait() => {}
        }
    });
    body
}

/// Gives a viewer turn after turn, until it is gone or too slow.
async fn watch(mut listener: TapReader, filter: &FeedFilter, sender: &BodySender) {
    let mut silent = 0;
    // The first piece opens the connection: a browser takes it for open only then.
    let mut piece = ": open\n\n".to_owned();
    loop {
        match timeout(PATIENCE, sender.send(piece)).await {
            Ok(Ok(())) => {}
            Ok(Err(_gone)) => return,
            Err(_late) => break,
        }
        let turn = loop {
            tokio::time::sleep(TURN).await;
            let turn = Turn::of(&mut listener, filter);
            silent += 1;
            if turn.events > 0 || turn.missed > 0 || silent >= ALIVE {
                break turn;
            }
        };
        silent = 0;
        piece = turn.piece();
    }
    drop(listener);
    let seconds = PATIENCE.as_secs();
    let last = format!(
        "event: dropped\ndata: {{\"message\":\"You were dropped: nothing was read here for {seconds} s. What happened since was not kept \
         for you; no event was delayed by it.\"}}\n\n"
    );
    // Whoever never reads on is closed by the listener.
    let _gone = sender.send(last).await;
}

// === impl Turn ===

impl Turn {
    /// What is there by now.
    fn of(listener: &mut TapReader, filter: &FeedFilter) -> Self {
        let mut turn = Self::default();
        while let Some(told) = listener.try_next() {
            match told {
                Ok(event) if !filter.wants(&event) => {}
                Ok(_) if turn.events >= MOST => turn.missed += 1,
                Ok(event) => {
                    if let Ok(json) = serde_json::to_string(&*event) {
                        turn.text.push_str("data: ");
                        turn.text.push_str(&json);
                        turn.text.push_str("\n\n");
                        turn.events += 1;
                    }
                }
                Err(missed) => turn.missed += missed,
            }
        }
        turn
    }

    fn piece(self) -> String {
        match (self.events, self.missed) {
            (0, 0) => ": alive\n\n".to_owned(),
            (_, 0) => self.text,
            (_, missed) => format!("{}event: missed\ndata: {{\"missed\":{missed}}}\n\n", self.text),
        }
    }
}

// === impl FeedFilter ===

impl FeedFilter {
    /// The filter of an address: `stage`, `lane`, `state`, `event`, `message_id`.
    #[must_use]
    pub fn of(query: Option<&str>) -> Self {
        Self(Params::of(query).only(&FILTERS))
    }

    fn wants(&self, told: &TapEvent) -> bool {
        self.0.pairs().all(|(name, wanted)| match (name, told) {
            ("stage", TapEvent::Accepted { .. }) => wanted == "accepted",
            ("stage", TapEvent::Duplicate { .. }) => wanted == "duplicate",
            ("stage", TapEvent::Rejected { .. }) => wanted == "rejected",
            ("stage", TapEvent::Attempt { .. }) => wanted == "attempt",
            ("stage", TapEvent::Outcome { .. }) => wanted == "outcome",
            ("lane", TapEvent::Outcome { lane, .. } | TapEvent::Attempt { lane, .. }) => lane.as_str() == wanted,
            ("state", TapEvent::Outcome { state, .. }) => state.as_str() == wanted,
            (
                "event",
                TapEvent::Outcome { event, .. } | TapEvent::Accepted { event, .. } | TapEvent::Duplicate { event, .. },
            ) => **event == *wanted,
            (
                "message_id",
                TapEvent::Outcome { message_id, .. }
                | TapEvent::Accepted { message_id, .. }
                | TapEvent::Duplicate { message_id, .. }
                | TapEvent::Rejected { message_id: Some(message_id), .. },
            ) => **message_id == *wanted,
            // What has no such thing is not what was asked for.
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use anole_event::{LaneId, ManualClock, Reason, State, Timestamp};
    use anole_http::body::BoxError;
    use http_body::Body as _;

    use super::*;

    fn outcome(lane: &str, state: State) -> TapEvent {
        TapEvent::Outcome {
            at: Timestamp::default(),
            lane: LaneId::from_text(lane),
            event: "Order Completed".into(),
            message_id: "m".into(),
            state,
            reason: Reason::Accepted,
            detail: None,
            status: Some(200),
            marks: Vec::new(),
        }
    }

    async fn piece(body: &mut Body) -> Option<String> {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await?;
        let data = frame.map_err(|error: BoxError| error.to_string()).ok()?.into_data().ok()?;
        Some(String::from_utf8_lossy(&data).into_owned())
    }

    #[test]
    fn a_filter_chooses_what_a_viewer_sees() {
        let delivered = outcome("shop/kameleoon", State::Delivered);
        for (query, wanted) in [
            ("", true),
            ("lane=shop%2Fkameleoon&state=delivered", true),
            ("stage=outcome&event=Order+Completed&message_id=m", true),
            ("stage=accepted", false),
            ("lane=shop%2Fother", false),
            ("state=parked", false),
        ] {
            assert_eq!(FeedFilter::of(Some(query)).wants(&delivered), wanted, "{query}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_be_shown_all_is_told_how_much_is_missing() {
        let telemetry = Telemetry::new(Arc::new(ManualClock::default()));
        let mut body = feed(&telemetry, FeedFilter::default(), Shutdown::new());
        assert_eq!(piece(&mut body).await.as_deref(), Some(": open\n\n"));
        for _ in 0..MOST + 7 {
            telemetry.tap().tell(|| outcome("shop/kameleoon", State::Delivered));
        }
        let text = piece(&mut body).await.unwrap();
        assert_eq!(text.matches("data: {\"stage\":\"outcome\"").count(), MOST);
        assert!(text.ends_with("event: missed\ndata: {\"missed\":7}\n\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_viewer_is_dropped_and_told_so_when_it_reads_on() {
        let telemetry = Telemetry::new(Arc::new(ManualClock::default()));
        let mut body = feed(&telemetry, FeedFilter::default(), Shutdown::new());
        // It reads nothing, while one event after the other fills what is kept for it.
        while telemetry.tap().is_heard() {
            telemetry.tap().tell(|| outcome("shop/kameleoon", State::Delivered));
            tokio::time::sleep(TURN).await;
        }
        let mut last = String::new();
        let mut pieces = 0;
        while let Some(text) = piece(&mut body).await {
            last = text;
            pieces += 1;
        }
        assert!(last.starts_with("event: dropped\ndata: {\"message\":\"You were dropped"), "{last}");
        assert!(pieces <= AHEAD + 2, "{pieces} pieces were kept");
    }
}

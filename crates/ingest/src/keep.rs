//! Making events durable: known ones apart, the others into the journal, in one append per request.
//!
//! The answer may be given when this returns: every event is then in the journal at the journal's level of safety, also
//! those that another request is just bringing there.

use std::sync::Arc;

use anole_event::{Event, Fingerprint, Head, Kind, OrderKey, Reason, Record};
use anole_pipeline::{BotAct, Intake};
use anole_telemetry::{EventsRefused, RobotsSeen, TapEvent};

use crate::answer::Stop;
use crate::dedup::{Flight, Seen};
use crate::draft::Draft;
use crate::landing::{Appending, Landing};
use crate::{Ingest, identity, redact};

/// What most events need when they are written.
const USUAL_BYTES: usize = 1024;

/// Events sorted by what is known of them.
struct Sorted {
    records: Vec<Record>,
    booked: Vec<u128>,
    heard: Vec<(Arc<str>, Arc<str>)>,
    known: u64,
    /// Name and message id of the known ones, where somebody listens to the tap.
    heard_again: Vec<(Arc<str>, Arc<str>)>,
    /// Appends of other requests that bring some of the events.
    others: Vec<Arc<Flight>>,
}

impl Ingest {
    /// Makes the events of a request durable.
    ///
    /// # Errors
    /// When the journal does not take them, or does not take those of another request that are the same.
    pub(crate) async fn keep(
        self: &Arc<Self>,
        intake: &Intake,
        protocol: &'static str,
        drafts: &mut [Draft<'_>],
    ) -> Result<(), Stop> {
        let Some(received_at) = drafts.first().map(|draft| draft.event.received_at) else { return Ok(()) };
        redact::redact(&intake.privacy, drafts);
        identity::resolve(self.state(), self.telemetry(), intake, drafts).await;
        let flight = Arc::new(Flight::default());
        let sorted = self.sort(intake, drafts, &flight);
        if sorted.known > 0 {
            let (reason, events) = (Reason::SeenBefore, sorted.known);
            self.telemetry().emit(EventsRefused { pipeline: &intake.pipeline, reason, events });
            for (event, message_id) in sorted.heard_again {
                let (at, pipeline) = (received_at, Arc::clone(&intake.pipeline));
                self.telemetry().tap().tell(|| TapEvent::Duplicate { at, pipeline, event, message_id });
            }
        }
        if !sorted.records.is_empty() {
            let landing = Landing {
                dedup: Arc::clone(self.dedup()),
                telemetry: Arc::clone(self.telemetry()),
                clock: Arc::clone(self.clock()),
                fingerprints: sorted.booked,
                flight,
                pipeline: Arc::clone(&intake.pipeline),
                protocol,
                received_at,
                events: sorted.records.len() as u64,
                heard: sorted.heard,
                over: false,
            };
            let appending = Appending::new(self.journal().append(sorted.records), landing);
            appending.end().await.map_err(|error| {
                self.note_trouble(&error);
                Stop::journal(&error)
            })?;
            self.note_success();
        }
        for other in sorted.others {
            if !other.landed().await {
                return Err(Stop::original_failed());
            }
        }
        Ok(())
    }

    /// Counts a robot's events, and says whether they are not to be kept.
    pub(crate) fn turns_away(&self, intake: &Intake, bot: Option<BotAct>, events: usize) -> bool {
        let Some(act) = bot.filter(|_| events > 0) else { return false };
        let (pipeline, events, dropped) = (&*intake.pipeline, events as u64, act == BotAct::Drop);
        self.telemetry().emit(RobotsSeen { pipeline, dropped, events });
        if dropped {
            self.telemetry().emit(EventsRefused { pipeline, reason: Reason::UserAgent, events });
        }
        dropped
    }

    fn sort(&self, intake: &Intake, drafts: &[Draft<'_>], flight: &Arc<Flight>) -> Sorted {
        let fingerprints: Vec<Fingerprint> = drafts.iter().map(|draft| fingerprint(&intake.pipeline, draft)).collect();
        // An id that was made here cannot come again, so it takes no room in the window.
        let asked: Vec<u128> =
            drafts.iter().zip(&fingerprints).filter(|(draft, _)| !draft.made).map(|(_, it)| it.0).collect();
        let mut seen = self.dedup().board(&asked, flight, self.clock().now()).into_iter();
        let mut sorted = Sorted {
            records: Vec::with_capacity(drafts.len()),
            booked: Vec::with_capacity(asked.len()),
            heard: Vec::new(),
            known: 0,
            heard_again: Vec::new(),
            others: Vec::new(),
        };
        let is_heard = self.telemetry().tap().is_heard();
        let mut body = Vec::with_capacity(USUAL_BYTES);
        for (Draft { event, made, .. }, fingerprint) in drafts.iter().zip(fingerprints) {
            let told = || (Arc::from(name(event)), Arc::from(&*event.message_id));
            let seen = if *made { Some(Seen::New) } else { seen.next() };
            if is_heard && matches!(seen, Some(Seen::Known | Seen::Flying(_))) {
                sorted.heard_again.push(told());
            }
            match seen {
                Some(Seen::Known) => sorted.known += 1,
                Some(Seen::Flying(other)) => {
                    sorted.known += 1;
                    if !Arc::ptr_eq(&other, flight) && !sorted.others.iter().any(|it| Arc::ptr_eq(it, &other)) {
                        sorted.others.push(other);
                    }
                }
                Some(Seen::New) | None => {
                    if !made {
                        sorted.booked.push(fingerprint.0);
                    }
                    if is_heard {
                        sorted.heard.push(told());
                    }
                    body.clear();
                    event.write_json(&mut body);
                    sorted.records.push(record(event, fingerprint, &body));
                }
            }
        }
        sorted
    }
}

/// What is taken again has a fingerprint of its own: so it is taken once more, and not twice.
fn fingerprint(pipeline: &str, draft: &Draft<'_>) -> Fingerprint {
    let id = &draft.event.message_id;
    if draft.again { Fingerprint::of(pipeline, &format!("{id} again")) } else { Fingerprint::of(pipeline, id) }
}

fn name<'e>(event: &'e Event<'_>) -> &'e str {
    event.event.as_deref().unwrap_or_else(|| event.event_type.as_str())
}

fn record(event: &Event<'_>, fingerprint: Fingerprint, body: &[u8]) -> Record {
    let head = Head {
        kind: Kind::Event,
        event_type: event.event_type,
        protocol: event.protocol,
        received_at: event.received_at,
        order_key: OrderKey::of(event.anonymous_id.as_deref(), event.user_id.as_deref(), &event.message_id),
        fingerprint,
        pipeline: &event.pipeline,
        name: event.event.as_deref().unwrap_or_default(),
        source_name: event.source_name.as_deref().unwrap_or_default(),
    };
    Record::new(&head, body)
}

//! A folder with configuration, and events in the canonical form.

use std::collections::BTreeMap;
use std::sync::Arc;

use anole_config::{ConfigErrors, Loaded, load};
use anole_event::{EventType, Fingerprint, Head, Kind, LaneId, OrderKey, Timestamp};
use anole_pipeline::{Applied, Ended, LanePlan, Made, PipelinePlan, Send};
use bytes::Bytes;

/// A temporary folder with pipelines and blueprints.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for folder in ["pipelines", "blueprints"] {
            std::fs::create_dir(dir.path().join(folder)).expect("a folder");
        }
        Self { dir, env: BTreeMap::new() }
    }

    /// A folder with one pipeline.
    pub(crate) fn with(pipeline: &str) -> Self {
        Self::new().pipeline("shop.yaml", pipeline)
    }

    pub(crate) fn pipeline(self, file: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join("pipelines").join(file), text).expect("a file");
        self
    }

    pub(crate) fn blueprint(self, file: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join("blueprints").join(file), text).expect("a file");
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn load(&self) -> Result<Loaded, ConfigErrors> {
        let env = |name: &str| self.env.get(name).cloned();
        load(&self.dir.path().join("pipelines"), Some(&self.dir.path().join("blueprints")), &env)
    }

    /// The plan of the only pipeline.
    pub(crate) fn plan(&self) -> Arc<PipelinePlan> {
        let loaded = self.load().unwrap_or_else(|errors| panic!("{errors}"));
        Arc::clone(&loaded.pipelines[0])
    }

    /// All that is wrong, as a person reads it, with the folder taken out of the names of files.
    pub(crate) fn errors(&self) -> String {
        let errors = self.load().expect_err("something is wrong");
        self.shown(&errors.render(false))
    }

    /// The warnings, in one line each.
    pub(crate) fn warnings(&self) -> String {
        let loaded = self.load().unwrap_or_else(|errors| panic!("{errors}"));
        let lines: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        self.shown(&lines.join("\n"))
    }

    fn shown(&self, text: &str) -> String {
        let folder = format!("{}/", self.dir.path().display());
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").replace(&folder, "")
    }
}

/// The example shop's head with the destination's settings, and further lines below the destination.
pub(crate) fn shop(more: &str) -> String {
    format!(
        "pipeline: shop\nkeys: [ {{ key: dk_live_shop }} ]\ndestinations:\n  - blueprint: kameleoon\n    \
         settings: {{ site_code: f17c21u1ag, region: eu }}\n{more}"
    )
}

/// An event: its head, and its canonical JSON.
pub(crate) struct Event {
    pub(crate) event_type: EventType,
    pub(crate) name: String,
    pub(crate) source_name: String,
    pub(crate) json: String,
}

pub(crate) fn track(name: &str, rest: &str) -> Event {
    let json =
        format!(r#"{{"type":"track","message_id":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","event":"{name}"{rest}}}"#);
    Event { event_type: EventType::Track, name: name.to_owned(), source_name: name.to_owned(), json }
}

pub(crate) fn page(rest: &str) -> Event {
    let json = format!(r#"{{"type":"page","message_id":"1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d"{rest}}}"#);
    Event { event_type: EventType::Page, name: String::new(), source_name: String::new(), json }
}

impl Event {
    pub(crate) fn apply(&self, plan: &PipelinePlan, lane: &LanePlan) -> Vec<Made> {
        let head = Head {
            kind: Kind::Event,
            event_type: self.event_type,
            protocol: "segment",
            received_at: Timestamp::from_millis(0),
            order_key: OrderKey(0),
            fingerprint: Fingerprint(0),
            pipeline: "shop",
            name: &self.name,
            source_name: &self.source_name,
        };
        let values = plan.read(Bytes::copy_from_slice(self.json.as_bytes())).expect("a canonical event");
        match lane.apply(&head, &values) {
            Applied::Made(made) => made.into_vec(),
            _ => panic!("this version makes sends only"),
        }
    }

    /// What the only lane makes of it.
    pub(crate) fn made(&self, plan: &PipelinePlan) -> Vec<Made> {
        self.apply(plan, &plan.lanes[0])
    }

    /// The only send that it gives.
    pub(crate) fn sent(&self, plan: &PipelinePlan) -> Send {
        match &*self.made(plan) {
            [Made::Send(send)] => send.clone(),
            other => panic!("not one send: {other:?}"),
        }
    }

    /// How it ended without a send.
    pub(crate) fn ended(&self, plan: &PipelinePlan) -> Ended {
        match &*self.made(plan) {
            [Made::Ended(ended)] => ended.clone(),
            other => panic!("not one end: {other:?}"),
        }
    }

    /// How it ended, as `state/reason: detail`.
    pub(crate) fn outcome(&self, plan: &PipelinePlan) -> String {
        let outcome = self.ended(plan).outcome;
        match outcome.detail {
            Some(detail) => format!("{}/{}: {detail}", outcome.state, outcome.reason),
            None => format!("{}/{}", outcome.state, outcome.reason),
        }
    }

    /// The item of its only send.
    pub(crate) fn item(&self, plan: &PipelinePlan) -> String {
        String::from_utf8(self.sent(plan).item.to_vec()).expect("UTF-8")
    }

    /// The body of a request that carries its only send.
    pub(crate) fn body(&self, plan: &PipelinePlan) -> String {
        let send = self.sent(plan);
        let body = plan.lanes[0].requests[send.address.request].assemble(&[send.item]);
        String::from_utf8(body.to_vec()).expect("UTF-8")
    }
}

pub(crate) fn lane(name: &str) -> LaneId {
    LaneId::from_text(name)
}

//! What a pipeline compiles to for ingest.

use std::sync::Arc;

use crate::{Bots, Clean, ConsentPlan, Path, Privacy, Secret};

/// What ingest needs of a pipeline. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intake {
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// The write keys.
    pub keys: Vec<WriteKey>,
    /// The secrets by which back ends sign what they send to `/v1/events`; none: nothing is taken there. Several are for the
    /// time in which one follows another.
    pub signing: Vec<Secret>,
    /// How GA4 clients are known.
    pub ga4: Option<Ga4>,
    /// Whether GA4's names and parameters become those of the Segment spec.
    pub translate: bool,
    /// The cookies that some blueprint of the pipeline asks for, each once, sorted.
    pub cookies: Vec<Arc<str>>,
    /// What the identity map remembers for a visitor and a user.
    pub remember: Vec<Remember>,
    /// How consent is known; `None`: what clients say of it is kept in their words, and nothing is gated.
    pub consent: Option<ConsentPlan>,
    /// What is dropped and hashed before anything is kept.
    pub privacy: Privacy,
    /// How robots are treated.
    pub bots: Bots,
}

/// A write key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteKey {
    /// The key. Browsers show it to everybody; back ends keep it, so it is treated as a secret.
    pub key: Secret,
    /// The origins from which browsers may use it, such as `https://shop.example.com`; empty: from anywhere.
    pub origins: Vec<String>,
}

/// How GA4 clients are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ga4 {
    /// The measurement ids (`G-…`) that belong to the pipeline.
    pub measurement_ids: Vec<String>,
    /// What Measurement Protocol requests must give; `None`: they are refused.
    pub api_secret: Option<Secret>,
    /// The origins of pages whose tag may send, such as `https://shop.example.com`; empty: any.
    pub origins: Vec<String>,
}

/// Something that the identity map remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remember {
    /// Its name under `identity`.
    pub name: Arc<str>,
    /// Where an event says it; the first that gives a clean value counts.
    pub sources: Vec<Path>,
    /// How it is cleaned before it is kept.
    pub clean: Clean,
}

// === impl Intake ===

impl Intake {
    /// The intake of a pipeline that nobody can send to yet.
    #[must_use]
    pub fn new(pipeline: &str) -> Self {
        Self {
            pipeline: pipeline.into(),
            keys: Vec::new(),
            signing: Vec::new(),
            ga4: None,
            translate: true,
            cookies: Vec::new(),
            remember: Vec::new(),
            consent: None,
            privacy: Privacy::default(),
            bots: Bots::default(),
        }
    }
}

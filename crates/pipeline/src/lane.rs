//! The plan of a lane.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use anole_event::LaneId;
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::address::{self, AddressError};
use crate::mask::Mask;
use crate::{Action, Address, Call, Expression, Filters, Gate, NonceForm, RequestPlan, Resolve, Rule, Rules, Secret};

/// What a destination compiles to. Immutable.
#[derive(Clone, Debug)]
pub struct LanePlan {
    /// The lane.
    pub lane: LaneId,
    /// Changes when anything changes that decides what is sent and how answers are read; not with the place in a file, and
    /// not with what other destinations do.
    pub hash: u64,
    /// The kinds of requests.
    pub requests: Vec<RequestPlan>,
    pub(crate) enabled: bool,
    pub(crate) when: Option<Expression>,
    pub(crate) filters: Filters,
    pub(crate) gate: Option<Gate>,
    pub(crate) account: Option<Arc<str>>,
    pub(crate) nonce: NonceForm,
    pub(crate) resolve: Option<Resolve>,
    pub(crate) rules: Rules,
    pub(crate) calls: Vec<Destined>,
    mask: Mask,
}

/// What a lane's plan is made of.
#[derive(Clone, Debug, Hash)]
pub struct LaneParts {
    /// The lane.
    pub lane: LaneId,
    /// Whether it sends at all; if not, its events are filtered.
    pub enabled: bool,
    /// What must hold of an event, or it is filtered.
    pub when: Option<Expression>,
    /// Which events it gets.
    pub filters: Filters,
    /// The consent that it needs; `None`: its pipeline gates nothing.
    pub gate: Option<Gate>,
    /// The account at the vendor; part of derived nonces.
    pub account: Option<Arc<str>>,
    /// How nonces are made.
    pub nonce: NonceForm,
    /// How the visitor is found.
    pub resolve: Option<Resolve>,
    /// The kinds of requests, each with where it goes.
    pub requests: Vec<(RequestPlan, Call)>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Where a request goes: known once for all, or for each event anew.
#[derive(Clone, Debug)]
pub(crate) enum Destined {
    Fixed(Arc<Address>),
    PerEvent { call: Call, credentials: u64 },
}

// === impl LaneParts ===

impl LaneParts {
    /// The parts of a lane that maps nothing.
    #[must_use]
    pub const fn new(lane: LaneId) -> Self {
        Self {
            lane,
            enabled: true,
            when: None,
            filters: Filters { sample: None, drop: Vec::new(), only: Vec::new() },
            gate: None,
            account: None,
            nonce: NonceForm::MessageId,
            resolve: None,
            requests: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl LaneParts {
    /// All secrets that requests are made with.
    fn secrets(&self) -> Vec<&Secret> {
        let mut secrets = Vec::new();
        for (request, call) in &self.requests {
            request.auth.secrets(&mut secrets);
            request.body.secrets(&mut secrets);
            for template in call.headers.iter().map(|(_, value)| value).chain([&call.url]) {
                template.secrets(&mut secrets);
            }
        }
        for rule in &self.rules {
            if let Action::Send(sends) = &rule.action {
                sends.iter().flat_map(|send| &send.fields).for_each(|field| field.source.secrets(&mut secrets));
            }
        }
        secrets
    }
}

// === impl LanePlan ===

impl LanePlan {
    /// Makes a plan.
    ///
    /// # Errors
    /// The index of a request whose fixed address cannot be called, with the reason; and of a request that a send names but
    /// that is not there.
    pub fn new(parts: LaneParts) -> Result<Self, (usize, String)> {
        let mut hash = Xxh3::new();
        parts.hash(&mut hash);
        let mask = Mask::of(&parts.secrets());
        let (mut requests, mut calls) = (Vec::new(), Vec::new());
        for (index, (request, call)) in parts.requests.into_iter().enumerate() {
            let destined = Destined::new(index, &request, call, parts.account.as_ref());
            calls.push(destined.map_err(|error| (index, error.to_string()))?);
            requests.push(request);
        }
        let sends = parts.rules.iter().filter_map(|rule| match &rule.action {
            Action::Send(sends) => Some(sends),
            Action::Off => None,
        });
        if let Some(send) = sends.flatten().find(|send| send.request >= requests.len()) {
            return Err((send.request, format!("the send {} names a request that is not there", send.name)));
        }
        Ok(Self {
            lane: parts.lane,
            hash: hash.finish(),
            requests,
            enabled: parts.enabled,
            when: parts.when,
            filters: parts.filters,
            gate: parts.gate,
            account: parts.account,
            nonce: parts.nonce,
            resolve: parts.resolve,
            rules: Rules::new(parts.rules),
            calls,
            mask,
        })
    }

    /// What is kept of a request or an answer: with stars in the place of the lane's secrets.
    #[must_use]
    pub fn without_secrets(&self, bytes: Bytes) -> Bytes {
        self.mask.bytes(bytes)
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether it sends at all.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The addresses that are known without an event.
    pub fn addresses(&self) -> impl Iterator<Item = &Arc<Address>> {
        self.calls.iter().filter_map(|call| match call {
            Destined::Fixed(address) => Some(address),
            Destined::PerEvent { .. } => None,
        })
    }
}

// === impl Destined ===

impl Destined {
    fn new(index: usize, request: &RequestPlan, call: Call, account: Option<&Arc<str>>) -> Result<Self, AddressError> {
        let credentials = address::credentials(&request.auth);
        if !call.is_fixed() {
            return Ok(Self::PerEvent { call, credentials });
        }
        let address = Address::new(index, &call.method, call.fixed(), account, credentials)?;
        Ok(Self::Fixed(Arc::new(address)))
    }
}

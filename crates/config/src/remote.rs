//! What a vendor can be asked about a destination, and what its answer says.
//!
//! A blueprint names the questions (`checks`), so that any vendor with a public description of an account, or a list of
//! what exists in it, can be asked without code. This module puts a question together and judges an answer; it sends
//! nothing. Only what an answer plainly contradicts is an error. A network that fails, a status that may mean anything,
//! a text that is no JSON, a list that may have been cut: nothing is known then, and that is a warning.

use std::sync::Arc;

use anole_event::LaneId;
use anole_pipeline::{Address, Auth, LaneParts, LanePlan, Path};
use serde_json::Value;

use crate::blueprint::CheckDef;
use crate::compile::Compiler;
use crate::problem::{Code, Problem};
use crate::rule::{ActionDef, Merged};
use crate::source::At;
use crate::value::SourceDef;

/// A question to a vendor about a destination.
#[derive(Clone, Debug)]
pub struct RemoteCheck {
    lane: LaneId,
    name: String,
    address: Arc<Address>,
    auth: Auth,
    missing: Option<String>,
    holds: Vec<Holds>,
    known: Option<Known>,
    /// The settings of the destination.
    at: At,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub enum RemoteAnswer<'a> {
    /// A status and a body.
    Answered(u16, &'a [u8]),
    /// None, and why.
    Failed(&'a str),
}

#[derive(Clone, Debug)]
struct Holds {
    place: Path,
    one_of: Vec<String>,
    hint: Option<String>,
}

#[derive(Clone, Debug)]
struct Known {
    field: String,
    list: Option<Path>,
    place: Path,
    complete_below: Option<usize>,
    /// The constants, and where each is written.
    constants: Vec<(String, At)>,
}

// === impl RemoteCheck ===

impl RemoteCheck {
    /// The lane that it is about.
    #[must_use]
    pub const fn lane(&self) -> &LaneId {
        &self.lane
    }

    /// Its name in the blueprint.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where to ask, by GET.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How to authenticate.
    #[must_use]
    pub const fn auth(&self) -> &Auth {
        &self.auth
    }

    /// What an answer says: nothing when all is as the destination says.
    #[must_use]
    pub fn judge(&self, answer: RemoteAnswer<'_>) -> Vec<Problem> {
        let body = match answer {
            RemoteAnswer::Answered(200..=299, body) => body,
            RemoteAnswer::Answered(404 | 410, _) if self.missing.is_some() => {
                let expected = format!("{} was asked", self.address.masked_url);
                let missing = self.missing.clone().unwrap_or_default();
                return vec![self.problem(Code::Remote, missing).expect(expected)];
            }
            RemoteAnswer::Answered(status @ (401 | 403), _) if self.auth != Auth::None => {
                let message = format!("the vendor refuses the credentials: it answered {status}");
                return vec![self.problem(Code::Remote, message).expect(format!("{} was asked", self.shown()))];
            }
            RemoteAnswer::Answered(status, _) => return vec![self.unsure(&format!("it answered {status}"))],
            RemoteAnswer::Failed(why) => return vec![self.unsure(why)],
        };
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return vec![self.unsure("its answer is no JSON")];
        };
        let mut problems: Vec<Problem> = self.holds.iter().filter_map(|holds| self.holds(holds, &body)).collect();
        if let Some(known) = &self.known {
            problems.extend(self.known(known, &body));
        }
        problems
    }

    fn holds(&self, holds: &Holds, body: &Value) -> Option<Problem> {
        let Some(found) = at(body, &holds.place).and_then(Value::as_str) else {
            return Some(self.unsure(&format!("its answer has no text at {}", holds.place)));
        };
        if holds.one_of.iter().any(|known| same(known, found)) {
            return None;
        }
        let message = format!("the vendor says {found} for {}", holds.place);
        let mut expected = format!("expected {}", crate::nearest::listed(holds.one_of.iter().map(String::as_str)));
        if let Some(hint) = &holds.hint {
            expected = format!("{expected}: {hint}");
        }
        Some(self.problem(Code::Remote, message).expect(expected))
    }

    fn known(&self, known: &Known, body: &Value) -> Vec<Problem> {
        let list = known.list.as_ref().map_or(Some(body), |list| at(body, list)).and_then(Value::as_array);
        let Some(list) = list else { return vec![self.unsure("its answer holds no list")] };
        let values: Vec<String> = list.iter().filter_map(|entry| at(entry, &known.place)).map(bare).collect();
        let cut = known.complete_below.is_some_and(|most| list.len() >= most);
        let unknown = known.constants.iter().filter(|(constant, _)| !values.contains(constant));
        let problems = unknown.map(|(constant, place)| {
            let message = format!("the vendor lists no {} {constant}", known.field);
            if cut {
                let problem = Problem::new(Code::RemoteUnsure, place.clone(), message).warning();
                return problem.expect(format!("only the first {} were looked at", list.len()));
            }
            let problem = Problem::new(Code::Remote, place.clone(), message);
            match crate::nearest::nearest(constant, values.iter().map(String::as_str)) {
                Some(name) => problem.suggest(name),
                None => problem.expect(format!("{} was asked", self.shown())),
            }
        });
        problems.collect()
    }

    fn shown(&self) -> &str {
        &self.address.masked_url
    }

    fn problem(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::new(code, self.at.clone(), message)
    }

    fn unsure(&self, why: &str) -> Problem {
        let message = format!("`{}` of {} could not be checked: {why}", self.name, self.lane);
        let problem = self.problem(Code::RemoteUnsure, message).warning();
        problem.expect(format!("{} was asked", self.shown()))
    }
}

/// A value in an answer.
fn at<'v>(value: &'v Value, path: &Path) -> Option<&'v Value> {
    path.steps().iter().try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(&**step),
    })
}

/// A value without the quotes of a text, as ids are numbers here and texts there.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether an answer's text is the expected one; of an address, its host will do.
fn same(expected: &str, found: &str) -> bool {
    let host = |text: &str| {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase()
    };
    expected == found || host(expected) == host(found)
}

// === impl Compiler ===

impl Compiler<'_> {
    /// The questions that can be asked about a destination. Those whose credentials are not given are left out.
    pub(crate) fn checks(&mut self, lane: &LaneId, rules: &[Merged]) -> Vec<RemoteCheck> {
        let blueprint = self.blueprint;
        blueprint.checks.iter().filter_map(|check| self.remote(check, lane, rules)).collect()
    }

    fn remote(&mut self, check: &CheckDef, lane: &LaneId, rules: &[Merged]) -> Option<RemoteCheck> {
        let (request, call) = self.request(&check.request)?;
        if check.request.auth.is_some() && request.auth == Auth::None {
            return None;
        }
        let auth = request.auth.clone();
        let mut parts = LaneParts::new(lane.clone());
        parts.requests = vec![(request, call)];
        let made = LanePlan::new(parts).map(|plan| plan.addresses().next().map(Arc::clone));
        let Ok(Some(address)) = made else {
            let message = format!("the check `{}` has no absolute http or https address", check.name);
            let problem = Problem::new(Code::BadValue, check.request.at.clone(), message);
            self.report.add(problem.expect("expected an address over settings alone"));
            return None;
        };
        let holds = check.holds.iter().map(|holds| Holds {
            place: holds.place.clone(),
            one_of: holds.one_of.iter().filter_map(|text| self.setting_text(Some(text))).fold(
                Vec::new(),
                |mut one_of, text| {
                    // What one setting says another may say again.
                    if !one_of.contains(&text) {
                        one_of.push(text);
                    }
                    one_of
                },
            ),
            hint: holds.hint.clone(),
        });
        Some(RemoteCheck {
            lane: lane.clone(),
            name: check.name.clone(),
            address,
            auth,
            missing: check.missing.clone(),
            holds: holds.collect(),
            known: check.known.as_ref().map(|known| Known {
                field: known.field.clone(),
                list: known.list.clone(),
                place: known.place.clone(),
                complete_below: known.complete_below,
                constants: constants(rules, &known.field),
            }),
            at: self.settings_at.clone(),
        })
    }
}

/// The constants that rules set for a field, each once.
fn constants(rules: &[Merged], field: &str) -> Vec<(String, At)> {
    let mut all: Vec<(String, At)> = Vec::new();
    let uses = rules.iter().flat_map(|merged| match &merged.rule.action {
        ActionDef::Sends(uses) => uses.as_slice(),
        ActionDef::Off | ActionDef::Over(_) => &[],
    });
    for set in uses.flat_map(|using| &using.set).filter(|set| set.key == field) {
        if let Some(SourceDef::Constant(json)) = &set.value.source
            && let Ok(value) = serde_json::from_str::<Value>(json)
            && !all.iter().any(|(known, _)| *known == bare(&value))
        {
            all.push((bare(&value), set.value.at.clone()));
        }
    }
    all
}

//! What a reload of pipelines and blueprints answers.

use std::future::Future;
use std::pin::Pin;

use anole_delivery::{Change, Changes};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::code::ApiCode;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whoever reads pipelines and blueprints again and puts them in force.
pub trait Reloads: Send + Sync + 'static {
    /// Does it.
    ///
    /// # Errors
    /// When the files are wrong, or something else failed: nothing has changed then.
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ReloadRefused>>;

    /// What is wrong with the files, in a line, when they were refused the last time that they were read.
    fn refused(&self) -> Option<String>;
}

/// What is in force now.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// What has become other.
    pub changes: Changes,
    /// What in the files is worth a look, as `anole check --json` has it.
    pub warnings: Vec<Value>,
    /// What takes a restart to come into force, in words; `None` when `anole.yaml` is as it was at the start.
    pub restart: Option<String>,
}

/// Something was wrong: nothing has changed, or not all that was asked for.
#[derive(Clone, Debug)]
pub enum ReloadRefused {
    /// The files are wrong.
    Files {
        /// All that is wrong in all files, as `anole check --json` has it.
        problems: Vec<Value>,
        /// The same with lines and carets, as a person reads it.
        text: String,
    },
    /// Certificates are wrong, and those in force stay; the other files are right, and in force.
    Certificates {
        /// All that is wrong with them, as `anole check --json` has it.
        problems: Vec<Value>,
        /// The same as a person reads it.
        text: String,
    },
    /// The daemon ends.
    Ending(String),
    /// Something else failed.
    Failed(String),
}

#[derive(Serialize)]
struct ReloadedShown<'r> {
    success: bool,
    changed: bool,
    pipelines: PipelinesShown<'r>,
    lanes: Vec<LaneShown<'r>>,
    warnings: &'r [Value],
    restart: Option<&'r str>,
}

#[derive(Serialize)]
struct PipelinesShown<'r> {
    added: &'r [String],
    changed: &'r [String],
    removed: &'r [String],
}

#[derive(Serialize)]
struct LaneShown<'r> {
    lane: &'r str,
    change: &'static str,
    /// The hash of the plan before, in hex.
    was: Option<String>,
    /// The hash of the plan in force: the one that `/api/deliveries/{id}` names.
    plan: Option<String>,
}

#[derive(Serialize)]
struct RefusedShown<'r> {
    success: bool,
    code: &'static str,
    message: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<&'r [Value]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'r str>,
}

/// The answer of `POST /api/reload`.
pub(crate) fn answer(result: &Result<Reloaded, ReloadRefused>) -> Response {
    match result {
        Ok(reloaded) => axum::Json(shown(reloaded)).into_response(),
        Err(refused) => {
            let (status, shown) = refused_shown(refused);
            (status, axum::Json(shown)).into_response()
        }
    }
}

fn shown(reloaded: &Reloaded) -> ReloadedShown<'_> {
    let hex = |hash: Option<u64>| hash.map(|hash| format!("{hash:016x}"));
    let lanes = reloaded.changes.lanes.iter().map(|lane| LaneShown {
        lane: lane.lane.as_str(),
        change: lane.change.as_str(),
        was: hex(lane.was),
        plan: hex(lane.plan),
    });
    ReloadedShown {
        success: true,
        changed: !reloaded.changes.is_empty(),
        pipelines: PipelinesShown {
            added: &reloaded.changes.pipelines_added,
            changed: &reloaded.changes.pipelines_changed,
            removed: &reloaded.changes.pipelines_removed,
        },
        lanes: lanes.collect(),
        warnings: &reloaded.warnings,
        restart: reloaded.restart.as_deref(),
    }
}

fn refused_shown(refused: &ReloadRefused) -> (StatusCode, RefusedShown<'_>) {
    let plain = |code: ApiCode, message| RefusedShown {
        success: false,
        code: code.as_str(),
        message,
        problems: None,
        text: None,
    };
    match refused {
        ReloadRefused::Files { problems, text } => {
            let message = "the files are wrong, so nothing has changed: the running configuration stays in force";
            let shown =
                RefusedShown { problems: Some(problems), text: Some(text), ..plain(ApiCode::BadConfig, message) };
            (StatusCode::UNPROCESSABLE_ENTITY, shown)
        }
        ReloadRefused::Certificates { problems, text } => {
            let message =
                "the certificate is wrong, and the one before it stays in force; all other files are in force";
            let shown =
                RefusedShown { problems: Some(problems), text: Some(text), ..plain(ApiCode::BadConfig, message) };
            (StatusCode::UNPROCESSABLE_ENTITY, shown)
        }
        ReloadRefused::Ending(message) => (StatusCode::SERVICE_UNAVAILABLE, plain(ApiCode::ShuttingDown, message)),
        ReloadRefused::Failed(message) => (StatusCode::INTERNAL_SERVER_ERROR, plain(ApiCode::ReloadFailed, message)),
    }
}

// === impl Reloaded ===

impl Reloaded {
    /// What has become other, in one line; `None` when nothing has.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let Changes { pipelines_added, pipelines_changed, pipelines_removed, .. } = &self.changes;
        let pipelines = [("added", pipelines_added), ("changed", pipelines_changed), ("removed", pipelines_removed)];
        let pipelines = pipelines.map(|(change, names)| ("pipeline", change, names.clone()));
        let kinds = [Change::Added, Change::Returned, Change::Changed, Change::Removed];
        let lanes = kinds.map(|change| {
            let names = self.changes.lanes_that(change).map(|lane| lane.lane.to_string());
            ("lane", change.as_str(), names.collect::<Vec<_>>())
        });
        let told = pipelines.into_iter().chain(lanes).filter(|(.., names)| !names.is_empty());
        let told: Vec<_> = told
            .map(|(noun, change, names)| {
                let plural = if names.len() == 1 { "" } else { "s" };
                format!("{noun}{plural} {change}: {}", names.join(", "))
            })
            .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use anole_delivery::LaneChange;
    use anole_event::LaneId;

    use super::*;

    fn reloaded() -> Reloaded {
        let lane = |name, change, was, plan| LaneChange { lane: LaneId::new("shop", name), change, was, plan };
        let changes = Changes {
            pipelines_changed: vec!["shop".to_owned()],
            lanes: vec![
                lane("eu", Change::Changed, Some(1), Some(0xabc)),
                lane("na", Change::Unchanged, Some(2), Some(2)),
                lane("new", Change::Added, None, Some(3)),
            ],
            ..Changes::default()
        };
        Reloaded { changes, warnings: Vec::new(), restart: None }
    }

    #[test]
    fn what_has_changed_is_told_in_words_and_for_programs() {
        let reloaded = reloaded();
        assert_eq!(
            reloaded.words().as_deref(),
            Some("pipeline changed: shop; lane added: shop/new; lane changed: shop/eu")
        );
        let shown = serde_json::to_value(shown(&reloaded)).unwrap();
        assert_eq!(shown["changed"], true);
        assert_eq!(shown["pipelines"]["changed"][0], "shop");
        assert_eq!(
            shown["lanes"][0],
            serde_json::json!({
                "lane": "shop/eu", "change": "changed", "was": "0000000000000001", "plan": "0000000000000abc"
            })
        );
        let nothing = Reloaded { changes: Changes::default(), ..reloaded };
        assert_eq!(nothing.words(), None);
    }

    #[test]
    fn a_refusal_says_that_nothing_has_changed_and_why() {
        let problems = vec![serde_json::json!({ "code": "unknown_key" })];
        let refused = ReloadRefused::Files { problems, text: "error: …".to_owned() };
        let (status, shown) = refused_shown(&refused);
        let shown = serde_json::to_value(shown).unwrap();
        assert_eq!((status.as_u16(), &shown["code"]), (422, &"bad_config".into()));
        assert!(shown["message"].as_str().unwrap().contains("nothing has changed"));
        assert_eq!(shown["problems"][0]["code"], "unknown_key");
        let ending = ReloadRefused::Ending("anole is ending".to_owned());
        let (status, shown) = refused_shown(&ending);
        let shown = serde_json::to_value(shown).unwrap();
        assert_eq!(status.as_u16(), 503);
        assert!(shown.get("problems").is_none(), "{shown}");
    }
}

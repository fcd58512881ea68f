//! `anole forget`: a visitor or a user, out of everything that anole keeps. By the daemon when one runs, else on the files.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{ForgetOrder, ForgetReport, Forgetter, Ground, Stores};
use serde_json::Value;

use crate::cli::Forget;
use crate::client::Client;
use crate::failure::Failure;
use crate::files::{load, settings};
use crate::lock::running;
use crate::looking::json;
use crate::offline::Offline;
use crate::output::{Output, Tone, tame};
use crate::replay::agreed;
use crate::show::counted;

/// How often is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Who does it.
enum Way {
    Daemon(Client),
    Files(Box<Files>),
}

/// The stores of a data folder that no daemon uses.
struct Files {
    forgetter: Arc<Forgetter>,
    ground: Ground,
    journal: Arc<anole_journal::Embedded>,
    offline: Offline,
}

pub(crate) async fn run(config: Option<&Path>, forget: &Forget, output: Output) -> Result<(), Failure> {
    let way = Way::find(config, output).await?;
    let done = told(&way, forget, output).await;
    way.close().await.and(done)
}

async fn told(way: &Way, forget: &Forget, output: Output) -> Result<(), Failure> {
    let mut order = ForgetOrder {
        visitor: forget.visitor.clone(),
        user: forget.user.clone(),
        pipeline: forget.pipeline.clone(),
        linked: forget.linked,
        dry_run: true,
    };
    let found = way.ask(&order, output).await?;
    if forget.dry_run || is_empty(&found) {
        shown(output, &found, forget);
        output.talk(if is_empty(&found) { "nothing found" } else { "nothing was changed" });
        return failed(&found);
    }
    failed(&found)?;
    if !output.json {
        shown(output, &found, forget);
    }
    agreed(output, forget.yes, "all of this will be erased for good", "Erase")?;
    order.dry_run = false;
    let done = way.ask(&order, output).await?;
    shown(output, &done, forget);
    failed(&done)?;
    output.talk("forgotten; what vendors have been sent is theirs to erase");
    Ok(())
}

// === impl Way ===

impl Way {
    async fn find(config: Option<&Path>, output: Output) -> Result<Self, Failure> {
        let found = settings(config)?;
        if let Some(here) = running(&found.data_dir) {
            let token = found.admin.token.as_ref().map(|token| token.reveal().to_owned());
            return Ok(Self::Daemon(Client::new(&here, token)?));
        }
        let files = Files::open(config).await?;
        if let Some(mut heard) = files.forgetter.resume(None).map_err(Failure::of)? {
            output.talk("an erasure that was cut off is completed first");
            let report = heard.wait_for(ForgetReport::is_over).await.map(|report| report.clone());
            if let Some(error) = report.ok().and_then(|report| report.error) {
                files.close().await?;
                return Err(Failure::Failed(error));
            }
        }
        Ok(Self::Files(Box::new(files)))
    }

    /// Has it done, and waits for the end.
    async fn ask(&self, order: &ForgetOrder, output: Output) -> Result<Value, Failure> {
        match self {
            Self::Daemon(client) => {
                let mut report = client.post_json("/api/forget", &json(order)?).await?;
                let mut stage = Value::Null;
                while report["finished_at"].is_null() {
                    if stage != report["stage"] {
                        stage = report["stage"].clone();
                        output.talk(&format!("… {}", stage.as_str().unwrap_or_default()));
                    }
                    tokio::time::sleep(ASK_EVERY).await;
                    report = client.get("/api/forget").await?;
                }
                Ok(report)
            }
            Self::Files(files) => {
                let mut heard = files.forgetter.begin(order).map_err(Failure::of)?;
                let report = heard.wait_for(ForgetReport::is_over).await.map_err(Failure::of)?.clone();
                json(&report)
            }
        }
    }

    async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Daemon(_) => Ok(()),
            Self::Files(files) => files.close().await,
        }
    }
}

// === impl Files ===

impl Files {
    async fn open(config: Option<&Path>) -> Result<Self, Failure> {
        let plans = load(config)?.pipelines;
        let offline = Offline::open(config)?;
        let journal = offline.journal().await?;
        let ground = Ground {
            journal: Arc::clone(&journal) as _,
            stores: Stores {
                state: Arc::clone(&offline.state) as _,
                log: offline.log()?,
                telemetry: Arc::clone(&offline.telemetry),
                max_parked_bytes: u64::MAX,
            },
            clock: Arc::clone(&offline.clock) as _,
        };
        let forgetter = Forgetter::new(offline.folder(), ground.clone(), None, plans);
        Ok(Self { forgetter, ground, journal, offline })
    }

    async fn close(self) -> Result<(), Failure> {
        let Self { ground, journal, offline, .. } = self;
        let closed = ground.stores.log.close().await.map_err(Failure::of);
        let ended = tokio::task::spawn_blocking(move || journal.close()).await.map_err(Failure::of);
        offline.close().await.and(closed).and(ended)
    }
}

fn is_empty(report: &Value) -> bool {
    ["events", "parked", "deferred", "identities", "sends"].iter().all(|what| report[*what] == 0)
}

fn failed(report: &Value) -> Result<(), Failure> {
    match report["error"].as_str() {
        Some(error) => Err(Failure::Failed(tame(error))),
        None => Ok(()),
    }
}

fn shown(output: Output, report: &Value, forget: &Forget) {
    if output.json {
        return output.value(report);
    }
    let count = |what: &str| report[what].as_u64().unwrap_or(0);
    output.line(&format!("journal       {}", counted(count("events"), "event")));
    output.line(&format!("parked        {}", counted(count("parked"), "send")));
    output.line(&format!("deferred      {}", counted(count("deferred"), "send")));
    output.line(&format!("identity map  {}", plural(count("identities"), "entry", "entries")));
    output.line(&format!(
        "delivery log  {} in {}; {} of requests and answers",
        counted(count("sends"), "send"),
        counted(count("rows"), "row"),
        plural(count("bodies"), "body", "bodies"),
    ));
    for lane in report["lanes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output.line(&format!("started again {}", tame(lane)));
    }
    for (what, flag) in [("visitors", "--visitor"), ("users", "--user")] {
        for id in report["linked"][what].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let also = if forget.linked { "with it" } else { "beside it" };
            output.line(&format!("{also:<13} {flag} {}", tame(id)));
        }
    }
    for file in report["left"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output.line(&output.paint(Tone::Warn, &format!("remove        {} may still hold them", tame(file))));
    }
    let has_links =
        ["visitors", "users"].iter().any(|what| report["linked"][*what].as_array().is_some_and(|all| !all.is_empty()));
    if has_links && !forget.linked {
        output.talk("ids beside it are kept with their other events: forget them one by one, or all with --linked");
    }
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

//! `anole sandbox`: the stand-in alone.

use std::collections::BTreeSet;

use anole_sandbox::{Goal, NonceForm, Options, Sandbox};

use crate::cli::{NonceForm as Asked, SandboxArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::run::Ending;

pub(crate) async fn run(arguments: SandboxArgs, output: Output) -> Result<(), Failure> {
    let sites: BTreeSet<String> = arguments.site_codes.into_iter().collect();
    let goals: Vec<_> = arguments
        .goals
        .into_iter()
        .map(|id| Goal { id: i64::try_from(id).unwrap_or(i64::MAX), custom: true, active: true })
        .collect();
    let options = Options {
        address: arguments.listen,
        nonce: match arguments.nonce {
            None => NonceForm::Either,
            Some(Asked::Any) => NonceForm::Any,
            Some(Asked::Uuid) => NonceForm::Uuid,
            Some(Asked::Hex16) => NonceForm::Hex16,
        },
        sites: (!sites.is_empty()).then_some(sites),
        goals: (!goals.is_empty()).then_some(goals),
        sink: arguments.sink,
        ..Options::default()
    };
    let mut ending = Ending::listen()?;
    let sandbox = Sandbox::start(options).await.map_err(Failure::of)?;
    // The address is data: programs that start a sandbox read it.
    if output.json {
        output.value(&serde_json::json!({ "url": sandbox.url() }));
    } else {
        output.line(&sandbox.url());
    }
    output.talk("the sandbox runs; its page shows what arrives. Ctrl-C ends it");
    ending.wait().await;
    sandbox.stop().await;
    Ok(())
}

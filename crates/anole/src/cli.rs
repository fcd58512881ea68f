//! The command line: verbs, arguments, help texts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod forget;
mod history;
#[cfg(test)]
mod manual;
mod parked;

pub(crate) use self::forget::Forget;
pub(crate) use self::history::{Deliveries, Events};
pub(crate) use self::parked::{ParkedDiscard, ParkedList, ParkedReplay, ParkedVerb, ParkedWhich, Replay};

/// What holds for every verb.
const AFTER: &str = "Data goes to standard output, talk to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage or \
                     configuration.";

/// A server-side event forwarder: durable before it answers, delivered, and explained.
#[derive(Debug, Parser)]
#[command(name = "anole", version = crate::VERSION, propagate_version = true, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Cli {
    /// The configuration file. Default: ./anole.yaml when there is one.
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print data as JSON, one value a line where it is a list.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start everything on loopback: collection, console, sandbox and a small shop page.
    #[command(
        after_help = "Example:\n  anole demo\n\nNothing is kept: the demo works in a temporary folder and on free ports."
    )]
    Demo(Demo),
    /// Make a starter folder: anole.yaml and a pipeline with a fresh write key.
    #[command(after_help = "Example:\n  mkdir shop && cd shop && anole init")]
    Init(Init),
    /// Run the daemon.
    #[command(
        after_help = "Example:\n  anole run --config /etc/anole/anole.yaml\n\nSIGTERM ends it gracefully, a second one at once."
    )]
    Run,
    /// Tell the running daemon to read pipelines and blueprints again, and say what has changed.
    #[command(
        after_help = "Example:\n  anole reload --config /etc/anole/anole.yaml\n\nanole reads them by itself when a file changes, and on SIGHUP. When anything is wrong in any file nothing \
                      changes: exit code 2. Settings in anole.yaml come into force with a restart."
    )]
    Reload,
    /// Run the stand-in for the Kameleoon Data API alone.
    #[command(after_help = "Example:\n  anole sandbox --listen 127.0.0.1:8090 --nonce hex16")]
    Sandbox(SandboxArgs),
    /// Check configuration, pipelines and blueprints, and say where what is wrong.
    #[command(
        after_help = "Examples:\n  anole check\n  anole check --remote --json\n\nWith --json each problem is a line: severity, code, file, line, column, end_line, end_column, message, \
                      expected, suggestion.\nThe exit code is 2 when there is an error, 0 when there are warnings only."
    )]
    Check(Check),
    /// Which blueprints there are, what they hold, and a new one to begin with.
    Blueprint {
        #[command(subcommand)]
        what: BlueprintVerb,
    },
    /// Dry run: what would be sent for an event, and what would become of it.
    #[command(
        after_help = "Examples:\n  anole test event.json --explain\n  echo '{\"type\":\"page\",…}' | anole test - --curl\n  \
                      anole test events.ndjson --expect expected.json --update\n  anole test events.ndjson --expect expected.json"
    )]
    Test(Test),
    /// Send an event to the running daemon and follow its story.
    #[command(
        after_help = "Example:\n  anole send track \"Order Completed\" --visitor 245fc8a1b9 --set order_id=ORD-1001 --set revenue=23.50"
    )]
    Send(Send),
    /// What happens to events as it happens: accepted, refused, requested, delivered.
    #[command(after_help = "Examples:\n  anole tail\n  anole tail --lane shop/kameleoon --state parked\n  \
                      anole tail --stage rejected --json\n\nAll that is given must hold. It shows at most 1,000 a second and says \
                      how many were more; nothing that happens waits for it.")]
    Tail(Tail),
    /// Look up events: the whole story of one, or where many ended.
    Events {
        #[command(subcommand)]
        what: Events,
    },
    /// Look up attempts: the requests that were made, and how much of them is kept.
    Deliveries {
        #[command(subcommand)]
        what: Deliveries,
    },
    /// Look up sends that wait for a person, send them again, or give them up.
    Parked {
        #[command(subcommand)]
        what: ParkedVerb,
    },
    /// Send events of the journal again that are not parked, mapped by the rules as they are now, with the same nonces.
    #[command(after_help = "Examples:\n  anole replay --message-id 9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa --dry-run\n  \
                      anole replay --event \"Cart Viewed\" --from 2026-11-24T08:00:00Z --until 2026-11-24T10:00:00Z\n\n\
                      Only what a lane has finished is sent again, as the rest is on its way; what is parked is for \
                      `anole parked replay`.")]
    Replay(Replay),
    /// Erase a visitor or a user from journal, delivery log, parked and deferred sends, and the identity map.
    #[command(after_help = Forget::HELP)]
    Forget(Forget),
    /// Look at the journal of accepted events, check it, and put it in order.
    Journal {
        #[command(subcommand)]
        what: JournalVerb,
    },
    /// Look at lanes, stop them and let them go on; settle those that no pipeline has any more.
    Lanes {
        #[command(subcommand)]
        what: Lanes,
    },
    /// Say what a code means, why it happens, what anole did with the event, and what to do.
    #[command(
        after_help = "Examples:\n  anole explain\n  anole explain missing_field\n\nCodes stand in error messages, in \
                            answers of the API and beside states. Without one, all are listed."
    )]
    Explain(Explain),
    /// Print a script that makes a shell complete verbs and flags.
    #[command(after_help = "Examples:\n  anole completion bash > /etc/bash_completion.d/anole\n  \
                            anole completion zsh > ~/.zfunc/_anole\n  \
                            anole completion fish > ~/.config/fish/completions/anole.fish")]
    Completion(Completion),
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code. Default: a list of all.
    pub(crate) code: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the shop page and collection listen. Default: a free port on loopback.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// End after this many seconds. Default: run until Ctrl-C.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder. Default: here.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The Kameleoon project's site code, when it is known.
    #[arg(long, value_name = "CODE")]
    pub(crate) site_code: Option<String>,
    /// The Kameleoon account's data region, eu or na, when it is known.
    #[arg(long, value_name = "REGION", value_parser = ["eu", "na"])]
    pub(crate) region: Option<String>,
    /// Replace files that are there.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub(crate) listen: SocketAddr,
    /// Which nonces it takes. Default: a UUID or 16 hex digits.
    #[arg(long, value_enum)]
    pub(crate) nonce: Option<NonceForm>,
    /// Only count what arrives and keep nothing.
    #[arg(long)]
    pub(crate) sink: bool,
    /// A site code that exists; may be given several times. Default: any of the right shape.
    #[arg(long = "site-code", value_name = "CODE")]
    pub(crate) site_codes: Vec<String>,
    /// A goal that exists; may be given several times. Default: any.
    #[arg(long = "goal", value_name = "ID")]
    pub(crate) goals: Vec<u64>,
}

/// Which nonces a sandbox takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum NonceForm {
    /// Any text.
    Any,
    /// UUIDs only.
    Uuid,
    /// 16 hex digits only, the vendor's documented form.
    Hex16,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Also ask the vendors what they know: whether the site code exists, whether the region is right.
    #[arg(long)]
    pub(crate) remote: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BlueprintVerb {
    /// The blueprints that a pipeline can use.
    #[command(after_help = "Example:\n  anole blueprint list")]
    List,
    /// The file of a blueprint, or the rules that hold for a destination.
    #[command(
        after_help = "Examples:\n  anole blueprint show kameleoon\n  anole blueprint show kameleoon --merged\n  \
                      anole blueprint show --merged --pipeline shop --destination kameleoon-eu"
    )]
    Show(BlueprintShow),
    /// Write a commented blueprint to begin with into the folder of blueprints. Nothing is replaced.
    #[command(after_help = "Example:\n  anole blueprint new acme")]
    New {
        /// Its name.
        name: String,
    },
    /// The JSON Schema of a kind of file.
    #[command(after_help = "Examples:\n  anole blueprint schema pipeline\n  anole blueprint schema --write")]
    Schema {
        /// The kind of file.
        #[arg(value_enum, default_value = "blueprint")]
        kind: SchemaKind,
        /// Write those of all kinds into .anole/schemas, where files name them: after an update of anole.
        #[arg(long)]
        write: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BlueprintShow {
    /// The blueprint.
    #[arg(required_unless_present = "destination")]
    pub(crate) name: Option<String>,
    /// The rules that hold, each with the line it came from, instead of the file.
    #[arg(long)]
    pub(crate) merged: bool,
    /// The set of rules. Default: that of the destination, else `default`.
    #[arg(long, requires = "merged")]
    pub(crate) preset: Option<String>,
    /// The pipeline of the destination. Default: the only one there is.
    #[arg(long, requires = "destination")]
    pub(crate) pipeline: Option<String>,
    /// The destination whose own events lie over the preset.
    #[arg(long, requires = "merged")]
    pub(crate) destination: Option<String>,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SchemaKind {
    /// A file of the pipelines folder.
    Pipeline,
    /// A file of the blueprints folder.
    Blueprint,
    /// anole.yaml.
    Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// A file with an event, or several one a line; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// The pipeline. Default: the only one there is.
    #[arg(long)]
    pub(crate) pipeline: Option<String>,
    /// Print requests as curl commands. Secrets stay masked.
    #[arg(long)]
    pub(crate) curl: bool,
    /// Say of each field what its value came from, and which line of YAML says so.
    #[arg(long, conflicts_with = "expect")]
    pub(crate) explain: bool,
    /// Compare with the results in this file; exit code 1 when they differ.
    #[arg(long, value_name = "FILE", conflicts_with = "curl")]
    pub(crate) expect: Option<PathBuf>,
    /// Write the results into the file of --expect.
    #[arg(long, requires = "expect")]
    pub(crate) update: bool,
    /// When the events come in. Default: 2026-01-01T00:00:00Z, so that a result is the same each time.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The type: track, page, screen or identify.
    pub(crate) event_type: String,
    /// The event's name, for track.
    pub(crate) name: Option<String>,
    /// A property, as name=value; the value is JSON where it reads as such, else text. May be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) properties: Vec<String>,
    /// The user id.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// The anonymous id. Default: a fresh one when no user is given.
    #[arg(long, value_name = "ID")]
    pub(crate) anonymous: Option<String>,
    /// The Kameleoon visitor code, sent as the cookie kameleoonVisitorCode.
    #[arg(long, value_name = "CODE")]
    pub(crate) visitor: Option<String>,
    /// The message id. Default: a fresh one.
    #[arg(long, value_name = "ID")]
    pub(crate) message_id: Option<String>,
    /// The pipeline whose key is used. Default: the only one there is.
    #[arg(long)]
    pub(crate) pipeline: Option<String>,
    /// How many seconds to follow the story.
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    pub(crate) wait: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lanes {
    /// All lanes, how far they are and whether they stand still; orphans with what they hold.
    #[command(after_help = "Example:\n  anole lanes list")]
    List,
    /// Stop a lane; its events stay in the journal.
    #[command(after_help = "Example:\n  anole lanes pause shop/kameleoon")]
    Pause {
        /// The lane, as pipeline/destination.
        lane: String,
    },
    /// Let a paused lane go on.
    #[command(after_help = "Example:\n  anole lanes resume shop/kameleoon")]
    Resume {
        /// The lane, as pipeline/destination.
        lane: String,
    },
    /// Give up a lane that no pipeline has: what it has not delivered will not be, and holds the journal no longer.
    #[command(after_help = "Example:\n  anole lanes release shop/kameleoon\n\nWhat it has parked stays.")]
    Release {
        /// The lane, as pipeline/destination.
        lane: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Give a lane that no pipeline has another name; a lane of that name takes over what it has not delivered.
    #[command(
        after_help = "Example, after the destination `kameleoon` was named `kameleoon-eu` in its pipeline:\n  anole lanes rename shop/kameleoon shop/kameleoon-eu"
    )]
    Rename {
        /// The lane, as pipeline/destination.
        old: String,
        /// Its new name, in the same pipeline.
        new: String,
    },
}

/// What is shown of what happens.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Only this stage of an event's way.
    #[arg(long, value_parser = anole_console::STAGES)]
    pub(crate) stage: Option<String>,
    /// Only this lane, as pipeline/destination.
    #[arg(long)]
    pub(crate) lane: Option<String>,
    /// Only what ended so, such as parked.
    #[arg(long, value_parser = crate::known::state)]
    pub(crate) state: Option<anole_event::State>,
    /// Only events with this name, or of this type when they have none.
    #[arg(long)]
    pub(crate) event: Option<String>,
    /// Only the event with this message id.
    #[arg(long, value_name = "ID")]
    pub(crate) message_id: Option<String>,
    /// End after so many.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalVerb {
    /// How large and how old the journal is, and what holds it back.
    #[command(after_help = "Example:\n  anole journal stat")]
    Stat,
    /// Read the whole journal and say what is not as it should be. Exit code 1 when events are lost.
    #[command(
        after_help = "Example:\n  anole journal verify\n\nIt changes nothing, and a daemon may be at work meanwhile."
    )]
    Verify,
    /// Put in order what can be of the journal; say first what that would be.
    #[command(
        after_help = "Examples:\n  anole journal repair\n  anole journal repair --yes\n\nanole starts with a damaged journal and steps over the damage: a repair brings back segments that were \
                      renamed, and writes anew what would otherwise be made up for at each start. What is lost stays lost.\n\n\
                      No daemon may run."
    )]
    Repair {
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
}

//! Arguments of `anole forget`.

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("who").required(true).args(["visitor", "user"])))]
pub(crate) struct Forget {
    /// The visitor: an anonymous id, or a visitor code.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) visitor: Option<String>,
    /// The user.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) user: Option<String>,
    /// Only in this pipeline. Default: in all.
    #[arg(long)]
    pub(crate) pipeline: Option<String>,
    /// Also the ids that stand beside this one in its events and in the identity map.
    #[arg(long)]
    pub(crate) linked: bool,
    /// Only say what there is.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

// === impl Forget ===

impl Forget {
    pub(crate) const HELP: &str = "Examples:\n  anole forget --visitor 245fc8a1b9 --dry-run\n  \
        anole forget --user u-42 --linked --yes --json\n\n\
        Without a daemon it works on the files. It survives a crash: the next start completes it. Rows of the delivery log and \
        statistics stay and add up, without ids and bodies.\nWhat was sent to vendors is theirs to erase. Exit code 0 also when \
        nothing is found. See docs/forget.md.";
}

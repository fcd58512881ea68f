//! The keys of a pipeline file.

use crate::governance::tables::{BOTS, CATEGORIES, CONSENT, PRIVACY};
use crate::rule::RULE;
use crate::table::{Table, Type, may, must};

/// A pipeline file.
pub(crate) static PIPELINE_TABLE: Table = Table {
    what: "a pipeline",
    keys: &[
        must("pipeline", &Type::Text, "Its name."),
        may("keys", &Type::List(&Type::Table(&KEY)), "The write keys by which clients send to it."),
        may("signing", &Type::List(&Type::Text), "The secrets by which back ends sign what they send to /v1/events."),
        may("ga4", &Type::Table(&GA4), "How GA4 clients are known."),
        may("translate", &Type::Bool, "Whether GA4's names become those of the Segment spec; true when not given."),
        may(
            "lookup",
            &Type::List(&Type::Text),
            "By what people ask for an event; [properties.order_id] when not given.",
        ),
        may("destinations", &Type::List(&Type::Table(&DESTINATION)), "Where events go."),
        may("consent", &Type::Table(&CONSENT), "How consent is known; without it nothing is gated."),
        may("privacy", &Type::Table(&PRIVACY), "What is dropped and hashed before anything is kept."),
        may(
            "bots",
            &BOTS,
            "What is done with events of robots, by the browser's User-Agent: drop, flag or keep; keep when not given.",
        ),
    ],
};

pub(crate) static PIPELINE: Type = Type::Table(&PIPELINE_TABLE);

static KEY: Table = Table {
    what: "a write key",
    keys: &[
        must("key", &Type::Text, "The key."),
        may(
            "origins",
            &Type::List(&Type::Text),
            "The origins from which browsers may use it; from anywhere when not given.",
        ),
    ],
};

static GA4: Table = Table {
    what: "how GA4 clients are known",
    keys: &[
        must("measurement_ids", &Type::List(&Type::Text), "The measurement ids (G-…) that belong to this pipeline."),
        may("api_secret", &Type::Text, "The secret of Measurement Protocol requests; without it they are refused."),
        may("origins", &Type::List(&Type::Text), "The origins of pages whose tag may send; any when not given."),
    ],
};

static DESTINATION: Table = Table {
    what: "a destination",
    keys: &[
        must("blueprint", &Type::Text, "The blueprint that describes the vendor."),
        may("name", &Type::Text, "Its name; the blueprint's when not given."),
        may("preset", &Type::Text, "The blueprint's set of rules; default when not given."),
        may("enabled", &Type::Bool, "Whether it sends; true when not given. If not, its events are filtered."),
        may("settings", &Type::Map(&Type::Any), "What the blueprint asks for."),
        may("events", &Type::Map(&RULE), "Rules, laid over the preset's."),
        may("consent", &CATEGORIES, "The consent that it needs; what the blueprint says when not given."),
        may("filters", &Type::Table(&FILTERS), "Which events it gets, and what it sees of them."),
        may("when", &Type::Text, "What must hold of an event, in CEL; if not, it is filtered."),
    ],
};

static FILTERS: Table = Table {
    what: "the filters of a destination",
    keys: &[
        may(
            "sample",
            &Type::Number,
            "The percentage of events that it gets, by the message id: 0 to 100, at most two decimals.",
        ),
        may("drop", &Type::List(&Type::Text), "Names and types of events that it does not get."),
        may("only", &Type::List(&Type::Text), "Names and types of the only events that it gets."),
        may("drop_properties", &Type::List(&Type::Text), "Places in the event that it does not see."),
        may(
            "allow_properties",
            &Type::List(&Type::Text),
            "Places in the event that are all it sees of their roots: with properties.plan no other property.",
        ),
    ],
};

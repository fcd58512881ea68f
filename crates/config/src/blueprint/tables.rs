//! The keys of a blueprint file.

use crate::governance::tables::CATEGORIES;
use crate::rule::RULE;
use crate::table::{Table, Type, may, must};
use crate::value::FIELD;

/// A blueprint file.
pub(crate) static BLUEPRINT_TABLE: Table = Table {
    what: "a blueprint",
    keys: &[
        must("blueprint", &Type::Text, "The name by which pipelines use it."),
        must("title", &Type::Text, "The vendor's product, as people call it."),
        may("settings", &Type::Map(&Type::Table(&SETTING)), "What a destination fills in."),
        may(
            "account",
            &Type::Text,
            "The account at the vendor, over settings. Part of derived nonces; limits belong to it.",
        ),
        may("nonce", &Type::Text, "How nonces are made, over settings: message_id or hex16."),
        may("cookies", &Type::List(&Type::Text), "The cookies that are kept with an event."),
        may(
            "remember",
            &Type::Map(&Type::Table(&LADDER)),
            "What is remembered for a visitor, by its name under identity.",
        ),
        may("resolve", &Type::Table(&RESOLVE), "How the vendor's visitor is found."),
        must("requests", &Type::Map(&Type::Table(&REQUEST)), "The kinds of requests."),
        may("answers", &Type::Map(&ANSWER), "How answers are read, by status (404) or class (5xx)."),
        must("sends", &Type::Map(&Type::Table(&SEND)), "What can be sent."),
        must("presets", &Type::Map(&Type::Map(&RULE)), "Named sets of rules; default applies unless another is named."),
        may("consent", &CATEGORIES, "The consent that destinations need, where their pipeline asks for it."),
        may("checks", &Type::Map(&Type::Table(&CHECK)), "What `anole check --remote` asks the vendor."),
    ],
};

pub(crate) static BLUEPRINT: Type = Type::Table(&BLUEPRINT_TABLE);

static SETTING: Table = Table {
    what: "a setting",
    keys: &[
        must(
            "type",
            &Type::Choice(&["text", "choice", "url", "secret", "integer", "number", "boolean", "list", "map"]),
            "What it is.",
        ),
        may("title", &Type::Text, "What the vendor calls it."),
        may("help", &Type::Text, "Where a person finds it."),
        may("of", &Type::List(&Type::Text), "The words of a choice."),
        may("default", &Type::Any, "What holds when it is not given; a text may refer to settings above it."),
        may("optional", &Type::Bool, "Whether it may be left out."),
        may("expect", &Type::Text, "A pattern that the whole value usually has; another one is a warning."),
        may("pattern", &Type::Text, "A pattern that the whole value must have."),
    ],
};

static CLEAN: Table = Table {
    what: "how an id is cleaned",
    keys: &[
        may("trim", &Type::Bool, "Whether blanks around it are taken away."),
        may("strip_prefix", &Type::Text, "A prefix that is taken away once."),
        may("max_bytes", &Type::Integer, "The most bytes that may remain."),
        may("refuse", &Type::List(&Type::Text), "What may not remain: control, blank, or a single character."),
    ],
};

static LADDER: Table = Table {
    what: "a ladder of places",
    keys: &[
        must("first_of", &Type::List(&Type::Text), "Places in the event, best first."),
        may("clean", &Type::Table(&CLEAN), "How a value is cleaned; one that does not survive is passed over."),
    ],
};

static RESOLVE: Table =
    Table { what: "what is resolved", keys: &[must("visitor_code", &Type::Table(&VISITOR), "The vendor's visitor.")] };

static VISITOR: Table = Table {
    what: "the visitor's ladder",
    keys: &[
        must("first_of", &Type::List(&Type::Text), "Places in the event, best first."),
        may("clean", &Type::Table(&CLEAN), "How a value is cleaned; one that does not survive is passed over."),
        may("otherwise", &Type::Text, "When no place holds one: park, or the place of a fallback. Over settings."),
        may("hint", &Type::Text, "What helps when no place holds one."),
    ],
};

static REQUEST: Table = Table {
    what: "a request",
    keys: &[
        may("method", &Type::Choice(&["POST", "PUT", "PATCH", "DELETE", "GET"]), "The method; POST when not given."),
        must(
            "url",
            &Type::Text,
            "The address, a template. Values are percent-encoded, but for settings that are a url.",
        ),
        may(
            "headers",
            &Type::Map(&Type::Text),
            "Headers, templates. Not User-Agent, and not authentication. Content-Type follows from the frame when not given.",
        ),
        must(
            "frame",
            &Type::Either(&[&Type::Choice(&["array", "single", "form"]), &Type::Table(&FRAME)]),
            "How items become a body: array, single, form, or { list: key } for an object that holds them under a key.",
        ),
        may("batch", &Type::Table(&BATCH), "When a batch is closed."),
        may("auth", &Type::Table(&AUTH), "How it authenticates."),
    ],
};

static FRAME: Table = Table {
    what: "an object around the items",
    keys: &[
        must("list", &Type::Text, "The key under which the items stand as a list."),
        may(
            "with",
            &Type::Map(&Type::Any),
            "What else stands in the object, before the list: constants, and templates over settings.",
        ),
    ],
};

static BATCH: Table = Table {
    what: "the limits of a batch",
    keys: &[
        may("events", &Type::Integer, "The most sends; 100 when not given."),
        may("bytes", &Type::Size, "The most bytes of the body; 1MiB when not given."),
        may("wait", &Type::Period, "How long the first send waits for others; 1s when not given."),
    ],
};

static AUTH: Table = Table {
    what: "how a request authenticates",
    keys: &[
        may("basic", &Type::Table(&BASIC), "Authorization: Basic."),
        may("bearer", &Type::Text, "Authorization: Bearer, with this token."),
        may("header", &Type::Table(&HEADER), "A header of the vendor's own."),
        may("oauth2", &Type::Table(&OAUTH2), "A token by OAuth 2.0 client credentials."),
        may("hmac", &Type::Table(&HMAC), "A header with a signature of the body: HMAC-SHA-256."),
        may("when_set", &Type::Text, "The setting on which it depends: settings.NAME. Without it nothing is sent."),
    ],
};

static BASIC: Table = Table {
    what: "basic authentication",
    keys: &[must("user", &Type::Text, "The user."), must("password", &Type::Text, "The password.")],
};

static HEADER: Table = Table {
    what: "a header that authenticates",
    keys: &[must("name", &Type::Text, "Its name."), must("value", &Type::Text, "Its value.")],
};

static HMAC: Table = Table {
    what: "a signature of the body",
    keys: &[
        must("header", &Type::Text, "The header that carries it."),
        must("secret", &Type::Text, "The key."),
        may("encoding", &Type::Choice(&["hex", "base64"]), "How it is written; hex when not given."),
        may("prefix", &Type::Text, "What stands before it: sha256=."),
    ],
};

static OAUTH2: Table = Table {
    what: "client credentials",
    keys: &[
        must("token_url", &Type::Text, "Where tokens are got."),
        must("client_id", &Type::Text, "Who asks."),
        must("client_secret", &Type::Text, "How he proves it."),
        may("scope", &Type::Text, "What he asks for."),
        may(
            "optional",
            &Type::Bool,
            "The vendor takes requests without a token too: after two failures they go without for 5 minutes.",
        ),
    ],
};

static DECISION: Type = Type::Choice(&["delivered", "retry", "split", "park", "pause", "refresh_auth"]);

static ANSWER: Type = Type::Either(&[&DECISION, &Type::Table(&ANSWER_TABLE)]);

static ANSWER_TABLE: Table = Table {
    what: "an answer",
    keys: &[
        must("then", &DECISION, "What to do."),
        may("hint", &Type::Text, "What is known of the cause, and what helps."),
        may("items", &Type::Table(&ITEMS), "Where the body says of each item what became of it."),
    ],
};

static ITEMS: Table = Table {
    what: "per-item verdicts",
    keys: &[
        may(
            "list",
            &Type::Text,
            "The place in the body of a list with an element for each item, in their order; the body itself when not given.",
        ),
        must(
            "status",
            &Type::Text,
            "The place in an element of the item's status, a number as in HTTP, judged like an answer's.",
        ),
    ],
};

static SEND: Table = Table {
    what: "a send",
    keys: &[
        must("request", &Type::Text, "The request that carries it."),
        may("expires", &Type::Period, "How long after the event came in the vendor has no use for it."),
        must("body", &Type::Map(&FIELD), "The payload's fields, in the order in which they are sent."),
    ],
};

static CHECK: Table = Table {
    what: "a check",
    keys: &[
        must("url", &Type::Text, "What is got, a template over settings. The answer is JSON."),
        may("headers", &Type::Map(&Type::Text), "Headers, templates over settings."),
        may("auth", &Type::Table(&AUTH), "How it authenticates. Without the setting of its when_set nothing is asked."),
        may("missing", &Type::Text, "What is wrong when the answer is 404 or 410."),
        may("holds", &Type::List(&Type::Table(&HOLDS)), "What must stand in the answer."),
        may("known", &Type::Table(&KNOWN), "The constants of a payload field that must be known to the vendor."),
    ],
};

static HOLDS: Table = Table {
    what: "what must stand in an answer",
    keys: &[
        must(
            "place",
            &Type::Text,
            "Where in the answer a text stands: configuration.region. Without one nothing is said.",
        ),
        must(
            "one_of",
            &Type::List(&Type::Text),
            "What it may be, templates over settings; of an address, its host too.",
        ),
        may("hint", &Type::Text, "What is known of the cause when it is another."),
    ],
};

static KNOWN: Table = Table {
    what: "what must be known",
    keys: &[
        must("field", &Type::Text, "The payload field whose constants are looked for."),
        may("list", &Type::Text, "Where in the answer the list stands; the answer itself when not given."),
        must("place", &Type::Text, "Where in an entry of the list the value stands: id."),
        may(
            "complete_below",
            &Type::Integer,
            "A list of so many entries or more may have been cut, and proves nothing.",
        ),
    ],
};

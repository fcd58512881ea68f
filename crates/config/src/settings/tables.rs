//! The keys of anole.yaml.

use crate::table::{Table, Type, may, must};

/// anole.yaml.
pub(crate) static SETTINGS_TABLE: Table = Table {
    what: "anole.yaml",
    keys: &[
        may("data_dir", &Type::Text, "Where journal, state and delivery log are; ./data when not given."),
        may("pipelines", &Type::Text, "The folder of pipelines; ./pipelines when not given."),
        may(
            "blueprints",
            &Type::Text,
            "The folder of blueprints that lie over the embedded ones; ./blueprints when not given.",
        ),
        may("collect", &Type::Table(&COLLECT), "The listener for events."),
        may("admin", &Type::Table(&ADMIN), "The listener for people and monitoring."),
        may("journal", &Type::Table(&JOURNAL), "The journal."),
        may("delivery", &Type::Table(&DELIVERY), "Delivery."),
        may("history", &Type::Table(&HISTORY), "The delivery log."),
        may("state", &Type::Table(&STATE), "State."),
    ],
};

pub(crate) static SETTINGS: Type = Type::Table(&SETTINGS_TABLE);

static COLLECT: Table = Table {
    what: "the listener for events",
    keys: &[
        may("listen", &Type::Text, "Where it listens; 127.0.0.1:8080 when not given."),
        may("max_event_bytes", &Type::Size, "The most bytes of one event; 64KiB when not given."),
        may("max_batch_events", &Type::Integer, "The most events of one request; 500 when not given."),
        may("max_body_bytes", &Type::Size, "The most bytes of a request's body; 5MiB when not given."),
        may("trusted_proxies", &Type::List(&Type::Text), "Networks whose word about the client's address is believed."),
        may("cookie", &Type::Text, "The name of the visitor's cookie; _anole_id when not given."),
        may("collector", &Type::Text, "The path of the collector script; /anole.js when not given."),
        may(
            "rate_limit",
            &Type::Table(&RATE_LIMIT),
            "How many events a second may be sent; any number when not given.",
        ),
        may("ga4_status", &Type::Integer, "What GA4's clients are answered with, 204 or 200; 204 when not given."),
        may("tls", &Type::Table(&TLS), "TLS with a certificate of your own; plain http when not given."),
        may("connections", &Type::Table(&CONNECTIONS), "How many connections there may be, and how slow they may be."),
    ],
};

static TLS: Table = Table {
    what: "TLS",
    keys: &[
        must(
            "certificate",
            &Type::Text,
            "The file of the certificate and of those that vouch for it (PEM): fullchain.pem.",
        ),
        must("key", &Type::Text, "The file of its key (PEM), without a passphrase: privkey.pem."),
    ],
};

static CONNECTIONS: Table = Table {
    what: "the connections of a listener",
    keys: &[
        may(
            "max",
            &Type::Integer,
            "How many may be open; when not given, for events as many as the process may have files (at most 50000), for people 256.",
        ),
        may(
            "max_per_address",
            &Type::Integer,
            "How many one address (of IPv6 a /64) may have open, trusted proxies excepted; any number when not given.",
        ),
        may(
            "header_timeout",
            &Type::Period,
            "How long the head of a request may take, and how long a TLS handshake; 10s when not given.",
        ),
        may("body_idle_timeout", &Type::Period, "How long a body may pause; 10s when not given."),
        may("body_timeout", &Type::Period, "How long a whole body may take; 60s when not given."),
        may("write_timeout", &Type::Period, "How long a client may take no byte of its answer; 30s when not given."),
        may("idle_timeout", &Type::Period, "How long a connection is kept without a request; 75s when not given."),
    ],
};

static RATE_LIMIT: Table = Table {
    what: "a rate limit",
    keys: &[
        may("per_key", &Type::Integer, "The most events a second with one write key or measurement id."),
        may("per_address", &Type::Integer, "The most events a second from one client address."),
    ],
};

static ADMIN: Table = Table {
    what: "the listener for people",
    keys: &[
        may("listen", &Type::Text, "Where it listens; 127.0.0.1:8081 when not given."),
        may("token", &Type::Text, "What callers must give as a Bearer token: \"${NAME}\"."),
        may("tls", &Type::Table(&TLS), "TLS with a certificate of your own; plain http when not given."),
        may("connections", &Type::Table(&CONNECTIONS), "How many connections there may be, and how slow they may be."),
    ],
};

static JOURNAL: Table = Table {
    what: "the journal",
    keys: &[
        may("ack", &Type::Choice(&["fsync", "write", "memory"]), "When an event counts as kept; fsync when not given."),
        may(
            "keep",
            &Type::Period,
            "How long events are kept for replay when every lane is done with them, and the longest time for which a lane that no pipeline has any more holds those it is not done with; 7d when not given.",
        ),
        may("max_bytes", &Type::Size, "How large it may become; 20GiB when not given."),
        may(
            "on_full",
            &Type::Choice(&["refuse", "drop_oldest"]),
            "What happens when it is full: new events are refused, or the oldest are dropped, delivered or not; refuse when not given.",
        ),
    ],
};

static DELIVERY: Table = Table {
    what: "delivery",
    keys: &[
        may(
            "allow_private_addresses",
            &Type::Bool,
            "Whether requests may go to private addresses, and in plain http to them.",
        ),
        may("timeout", &Type::Period, "How long a request may take; 30s when not given."),
        may("probe_every", &Type::Period, "How often a paused lane tries with a small batch; 1m when not given."),
        may("max_parked_bytes", &Type::Size, "How many bytes of events may be parked; 1GiB when not given."),
        may("proxy", &Type::Text, "The proxy through which requests go, such as http://proxy.internal:3128."),
        may("ca_file", &Type::Text, "A file of certificates (PEM) that are trusted beside those of the system."),
    ],
};

static HISTORY: Table = Table {
    what: "the delivery log",
    keys: &[
        may("max_bytes", &Type::Size, "How large it may become; 5GiB when not given."),
        may(
            "max_body_bytes",
            &Type::Size,
            "How much of that may be bodies, which go first: what was sent and what came back; 2GiB when not given, none are kept with 0.",
        ),
        may("keep", &Type::Period, "How long attempts and outcomes are kept; 30d when not given."),
        may("keep_bodies", &Type::Period, "How long bodies are kept; 7d when not given."),
        may("keep_statistics", &Type::Period, "How long statistics are kept; 90d when not given."),
    ],
};

static STATE: Table = Table {
    what: "state",
    keys: &[
        may("identities", &Type::Integer, "How many identities are remembered; 1000000 when not given."),
        may(
            "identity_age",
            &Type::Period,
            "How long an identity is remembered after it was last seen; 400d when not given.",
        ),
        may("backup_every", &Type::Period, "How often the state is backed up; 10m when not given."),
    ],
};

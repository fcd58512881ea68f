//! The keys of governance.

use crate::table::{Table, Type, may, must};

/// Categories of consent.
pub(crate) static CATEGORIES: Type =
    Type::List(&Type::Choice(&["essential", "functional", "analytics", "marketing", "personalization"]));

pub(crate) static CONSENT: Table = Table {
    what: "how consent is known",
    keys: &[
        must(
            "from",
            &Type::List(&Type::Text),
            "Who is asked, in this order: collector, segment, ga4, cookie:NAME. The first that says something of a category wins.",
        ),
        may(
            "unknown",
            &Type::Choice(&["deny", "allow"]),
            "What a category counts as of which nothing is known; deny when not given.",
        ),
        may("words", &Type::Map(&CATEGORIES), "What words of the sources mean, such as C0004 or Advertising."),
        may(
            "values",
            &Type::Map(&Type::Map(&CATEGORIES)),
            "For a cookie that is not OneTrust's: what each of its values grants.",
        ),
        may("visitor_cookie", &CATEGORIES, "What setting the visitor's own cookie needs; [analytics] when not given."),
    ],
};

pub(crate) static PRIVACY: Table = Table {
    what: "what is redacted",
    keys: &[
        may("drop", &Type::List(&Type::Text), "Places in the event that are taken away before anything is kept."),
        may("hash", &Type::List(&HASH), "Places in the event that are replaced by their hash before anything is kept."),
    ],
};

static HASH: Type = Type::Either(&[
    &Type::Text,
    &Type::Map(&Type::Choice(&["text", "email", "google_email", "phone", "google_phone"])),
]);

static ACT: Type = Type::Choice(&["drop", "flag", "keep"]);

pub(crate) static BOTS: Type = Type::Either(&[&ACT, &Type::Table(&BOTS_TABLE)]);

static BOTS_TABLE: Table = Table {
    what: "how robots are treated",
    keys: &[
        must("do", &ACT, "What is done with their events."),
        may("also", &Type::List(&Type::Text), "Parts of a User-Agent by which somebody is a robot, beside the list."),
        may(
            "not",
            &Type::List(&Type::Text),
            "Parts of a User-Agent by which somebody is none, whatever the list says.",
        ),
    ],
};

//! What holds for every event.

use super::Kind;
use crate::fields::{Fields, Got};
use crate::options::NonceForm;
use crate::query::Query;
use crate::reason::Findings;

pub(crate) const NONCE_MISSING: &str = "nonce_missing";
pub(crate) const TYPE_MISSING: &str = "type_missing";

/// The vendor's page says 100 characters, its SDKs 255; and it does not say whether characters or bytes.
const VISITOR_MAX: usize = 100;

const COMMON: [&str; 5] = ["visitorCode", "nonce", "eventType", "mappingValue", "userAgent"];

/// What senders often add, and why it is of no use.
const KNOWN_MISTAKES: [(&str, &str); 9] = [
    ("referrers", "only one third party sends it; the SDKs know referrersIndices, the tag referrerHref"),
    ("timestamp", "events carry no time of their own, the time of receipt counts"),
    ("time", "events carry no time of their own, the time of receipt counts"),
    ("currency", "there is no currency: convert the revenue before it is sent"),
    ("order_id", "an order id can only ride as metadata, under the index of a custom data"),
    ("orderId", "an order id can only ride as metadata, under the index of a custom data"),
    ("value", "a conversion's value is called revenue"),
    ("url", "a page's address is called href"),
    ("event", "the kind of an event is called eventType"),
];

pub(super) fn visitor(fields: &Fields<'_>, query: &Query, found: &mut Findings) {
    let own = fields.text("visitorCode");
    if let (Some(query), Got::Is(own)) = (&query.visitor, &own)
        && query != own
    {
        found.doubt("visitor_differs", "the query and the event carry different visitor codes: the query's holds");
    }
    let code = match (&query.visitor, own) {
        (Some(code), _) => code.as_str().into(),
        (None, Got::Is(code)) => code,
        (None, Got::Missing | Got::Null) if query.mapping || fields.has("mappingValue") => {
            found.doubt("mapping_value", "mappingValue stands for the visitor code: it is no longer documented");
            return;
        }
        (None, Got::Missing | Got::Null) => {
            found.loss("visitor_missing", "there is no visitorCode, neither in the query nor in the event");
            return;
        }
        (None, Got::AsText(_) | Got::Wrong) => {
            found.loss("visitor_type", "visitorCode must be text");
            return;
        }
    };
    if code.is_empty() {
        found.loss("visitor_missing", "visitorCode is empty");
    } else if code.chars().count() > VISITOR_MAX {
        found.loss("visitor_long", "visitorCode has more than 100 characters");
    } else if code.len() > VISITOR_MAX {
        found.doubt("visitor_long", "visitorCode has more than 100 bytes: whether characters count or bytes is open");
    }
    if code.starts_with("_js_") {
        found.doubt("visitor_prefix", "visitorCode begins with the old prefix _js_, which newer clients do not strip");
    }
    if code.chars().any(|c| c.is_whitespace() || c.is_control() || c == ';' || c == ',') {
        found.doubt("visitor_characters", "visitorCode has blanks, control characters, commas or semicolons");
    }
    if is_uuid(&code) {
        found.doubt(
            "visitor_is_uuid",
            "visitorCode is a UUID: it looks like an anonymous id, for which no experiment has a visitor",
        );
    }
}

pub(super) fn nonce(fields: &Fields<'_>, form: NonceForm, found: &mut Findings) {
    let nonce = match fields.text("nonce") {
        Got::Is(nonce) if !nonce.is_empty() => nonce,
        Got::Is(_) | Got::Missing | Got::Null => {
            found.loss(NONCE_MISSING, "the nonce is missing");
            return;
        }
        Got::AsText(_) | Got::Wrong => {
            found.loss("nonce_form", "the nonce must be text");
            return;
        }
    };
    let hex = nonce.len() == 16 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    let uuid = is_uuid(&nonce);
    match form {
        NonceForm::Hex16 if !hex => found.loss("nonce_form", "the nonce is not 16 hexadecimal characters"),
        NonceForm::Uuid if !uuid => found.loss("nonce_form", "the nonce is not a UUID"),
        NonceForm::Either if uuid => {
            found.note("nonce_uuid", "the nonce is a UUID; the vendor's page asks for 16 hexadecimal characters");
        }
        NonceForm::Either if !hex => {
            found.loss("nonce_form", "the nonce is neither 16 hexadecimal characters nor a UUID");
        }
        NonceForm::Any if nonce.chars().count() > 100 => {
            found.loss("nonce_form", "the nonce has more than 100 characters");
        }
        NonceForm::Any | NonceForm::Either | NonceForm::Uuid | NonceForm::Hex16 => {}
    }
}

/// The kind of the event, when it has one.
pub(super) fn kind(fields: &Fields<'_>, query: &Query, found: &mut Findings) -> Option<Kind> {
    let name = match fields.text("eventType") {
        Got::Is(name) if !name.is_empty() => name,
        Got::Is(_) | Got::Missing | Got::Null => {
            found.loss(TYPE_MISSING, "the eventType is missing");
            return None;
        }
        Got::AsText(_) | Got::Wrong => {
            found.loss("type_unknown", "the eventType must be text");
            return None;
        }
    };
    let Some(kind) = kind_of(&name) else {
        let text = if name.to_ascii_uppercase().starts_with("PRODUCT") {
            format!("the eventType {} belongs to another endpoint, /product/events", name.escape_debug())
        } else {
            format!("the eventType {} is not known", crate::fields::shortened(&name).escape_debug())
        };
        found.loss("type_unknown", text);
        return None;
    };
    if kind == Kind::TagOnly {
        found.note("type_of_tag", "only the browser tag sends this kind of event; its fields are not checked");
    }
    let spellings = spellings(&name);
    if !spellings.contains(&&*name) {
        found.doubt("type_case", format!("the eventType is usually written {}", spellings.join(" or ")));
    } else if query.json && spellings[0] != name && kind != Kind::CustomData && kind != Kind::TagOnly {
        found.note("type_spelling", format!("the documents write {}; this is the SDKs' spelling", spellings[0]));
    }
    Some(kind)
}

/// Names, documented spelling first. Matching looks case-insensitive at the vendor, since its SDKs and its documents
/// differ only in case; that is not promised, so another case is doubtful.
const KINDS: [(Kind, &[&str]); 12] = [
    (Kind::Page, &["PAGE", "page"]),
    (Kind::Conversion, &["CONVERSION", "conversion"]),
    (Kind::CustomData, &["CUSTOMDATA", "customData"]),
    (Kind::StaticData, &["STATICDATA", "staticData"]),
    (Kind::Experiment, &["EXPERIMENT", "experiment"]),
    (Kind::Personalization, &["PERSONALIZATION", "personalization"]),
    (Kind::Segment, &["TARGETINGSEGMENT", "targetingSegment"]),
    (Kind::Geolocation, &["GEOLOCATION", "geolocation"]),
    (Kind::Activity, &["ACTIVITY", "activity"]),
    (Kind::TagOnly, &["ADBLOCKER", "adBlocker"]),
    (Kind::TagOnly, &["MENTALISTPREDICTIONSEGMENTTARGETING", "mentalistPredictionSegmentTargeting"]),
    (Kind::TagOnly, &["MENTALISTPREDICTIONSTARTOFVISIT", "mentalistPredictionStartOfVisit"]),
];

pub(super) fn kind_of(name: &str) -> Option<Kind> {
    KINDS.iter().find(|(_, names)| names[0].eq_ignore_ascii_case(name)).map(|(kind, _)| *kind)
}

fn spellings(name: &str) -> &'static [&'static str] {
    KINDS.iter().find(|(_, names)| names[0].eq_ignore_ascii_case(name)).map_or(&[], |(_, names)| names)
}

/// The fields that a kind has beside the common ones.
const fn known(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Page => &["href", "title", "referrersIndices", "keyPagesIndices", "canonicalHref", "referrerHref"],
        Kind::Conversion => &["goalId", "revenue", "negative", "metadata"],
        Kind::CustomData => &["index", "valuesCountMap", "overwrite", "mappingIdentifier"],
        Kind::StaticData => &[
            "deviceType",
            "browserIndex",
            "browser",
            "browserVersion",
            "os",
            "osIndex",
            "visitNumber",
            "timeSincePreviousVisit",
            "windowWidth",
            "windowHeight",
            "screenWidth",
            "screenHeight",
            "timeZoneId",
            "localeLanguageTag",
            "experimentInfluences",
            "personalizationInfluences",
        ],
        Kind::Experiment | Kind::Personalization => &["id", "variationId", "unexpositionCause"],
        Kind::Segment => &["id", "segmentId"],
        Kind::Geolocation => &["country", "region", "city", "postalCode", "latitude", "longitude"],
        Kind::Activity => &["clicks"],
        Kind::TagOnly => &[],
    }
}

pub(super) fn unknown_fields(fields: &Fields<'_>, kind: Kind, query: &Query, found: &mut Findings) {
    let known = known(kind);
    for name in fields.names() {
        if COMMON.contains(&name) || known.contains(&name) || kind == Kind::TagOnly {
            continue;
        }
        let why = if let Some(right) =
            known.iter().chain(&COMMON).find(|right| right.eq_ignore_ascii_case(name) || right.replace('_', "") == name)
        {
            format!("write it {right}")
        } else if let Some((_, why)) = KNOWN_MISTAKES.iter().find(|(mistake, _)| *mistake == name) {
            (*why).to_owned()
        } else {
            "this kind of event has no such field".to_owned()
        };
        let name = crate::fields::shortened(name);
        found.doubt("field_unknown", format!("{} is ignored by Kameleoon: {why}", name.escape_debug()));
    }
    if let Some(name) = fields.doubled() {
        found.doubt("field_doubled", format!("{} is given twice", crate::fields::shortened(name).escape_debug()));
    }
    if fields.has("userAgent") && !query.body_agent {
        found.doubt("agent_in_body", "userAgent is in the event, but the query does not say bodyUa=true");
    }
    if query.delayed {
        found.doubt("delayed", "delayed=true is no longer documented");
    }
}

pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

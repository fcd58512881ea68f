//! Consent, privacy and robots as pipelines write them: what they become, what a lane then does, and what is refused.

use anole_event::{Reason, State};
use anole_pipeline::{BotAct, Categories, Category, ConsentSource, Made, Normaliser, Redacted, Unknown, sha256_hex};

use crate::support::{Event, Folder, shop, track};

/// The example of the design, with a block more.
const GOVERNED: &str = r#"pipeline: shop
keys: [ { key: dk_live_shop } ]
consent:
  from: [collector, ga4, segment, cookie:OptanonConsent, cookie:choice]
  unknown: deny
  words: { C0005: [marketing], Advertising: [marketing, personalization] }
  values:
    choice: { all: [functional, analytics, marketing], necessary: [] }
privacy:
  drop: [properties.card_number, context.ip, user_data]
  hash: [traits.email, { user_id: google_email }, traits.phones.0, cookies.kameleoonVisitorCode]
bots: { do: flag, also: [AcmeProbe], not: [friendly] }
destinations:
  - blueprint: kameleoon
    settings: { site_code: f17c21u1ag, region: eu }
    events:
      Order Completed: { set: { goalId: 36151 } }
      Newsletter Joined: { send: conversion, set: { goalId: 1 }, consent: [marketing] }
      Signed Up: { set: { goalId: 2 }, consent: [] }
  - blueprint: kameleoon
    name: measured
    consent: [analytics, personalization]
    settings: { site_code: f17c21u1ag, region: eu }
"#;

fn set(categories: &[Category]) -> Categories {
    categories.iter().copied().collect()
}

#[test]
fn governance_is_part_of_the_intake() {
    use Category::{Analytics, Functional, Marketing, Personalization};
    let plan = Folder::with(GOVERNED).plan();
    let consent = plan.intake.consent.as_ref().expect("consent is asked for");
    let values = vec![("all".into(), set(&[Functional, Analytics, Marketing])), ("necessary".into(), Categories::NONE)];
    assert_eq!(
        consent.from,
        [
            ConsentSource::Collector,
            ConsentSource::Ga4,
            ConsentSource::Segment,
            ConsentSource::OneTrust { cookie: "OptanonConsent".into() },
            ConsentSource::Cookie { cookie: "choice".into(), values },
        ]
    );
    assert_eq!((consent.unknown, consent.visitor_cookie), (Unknown::Deny, set(&[Analytics])));
    assert_eq!(consent.means("C0005"), set(&[Marketing]));
    assert_eq!(consent.means("Advertising"), set(&[Marketing, Personalization]));

    let privacy = &plan.intake.privacy;
    assert_eq!(privacy.json("user_data", "{}"), Redacted::Gone);
    let ada = Redacted::Now(Normaliser::GoogleEmail.hash("adalove@gmail.com"));
    assert_eq!(privacy.text(&["user_id"], "Ada.Love@gmail.com"), ada);
    assert_eq!(
        privacy.json("traits", r#"{"email":"A@b.c"}"#),
        Redacted::Now(format!(r#"{{"email":"{}"}}"#, sha256_hex("a@b.c")))
    );
    let phones = Redacted::Now(format!(r#"{{"phones":["{}","+2"]}}"#, sha256_hex("491")));
    assert_eq!(privacy.json("traits", r#"{"phones":["+49 1","+2"]}"#), phones, "by the last name of the path");

    let bots = &plan.intake.bots;
    assert_eq!((bots.act, &*bots.also[0], &*bots.not[0]), (BotAct::Flag, "acmeprobe", "friendly"));
    assert_eq!(Folder::with(&shop("bots: drop\n")).plan().intake.bots.act, BotAct::Drop);
}

fn ended(made: &[Made]) -> Option<(State, Reason, String)> {
    match made {
        [Made::Ended(ended)] => {
            let outcome = &ended.outcome;
            Some((outcome.state, outcome.reason, outcome.detail.as_deref().unwrap_or_default().to_owned()))
        }
        _ => None,
    }
}

fn order(consent: &str) -> Event {
    track("Order Completed", &format!(r#","anonymous_id":"a","properties":{{}}{consent}"#))
}

#[test]
fn a_lane_sends_only_what_was_consented_to() {
    let plan = Folder::with(GOVERNED).plan();
    let [kameleoon, measured] = &*plan.lanes else { panic!("two lanes") };
    let yes = r#","consent":{"analytics":true}"#;
    let no = r#","consent":{"analytics":false,"marketing":true}"#;
    assert_eq!(ended(&order(yes).apply(&plan, kameleoon)), None, "it is sent");
    let denied = (State::NoConsent, Reason::Denied, "consent is needed: analytics was denied".to_owned());
    assert_eq!(ended(&order(no).apply(&plan, kameleoon)), Some(denied));
    let unknown = ended(&order("").apply(&plan, kameleoon)).expect("it is not sent");
    assert_eq!((unknown.0, unknown.1), (State::NoConsent, Reason::Unknown));
    assert!(unknown.2.contains("nothing is known of analytics"), "{}", unknown.2);

    // The destination's word before the blueprint's.
    let more = ended(&order(yes).apply(&plan, measured)).expect("it is not sent");
    assert!(more.2.contains("personalization"), "{}", more.2);
    // The rule's word before both.
    let newsletter = |consent: &str| track("Newsletter Joined", &format!(r#","anonymous_id":"a"{consent}"#));
    assert_eq!(ended(&newsletter(no).apply(&plan, kameleoon)), None);
    assert!(ended(&newsletter(yes).apply(&plan, kameleoon)).is_some());
    let signed_up = track("Signed Up", r#","anonymous_id":"a""#);
    assert_eq!(ended(&signed_up.apply(&plan, kameleoon)), None, "it needs nothing");
    // What no rule names is unmapped, whatever was consented to.
    let other = ended(&track("Other", "").apply(&plan, kameleoon)).expect("it is not sent");
    assert_eq!((other.0, other.1), (State::Filtered, Reason::Unmapped));
}

#[test]
fn what_is_unknown_may_be_allowed_and_without_the_block_nothing_is_gated() {
    let allowing = Folder::with(&GOVERNED.replace("unknown: deny", "unknown: allow")).plan();
    assert_eq!(ended(&order("").apply(&allowing, &allowing.lanes[0])), None);
    let denied = ended(&order(r#","consent":{"analytics":false}"#).apply(&allowing, &allowing.lanes[0]));
    assert_eq!(denied.map(|ended| ended.1), Some(Reason::Denied));
    let open = Folder::with(&shop("    events: { Order Completed: { set: { goalId: 1 } } }\n")).plan();
    assert_eq!(ended(&order(r#","consent":{"analytics":false}"#).apply(&open, &open.lanes[0])), None);
}

#[test]
fn consent_changes_a_lanes_hash_and_what_others_need_does_not() {
    let hash = |text: &str| Folder::with(text).plan().lanes[0].hash;
    let governed = hash(GOVERNED);
    assert_ne!(governed, hash(&GOVERNED.replace("unknown: deny", "unknown: allow")));
    assert_ne!(governed, hash(&GOVERNED.replace("consent: [marketing] }", "consent: [analytics] }")));
    assert_eq!(governed, hash(&GOVERNED.replace("[analytics, personalization]", "[functional]")));
}

#[test]
fn mistakes_are_told_with_a_caret_and_a_suggestion() {
    let text = r#"pipeline: shop
keys: [ { key: dk_live_shop } ]
consent:
  from: [colector, onetrust, cookie:OptanonConsnt, ga4, ga4, cookie:mine, cookie:]
  unknown: denied
  words: { C0005: [advertising], C0006: marketing }
  values: { mined: { all: [analytics] }, other: { all: [analitics] } }
  visitor_cookie: [analytic]
privacy:
  drop:
    - message_id
    - properties.passengers.*.email
    - properties.items[*].name
    - propertis.email
    - context.userAgent
    - user_id.x
    - cookies.kameleonVisitorCode
    - identity.kameleoon_visitor_code
    - consent.analytics
    - timestamp
    - traits.
    - traits.name
  hash:
    - { traits.email: emial }
    - traits.name
    - 7
bots: { do: dorp, also: ["a"], nott: [x] }
destinations:
  - blueprint: kameleoon
    consent: [analytcs]
    settings: { site_code: f17c21u1ag, region: eu }
    events:
      page: { send: page, consent: marketing }
"#;
    insta::assert_snapshot!("governance", Folder::with(text).errors());
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let gated = shop("    consent: [analytics]\n    events:\n      page: { send: page, consent: [marketing] }\n");
    insta::assert_snapshot!("consent_without_effect", Folder::with(&gated).errors());
    let text = shop("bots: { do: keep, also: [acmeprobe] }\nconsent: { from: [] }\n");
    insta::assert_snapshot!("governance_without_effect", Folder::with(&text).errors());
}

#[test]
fn what_is_dropped_although_a_destination_reads_it_is_a_warning() {
    let warnings = |privacy: &str| Folder::with(&shop(&format!("privacy: {{ {privacy} }}\n"))).warnings();
    let told = warnings("drop: [context.page]");
    assert!(told.contains("6:19: `context.page.url` is dropped before a destination could read it"), "{told}");
    assert!(warnings("drop: [cookies.kameleoonVisitorCode]").contains("cookies.kameleoonVisitorCode"));
    assert_eq!(warnings("drop: [context.ip, context.page.search, user_id], hash: [context.page.url]"), "");
}

#[test]
fn a_key_that_only_clients_know_may_be_redacted_with_a_warning() {
    let folder = Folder::with(&shop("privacy: { drop: [email, user_data.address], hash: [customer.mail] }\n"));
    let warnings = folder.warnings();
    assert_eq!(warnings.lines().count(), 2, "{warnings}");
    assert!(warnings.contains("`email` is no field of an event"), "{warnings}");
    assert_eq!(folder.plan().intake.privacy.json("email", "1"), Redacted::Gone);
}

#[test]
fn the_examples_in_shipped_files_load_when_they_are_taken_in() {
    let starter = anole_config::starter("dk_x", Some("f17c21u1ag"), Some("eu")).pipeline;
    for text in [starter.as_str(), include_str!("../../../../pipelines/shop.yaml")] {
        let mut taken = text.to_owned();
        for key in ["consent", "privacy", "bots"] {
            assert!(taken.contains(&format!("\n# {key}: ")), "{text}");
            taken = taken.replace(&format!("\n# {key}: "), &format!("\n{key}: "));
        }
        let plan = Folder::with(&taken).plan();
        assert!(plan.intake.consent.is_some() && !plan.intake.privacy.is_empty() && plan.intake.bots.judges());
    }
}

#[test]
fn the_schema_takes_what_the_checks_take_and_refuses_what_they_refuse() {
    let schema = anole_config::schema(anole_config::FileKind::Pipeline);
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let is_valid = |text: &str| {
        let options = serde_saphyr::options! { strict_booleans: true };
        let value: serde_json::Value = serde_saphyr::from_str_with_options(text, options).expect("YAML");
        schema.is_valid(&value)
    };
    assert!(is_valid(GOVERNED));
    for (from, to) in [
        ("unknown: deny", "unknown: denied"),
        ("[collector, ga4", "{ collector: true }\n  also: [ga4"),
        ("C0005: [marketing]", "C0005: [ads]"),
        ("user_id: google_email", "user_id: gmail"),
        ("do: flag", "do: mark"),
        ("consent: [marketing] }", "consent: marketing }"),
        ("  drop:", "  remove:"),
    ] {
        let wrong = GOVERNED.replacen(from, to, 1);
        assert!(wrong != GOVERNED && !is_valid(&wrong), "{wrong}");
        assert!(Folder::with(&wrong).load().is_err(), "{wrong}");
    }
}

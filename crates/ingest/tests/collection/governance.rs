//! Consent, privacy and robots as events meet them on their way in.

use anole_ingest::IngestOptions;
use anole_pipeline::{
    BotAct, Bots, Categories, Category, ConsentPlan, ConsentSource, Intake, Normaliser, Path, Privacy, Redact, Unknown,
    sha256_hex,
};
use serde_json::{Value, json};

use crate::world::{World, shop};

const BROWSER: (&str, &str) = ("origin", "https://shop.test");
const ROBOT: (&str, &str) = ("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)");
const PERSON: (&str, &str) = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0");
const KEY: (&str, &str) = ("x-write-key", "wk");
const PURCHASE: &str = "/mp/collect?measurement_id=G-1&api_secret=s3cret";

fn world(change: impl FnOnce(&mut Intake)) -> World {
    let mut intake = shop();
    change(&mut intake);
    World::with(IngestOptions::default(), vec![intake])
}

/// A shop that asks these for consent.
fn asking(from: Vec<ConsentSource>) -> World {
    let visitor_cookie = Categories::NONE.with(Category::Analytics);
    let words = vec![("Advertising".into(), Categories::NONE.with(Category::Marketing))];
    world(|intake| intake.consent = Some(ConsentPlan { from, words, unknown: Unknown::Deny, visitor_cookie }))
}

fn redacting(drop: &[&str], hash: &[(&str, Normaliser)]) -> World {
    let path = |text: &str| Path::parse(text).unwrap();
    let drops = drop.iter().map(|text| (path(text), Redact::Drop));
    let hashes = hash.iter().map(|(text, normaliser)| (path(text), Redact::Hash(*normaliser)));
    let privacy = Privacy::new(drops.chain(hashes));
    world(|intake| intake.privacy = privacy)
}

fn one_trust() -> ConsentSource {
    ConsentSource::OneTrust { cookie: "OptanonConsent".into() }
}

async fn consent_of(world: &World, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let answer = world.post(path, headers, body.to_owned()).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    let mut events = world.journal.events();
    events.pop().unwrap().get("consent").cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn each_source_says_consent_in_its_own_words() {
    let all = || vec![ConsentSource::Collector, ConsentSource::Segment, ConsentSource::Ga4, one_trust()];
    let world = asking(all());
    let track = |more: &str| format!(r#"{{"event":"E","userId":"u"{more}}}"#);

    let collector = track(r#","consent":{"analytics":true,"marketing":false}"#);
    let expected = json!({"analytics": true, "marketing": false});
    assert_eq!(consent_of(&world, "/v1/track", &[KEY], &collector).await, expected);

    let segment = track(r#","context":{"consent":{"categoryPreferences":{"Advertising":true,"functional":false}}}"#);
    let expected = json!({"functional": false, "marketing": true, "Advertising": true});
    assert_eq!(consent_of(&world, "/v1/track", &[KEY], &segment).await, expected);

    let cookie = ("cookie", "OptanonConsent=isGpc=0&groups=C0001%3A1%2CC0002%3A1%2CC0004%3A0; other=1");
    let expected = json!({"essential": true, "analytics": true, "marketing": false});
    assert_eq!(consent_of(&world, "/v1/track", &[KEY, cookie], &track("")).await, expected);

    let mp = r#"{"client_id":"c","consent":{"ad_user_data":"GRANTED","ad_personalization":"DENIED"},"events":[{"name":"x"}]}"#;
    let expected =
        json!({"marketing": true, "personalization": false, "ad_user_data": true, "ad_personalization": false});
    assert_eq!(consent_of(&world, PURCHASE, &[], mp).await, expected);

    let query = format!("{PURCHASE}&gcs=G110&gcd=13n3m3l3l5");
    let mp = r#"{"client_id":"c","events":[{"name":"y"}]}"#;
    let expected = json!({"analytics": false, "marketing": true, "ad_storage": true, "analytics_storage": false});
    assert_eq!(consent_of(&world, &query, &[], mp).await, expected);

    assert_eq!(consent_of(&world, "/v1/track", &[KEY], &track("")).await, Value::Null);
}

#[tokio::test]
async fn the_first_source_wins_and_one_that_is_not_asked_says_nothing() {
    let body = r#"{"event":"E","userId":"u","consent":{"analytics":false},
        "context":{"consent":{"categoryPreferences":{"marketing":true}}}}"#;
    let cookie = ("cookie", "OptanonConsent=groups=C0002:1,C0003:1");
    let world = asking(vec![one_trust(), ConsentSource::Collector]);
    let consent = consent_of(&world, "/v1/track", &[KEY, cookie], body).await;
    assert_eq!(consent, json!({"analytics": true, "functional": true}));
    let world = asking(vec![ConsentSource::Collector, one_trust()]);
    let consent = consent_of(&world, "/v1/track", &[KEY, cookie], body).await;
    assert_eq!(consent, json!({"analytics": false, "functional": true}));
}

#[tokio::test]
async fn a_cookie_that_is_read_for_consent_is_not_kept_with_the_event() {
    let world = asking(vec![one_trust()]);
    let cookie = ("cookie", "OptanonConsent=groups=C0002:1&secretish=zzz; kameleoonVisitorCode=abc");
    world.post("/v1/track", &[KEY, cookie], r#"{"event":"E","userId":"u"}"#).await.assert_accepted();
    let event = world.journal.only();
    assert_eq!(event["cookies"], json!({"kameleoonVisitorCode": "abc"}));
    assert!(!event.to_string().contains("zzz"));
}

#[tokio::test]
async fn the_visitors_cookie_is_set_only_with_the_consent_that_it_needs() {
    let world = asking(vec![ConsentSource::Collector]);
    let send = async |more: &str| {
        let body = format!(r#"{{"event":"E"{more}}}"#);
        let answer = world.post("/v1/track", &[KEY, BROWSER], body).await;
        answer.assert_accepted();
        answer.header("set-cookie").to_owned()
    };
    assert_eq!(send("").await, "", "nothing is known");
    assert_eq!(send(r#","consent":{"analytics":false}"#).await, "");
    assert!(send(r#","consent":{"analytics":true}"#).await.starts_with("_anole_id="));
    assert_eq!(world.journal.events().len(), 3, "an event without a cookie is an event");
}

#[tokio::test]
async fn what_is_dropped_or_hashed_is_so_before_it_is_kept_or_remembered() {
    let world = redacting(
        &["properties.card_number", "context.ip", "previous_id", "user_data", "properties.passengers.name"],
        &[
            ("traits.email", Normaliser::Email),
            ("user_id", Normaliser::Email),
            ("properties.phone", Normaliser::Phone),
            ("cookies.kameleoonVisitorCode", Normaliser::Text),
        ],
    );
    let body = r#"{"type":"identify","userId":"Ada@Example.com","traits":{"email":" Ada@Example.com","age": 36.50},
        "properties":{"card_number":"4111111111111111","phone":"+49 151 2345","total":23.50,"id":12345678901234567890123,
        "passengers":[{"name":"Grace","seat":1}]},"user_data":{"clear":"ada"},
        "context":{"traits":{"email":"ada@example.com"},"locale":"de"}}"#;
    let headers = [KEY, BROWSER, ("cookie", "kameleoonVisitorCode=abcdef")];
    world.post("/v1/identify", &headers, body).await.assert_accepted();
    let written = String::from_utf8(world.journal.records()[0].body().unwrap().to_vec()).unwrap();
    let event = world.journal.only();
    let ada = sha256_hex("ada@example.com");
    assert_eq!(event["user_id"], json!(ada));
    assert_eq!(event["traits"]["email"], json!(ada));
    assert_eq!(event["context"]["traits"]["email"], json!(ada), "wherever the client repeats it");
    assert_eq!(event["properties"]["phone"], json!(sha256_hex("491512345")));
    assert_eq!(event["cookies"]["kameleoonVisitorCode"], json!(sha256_hex("abcdef")));
    assert_eq!(event["properties"]["passengers"], json!([{"seat": 1}]));
    for kept in [r#""total":23.50"#, r#""id":12345678901234567890123"#, r#""age":36.50"#, r#""locale":"de""#] {
        assert!(written.contains(kept), "{kept} in {written}");
    }
    for clear in ["4111", "Ada@", "ada@", "+49", "abcdef", "Grace", "clear", "\"ip\""] {
        assert!(!written.contains(clear), "{clear} in {written}");
    }
    // The identity map heard nothing else either: a back end's event finds the hash by the hashed user.
    world.call("/v1/track", r#"{"event":"E","userId":"ada@example.com"}"#).await.assert_accepted();
    let events = world.journal.events();
    assert_eq!(events[1]["identity"]["kameleoon_visitor_code"], json!(sha256_hex("abcdef")));
}

#[tokio::test]
async fn the_order_of_a_user_is_kept_by_what_is_left_of_the_id() {
    let world = redacting(&[], &[("user_id", Normaliser::Email)]);
    world.call("/v1/track", r#"{"event":"E","userId":"A@b.c"}"#).await.assert_accepted();
    world.call("/v1/track", r#"{"event":"E","userId":"a@b.c "}"#).await.assert_accepted();
    let records = world.journal.records();
    assert_eq!(records[0].head().unwrap().order_key, records[1].head().unwrap().order_key);
}

#[tokio::test]
async fn a_ga4_event_is_redacted_by_its_canonical_names() {
    let world = redacting(&["properties.order_id", "context.traits.tier"], &[]);
    let body = r#"{"client_id":"c","user_properties":{"tier":{"value":"gold"},"plan":{"value":"pro"}},
        "events":[{"name":"purchase","params":{"transaction_id":"T-1","value":1.50}}]}"#;
    assert_eq!(world.post(PURCHASE, &[], body).await.status, 204);
    let event = world.journal.only();
    assert_eq!(event["properties"], json!({"revenue": 1.5}));
    assert_eq!(event["context"]["traits"], json!({"plan": "pro"}));
}

fn judging(act: BotAct) -> World {
    let bots = Bots { act, also: vec!["acmeprobe".into()], not: vec!["friendlybot".into()] };
    world(|intake| intake.bots = bots)
}

#[tokio::test]
async fn a_robots_events_are_answered_as_usual_and_not_kept() {
    let world = judging(BotAct::Drop);
    let batch = r#"{"batch":[{"type":"track","event":"E","userId":"u"},{"type":"page","userId":"u"},{"type":"no"}]}"#;
    let answer = world.post("/v1/batch", &[KEY, BROWSER, ROBOT], batch).await;
    assert_eq!((answer.status.as_u16(), answer.json()["success"].clone()), (200, json!(true)));
    assert_eq!(answer.json()["verdicts"][0]["index"], 2, "what is wrong is still said");
    assert_eq!(answer.header("set-cookie"), "", "a robot gets no cookie");
    assert_eq!(world.journal.appends(), 0);
    let dropped = r#"anole_robots_events_total{done="dropped",pipeline="shop"}"#;
    assert_eq!(world.metric(dropped), 2);
    assert_eq!(world.metric(r#"anole_events_refused_total{pipeline="shop",reason="user_agent"}"#), 2);

    let event = r#"{"event":"E","userId":"u"}"#;
    world.post("/v1/track", &[KEY, BROWSER, ROBOT], event).await.assert_accepted();
    world.post("/v1/track", &[KEY, BROWSER, ("user-agent", "AcmeProbe/2")], event).await.assert_accepted();
    assert_eq!((world.journal.appends(), world.metric(dropped)), (0, 4));
    for kept in [&[KEY, BROWSER, PERSON][..], &[KEY, BROWSER], &[KEY, BROWSER, ("user-agent", "FriendlyBot")]] {
        world.post("/v1/track", kept, event).await.assert_accepted();
    }
    assert_eq!(world.journal.events().len(), 3);
}

#[tokio::test]
async fn only_browsers_are_judged() {
    let world = judging(BotAct::Drop);
    world.post("/v1/track", &[KEY, ROBOT], r#"{"event":"E","userId":"u"}"#).await.assert_accepted();
    let body = r#"{"client_id":"c","events":[{"name":"x"}]}"#;
    assert_eq!(world.post(PURCHASE, &[BROWSER, ROBOT], body).await.status, 204);
    assert_eq!(world.journal.events().len(), 2, "a back end's library is no robot");
}

#[tokio::test]
async fn a_flagged_robot_is_marked_where_rules_can_see_it_and_others_are_not() {
    let world = judging(BotAct::Flag);
    let event = r#"{"event":"E","userId":"u","context":{"bot":false,"locale":"de"}}"#;
    world.post("/v1/track", &[KEY, BROWSER, ROBOT], event).await.assert_accepted();
    world.post("/v1/track", &[KEY, BROWSER, PERSON], event).await.assert_accepted();
    let bots: Vec<Value> = world.journal.events().iter().map(|event| event["context"]["bot"].clone()).collect();
    assert_eq!(bots, [json!(true), json!(false)], "what a person's client says there is its own");
    assert_eq!(world.metric(r#"anole_robots_events_total{done="flagged",pipeline="shop"}"#), 1);
    assert_eq!(world.metric(r#"anole_events_refused_total{pipeline="shop",reason="user_agent"}"#), 0);
}

#[tokio::test]
async fn nobody_is_judged_where_robots_are_kept() {
    let world = judging(BotAct::Keep);
    world.post("/v1/track", &[KEY, BROWSER, ROBOT], r#"{"event":"E","userId":"u"}"#).await.assert_accepted();
    assert!(world.journal.only()["context"].get("bot").is_none());
}

#[tokio::test]
async fn what_a_page_tells_again_after_consent_is_taken_once_and_only_where_nothing_was_delivered_before() {
    let hit = |gcd: &str, more: &str| {
        format!("/g/collect?v=2&tid=G-1&cid=1.2&_p=1795341500000&gcd={gcd}&en=purchase&ep.transaction_id=T-1{more}")
    };
    let (denied, granted) = (hit("13p3p3p3p5", "&_s=1"), hit("13r3r3r3r5", "&_s=2&gcu=1&sst.gcut=1"));
    let asking = asking(vec![ConsentSource::Ga4]);
    for path in [&denied, &granted, &granted.replace("_s=2", "_s=3").replace("gcut=1", "gcut=3")] {
        assert_eq!(asking.post(path, &[BROWSER, PERSON], "").await.status, 204);
    }
    let events = asking.journal.events();
    assert_eq!(events.len(), 2, "once denied, once granted: {events:?}");
    assert_eq!(events[0]["message_id"], events[1]["message_id"], "so that a vendor takes it once");
    assert_eq!((&events[0]["consent"]["analytics"], &events[1]["consent"]["analytics"]), (&json!(false), &json!(true)));

    // Analytics was granted before, so a destination may have it.
    let partly = hit("13r3v3r3r5", "&_s=4&gcu=1").replace("T-1", "T-2");
    assert_eq!(asking.post(&partly, &[BROWSER, PERSON], "").await.status, 204);
    let careless = World::new();
    for path in [&denied, &granted] {
        assert_eq!(careless.post(path, &[BROWSER, PERSON], "").await.status, 204);
    }
    assert_eq!((asking.journal.events().len(), careless.journal.events().len()), (2, 1));
    assert_eq!(careless.metric(r#"anole_events_refused_total{pipeline="shop",reason="seen_before"}"#), 1);
}

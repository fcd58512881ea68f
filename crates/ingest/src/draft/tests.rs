use anole_event::Seeded;

use super::*;

fn ids() -> Ids {
    Ids::new(Box::new(Seeded::new(1)))
}

fn around() -> Around<'static> {
    Around {
        pipeline: "shop",
        protocol: "segment",
        received_at: Timestamp::parse("2026-11-22T10:00:00Z").expect("a time"),
        sent_at: Moment::default(),
        context: Object::Absent,
        integrations: None,
        seen: Seen { ip: [203, 0, 113, 7].into(), user_agent: None, browser: false, bot: false },
        cookies: &[],
        consent: None,
        visitor: None,
        made: None,
        fresh: None,
        translate: true,
        max_bytes: 64 << 10,
        surrogates: false,
    }
}

fn written_with(json: &str, route: Option<EventType>, around: &Around<'_>) -> Result<String, Verdict> {
    let envelope: Envelope<'_> = serde_json::from_str(json).expect("JSON");
    let draft = draft(route, &envelope, around, &ids())?;
    let mut out = Vec::new();
    draft.event.write_json(&mut out);
    Ok(String::from_utf8(out).expect("UTF-8"))
}

fn written(json: &str) -> Result<String, Verdict> {
    written_with(json, None, &around())
}

fn reason(json: &str) -> &'static str {
    written(json).expect_err("it is refused").reason.as_str()
}

#[test]
fn an_event_becomes_canonical_and_keeps_what_nobody_touches() {
    let json = r#"{"type":"track","event":"Order Completed","messageId":"m-1","userId":"u-42","anonymousId":null,
        "properties":{"order_id":"ORD-1001","revenue":23.50, "id":12345678901234567890123},
        "context":{"library":{"name":"x"},"userAgent":"UA"},"integrations":{"All":true},"channel":"server",
        "timestamp":"2026-11-22T09:59:50.123456+00:00","_metadata":{"a":[1]}}"#;
    let expected = concat!(
        r#"{"type":"track","message_id":"m-1","event":"Order Completed","user_id":"u-42","#,
        r#""properties":{"order_id":"ORD-1001","revenue":23.50, "id":12345678901234567890123},"#,
        r#""context":{"library":{"name":"x"},"user_agent":"UA"},"integrations":{"All":true},"#,
        r#""timestamp":"2026-11-22T09:59:50.123456Z","received_at":"2026-11-22T10:00:00.000Z","#,
        r#""original_timestamp":"2026-11-22T09:59:50.123456+00:00","#,
        r#""source":{"pipeline":"shop","protocol":"segment","name":"Order Completed"},"#,
        r#""channel":"server","_metadata":{"a":[1]}}"#,
    );
    assert_eq!(written(json).expect("an event"), expected);
}

#[test]
fn the_route_says_the_type_before_the_event_does() {
    let json = r#"{"type":"identify","event":"E","userId":"u"}"#;
    let track = written_with(json, Some(EventType::Track), &around()).expect("an event");
    assert!(track.starts_with(r#"{"type":"track""#), "{track}");
}

#[test]
fn a_missing_message_id_is_made_and_differs_each_time() {
    let envelope: Envelope<'_> = serde_json::from_str(r#"{"type":"page","userId":"u"}"#).expect("JSON");
    let (around, ids) = (around(), ids());
    let first = draft(None, &envelope, &around, &ids).expect("an event");
    let second = draft(None, &envelope, &around, &ids).expect("an event");
    assert!(first.made && first.event.message_id.len() == 36);
    assert_ne!(first.event.message_id, second.event.message_id);
}

#[test]
fn ids_may_be_numbers_and_blank_ones_are_absent() {
    let number = written(r#"{"type":"page","userId":9007199254740993,"anonymousId":"  "}"#).expect("an event");
    assert!(number.contains(r#""user_id":"9007199254740993""#) && !number.contains("anonymous_id"), "{number}");
}

#[test]
fn a_visitor_without_ids_is_who_the_cookie_says() {
    let nobody = r#"{"type":"page"}"#;
    assert_eq!(reason(nobody), "no_identity");
    let verdict = written(nobody).expect_err("it is refused");
    assert!(verdict.message.contains("send userId or anonymousId"), "{}", verdict.message);

    let with = Around { visitor: Some("cookie"), fresh: Some("fresh"), ..around() };
    assert!(written_with(nobody, None, &with).expect("an event").contains(r#""anonymous_id":"cookie""#));
    let fresh = Around { fresh: Some("fresh"), ..around() };
    assert!(written_with(nobody, None, &fresh).expect("an event").contains(r#""anonymous_id":"fresh""#));
    let user = written_with(r#"{"type":"page","userId":"u"}"#, None, &fresh).expect("an event");
    assert!(!user.contains("fresh"), "a user is known already: {user}");
    let own = written_with(r#"{"type":"page","anonymousId":"own"}"#, None, &with).expect("an event");
    assert!(own.contains(r#""anonymous_id":"own""#), "{own}");
}

#[test]
fn what_is_no_event_is_refused_with_its_reason() {
    let long = "x".repeat(MAX_TEXT + 1);
    let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    let keys: String = (0..=MAX_EXTRA).map(|n| format!(",\"k{n}\":0")).collect();
    let cases = [
        (r#"{"userId":"u"}"#.to_owned(), "unknown_type"),
        (r#"{"userId":"u","type":"tracks"}"#.to_owned(), "unknown_type"),
        (r#"{"userId":"u","type":7}"#.to_owned(), "unknown_type"),
        (r#"{"userId":"u","type":["track"]}"#.to_owned(), "unknown_type"),
        (r#"{"userId":"u","type":"track"}"#.to_owned(), "no_event_name"),
        (r#"{"userId":"u","type":"track","event":""}"#.to_owned(), "no_event_name"),
        (r#"{"userId":"u","type":"track","event":{}}"#.to_owned(), "bad_field"),
        (r#"{"userId":true,"type":"page"}"#.to_owned(), "bad_field"),
        (r#"{"userId":"u","type":"page","properties":"x"}"#.to_owned(), "bad_field"),
        (r#"{"userId":"u","type":"page","context":[]}"#.to_owned(), "bad_field"),
        (r#"{"userId":"u","type":"group"}"#.to_owned(), "no_group"),
        (r#"{"userId":"u","type":"alias"}"#.to_owned(), "no_alias"),
        (format!(r#"{{"userId":"{long}","type":"page"}}"#), "text_too_long"),
        (format!(r#"{{"userId":"u","type":"track","event":"{long}"}}"#), "text_too_long"),
        (format!(r#"{{"userId":"u","type":"page","messageId":"{}"}}"#, "m".repeat(101)), "text_too_long"),
        (format!(r#"{{"userId":"u","type":"page","properties":{{"x":{deep}}}}}"#), "too_deep"),
        (format!(r#"{{"userId":"u","type":"page"{keys}}}"#), "too_many_keys"),
    ];
    for (json, expected) in cases {
        assert_eq!(reason(&json), expected, "{}", &json[..json.len().min(80)]);
    }
}

#[test]
fn an_event_over_the_byte_limit_is_refused_as_too_large() {
    let json = format!(r#"{{"userId":"u","type":"page","properties":{{"x":"{}"}}}}"#, "y".repeat(64 << 10));
    let verdict = written(&json).expect_err("it is refused");
    assert_eq!((verdict.code, verdict.reason), (crate::code::RefusalCode::EventTooLarge, Rule::TooLarge));
}

#[test]
fn half_of_a_surrogate_pair_is_refused_where_it_stands() {
    let checked = Around { surrogates: true, ..around() };
    for json in [r#"{"userId":"u","type":"page","properties":{"x":"\ud83d"}}"#, r#"{"userId":"\ud83d","type":"page"}"#]
    {
        assert_eq!(written_with(json, None, &checked).expect_err("it is refused").reason, Rule::BadText);
    }
    let whole = r#"{"userId":"u","type":"page","properties":{"x":"\ud83d\ude00"}}"#;
    written_with(whole, None, &checked).expect("a whole pair is fine");
}

#[test]
fn a_ga4_name_is_translated_with_its_properties_and_stays_in_the_source() {
    let json =
        r#"{"type":"track","event":"purchase","userId":"u","properties":{"transaction_id":"T-1","value":24.980}}"#;
    let event = written(json).expect("an event");
    assert!(event.contains(r#""event":"Order Completed""#) && event.contains(r#""name":"purchase""#), "{event}");
    assert!(event.contains(r#""properties":{"order_id":"T-1","revenue":24.980}"#), "{event}");

    let page = r#"{"type":"track","event":"page_view","userId":"u","properties":{"page_location":"https://s/"}}"#;
    let event = written(page).expect("an event");
    assert!(
        event.starts_with(r#"{"type":"page""#) && event.contains(r#""context":{"page":{"url":"https://s/"}}"#),
        "{event}"
    );

    let off = Around { translate: false, ..around() };
    let event = written_with(json, None, &off).expect("an event");
    assert!(event.contains(r#""event":"purchase""#) && event.contains(r#""transaction_id":"T-1""#), "{event}");
}

#[test]
fn segments_own_names_keep_ga4_looking_properties() {
    let json = r#"{"type":"track","event":"Order Completed","userId":"u","properties":{"value":1,"items":[]}}"#;
    assert!(written(json).expect("an event").contains(r#""properties":{"value":1,"items":[]}"#));
}

#[test]
fn the_batchs_integrations_lie_under_the_events_own() {
    let theirs: &RawValue = serde_json::from_str(r#"{"All":false,"A":true}"#).expect("JSON");
    let with = Around { integrations: Some(theirs), ..around() };
    let own = written_with(r#"{"type":"page","userId":"u","integrations":{"All":true}}"#, None, &with);
    assert!(own.expect("an event").contains(r#""integrations":{"All":true,"A":true}"#));
    let none = written_with(r#"{"type":"page","userId":"u"}"#, None, &with);
    assert!(none.expect("an event").contains(r#""integrations":{"All":false,"A":true}"#));
}

#[test]
fn traits_group_and_consent_are_found_where_clients_put_them() {
    let identify = r#"{"type":"identify","userId":"u","context":{"traits":{"plan":"pro"},"groupId":"g-1",
        "consent":{"categoryPreferences":{"analytics":true,"marketing":false,"x":"?"}}}}"#;
    let event = written(identify).expect("an event");
    assert!(event.contains(r#""traits":{"plan":"pro"},"context""#), "{event}");
    assert!(event.contains(r#""group_id":"g-1","#), "{event}");
    assert!(event.contains(r#""consent":{"analytics":true,"marketing":false}"#), "{event}");
    let root = written(r#"{"type":"page","userId":"u","consent":{"analytics":false}}"#).expect("an event");
    assert!(root.contains(r#""consent":{"analytics":false}"#), "{root}");
}

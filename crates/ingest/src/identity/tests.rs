use anole_event::{EventType, Timestamp};

use super::*;

fn event() -> Event<'static> {
    let raw = |json: &str| Some(Cow::Owned(RawValue::from_string(json.to_owned()).expect("JSON")));
    Event {
        event_type: EventType::Track,
        event: Some("E".into()),
        message_id: "m".into(),
        anonymous_id: Some("a".into()),
        user_id: Some("u".into()),
        group_id: None,
        previous_id: None,
        properties: raw(r#"{"code":"p","n":12345678901234567890,"deep":{"x":"y"},"\u0065sc":"e","null":null}"#),
        traits: raw(r#"{"code":"t"}"#),
        context: raw(r#"{"page":{"url":"https://s/"}}"#),
        integrations: None,
        cookies: vec![("visitor".into(), "c".into())],
        identity: vec![],
        consent: vec![],
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
        sent_at: None,
        original_timestamp: None,
        pipeline: "shop".into(),
        protocol: "segment",
        source_name: None,
        extra: vec![("channel".into(), raw("\"server\"").expect("JSON"))],
    }
}

#[test]
fn a_value_is_found_wherever_an_event_can_say_it() {
    let event = event();
    let cases = [
        ("cookies.visitor", Some("c")),
        ("cookies.other", None),
        ("properties.code", Some("p")),
        ("properties.n", Some("12345678901234567890")),
        ("properties.deep.x", Some("y")),
        ("properties.esc", Some("e")),
        ("properties.null", None),
        ("properties.deep", None),
        ("properties.none", None),
        ("traits.code", Some("t")),
        ("context.page.url", Some("https://s/")),
        ("user_id", Some("u")),
        ("anonymous_id", Some("a")),
        ("group_id", None),
        ("channel", Some("server")),
        ("nothing.at.all", None),
    ];
    for (path, expected) in cases {
        let path = Path::parse(path).expect("a path");
        assert_eq!(at(&path, &event).as_deref(), expected, "{path}");
    }
}

#[test]
fn the_first_source_that_gives_a_clean_value_counts() {
    let rule = |sources: &[&str]| Remember {
        name: "code".into(),
        sources: sources.iter().map(|path| Path::parse(path).expect("a path")).collect(),
        clean: anole_pipeline::Clean { max_bytes: Some(5), ..Default::default() },
    };
    let event = event();
    assert_eq!(
        said(&rule(&["properties.n", "cookies.none", "traits.code", "cookies.visitor"]), &event).as_deref(),
        Some("t")
    );
    assert_eq!(said(&rule(&["properties.n"]), &event), None);
    assert_eq!(said(&rule(&[]), &event), None);
}

#[test]
fn each_key_is_asked_for_once_however_many_there_are() {
    let key = |n: usize| IdentityKey {
        pipeline: "p".into(),
        name: "n".into(),
        id: IdentityOf::User(format!("u-{n}").into()),
    };
    let mut keys = Keys::default();
    for round in 0..3 {
        for n in 0..50 {
            assert_eq!(keys.index(key(n)), n, "round {round}");
        }
    }
    assert_eq!(keys.list.len(), 50);
}

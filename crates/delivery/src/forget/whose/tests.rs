//! Whose an event is, and what is noted of it.

use anole_event::{EventType, Fingerprint, Marks, OrderKey, Outcome, Position, Reason, State};
use anole_state::IdentityKey;

use super::*;
use crate::forget::ForgetOrder;

const NOW: Timestamp = Timestamp::from_micros(1_000);

fn judge(person: Person) -> Arc<Judge> {
    judge_in(person, None)
}

fn judge_in(person: Person, pipeline: Option<&str>) -> Arc<Judge> {
    let order = ForgetOrder { pipeline: pipeline.map(str::to_owned), ..ForgetOrder::default() };
    Judge::new(&Asked::of(person, &order, NOW), BTreeMap::new(), NOW)
}

fn visitor(id: &str) -> Arc<Judge> {
    judge(Person::Visitor(id.to_owned()))
}

fn user(id: &str) -> Arc<Judge> {
    judge(Person::User(id.to_owned()))
}

fn record(body: &str, at: i64) -> Record {
    let head = Head {
        kind: Kind::Event,
        event_type: EventType::Track,
        protocol: "segment",
        received_at: Timestamp::from_micros(at),
        order_key: OrderKey(1),
        fingerprint: Fingerprint(2),
        pipeline: "shop",
        name: "Order Completed",
        source_name: "",
    };
    Record::new(&head, body.as_bytes())
}

fn is_theirs(judge: &Judge, body: &str) -> bool {
    judge.kept(&record(body, 5))
}

fn send(message: &str, anonymous: &str, code: Option<&str>) -> SendRecord {
    SendRecord {
        message_id: message.into(),
        event: "page".into(),
        anonymous_id: Some(anonymous.into()),
        user_id: Some("u-1".into()),
        lookups: Vec::new(),
        position: Position::at(1),
        received_at: Timestamp::from_micros(5),
        ordinal: 0,
        rule: "page".into(),
        visitor_code: code.map(Into::into),
        rung: None,
        nonce: None,
        marks: Marks::NONE,
        outcome: Some(Outcome::new(State::Delivered, Reason::Accepted)),
    }
}

#[test]
fn a_visitor_is_found_by_each_way_in_which_an_event_names_one_and_by_no_other() {
    for body in [
        r#"{"message_id":"m","anonymous_id":"ada"}"#,
        r#"{"message_id":"m","anonymous_id":"x","previous_id":"ada"}"#,
        r#"{"message_id":"m","cookies":{"kameleoonVisitorCode":"ada"}}"#,
        r#"{"message_id":"m","identity":{"kameleoon_visitor_code":"ada"}}"#,
        r#"{"message_id":"m","anonymous_id":"\u0061da"}"#,
        r#"{"anonymous_id":"x","message_id":"m","anonymous_id":"ada"}"#,
        r#"{"message_id":"m","anonymous_id":"ada"#,
    ] {
        assert!(is_theirs(&visitor("ada"), body), "{body}");
    }
    for body in [
        r#"{"message_id":"m","anonymous_id":"adam"}"#,
        r#"{"message_id":"m","user_id":"ada"}"#,
        r#"{"message_id":"ada","properties":{"name":"ada"},"traits":{"anonymous_id":"ada"}}"#,
        r#"{"message_id":"m","anonymous_id":"\u0061dam"}"#,
        r#"{"message_id":"m","anonymous_id":["ada"]}"#,
    ] {
        assert!(!is_theirs(&visitor("ada"), body), "{body}");
    }
    assert!(is_theirs(&user("42"), r#"{"message_id":"m","user_id":42}"#), "a number is its digits");
    assert!(!is_theirs(&user("42"), r#"{"message_id":"m","anonymous_id":"42","properties":{"quantity":42}}"#));
}

#[test]
fn what_is_new_or_of_another_pipeline_or_erased_is_not_meant() {
    let body = r#"{"message_id":"m","anonymous_id":"ada"}"#;
    assert!(!visitor("ada").kept(&record(body, 1_001)), "it came in after it was asked");
    let (head, bytes) = (record(body, 1_001), body.as_bytes());
    let judge = visitor("ada");
    assert!(judge.record(&head.head().unwrap(), bytes), "the journal has its own bound");
    assert!(judge.kept(&head), "and what it erases is meant, whatever the clock says");
    let elsewhere = judge_in(Person::Visitor("ada".to_owned()), Some("blog"));
    assert!(!is_theirs(&elsewhere, body));
    let erased = Head { kind: Kind::Erased, ..head.head().unwrap() };
    assert!(!judge.record(&erased, bytes));
}

#[test]
fn who_stands_beside_is_noted_and_so_are_the_events() {
    let judge = visitor("ada");
    let body = r#"{"message_id":"m","anonymous_id":"a-1","user_id":"u-1","cookies":{"code":"ada","other":"no link"}}"#;
    assert!(is_theirs(&judge, body));
    let found = judge.found();
    assert_eq!(found.messages["shop"], BTreeSet::from(["m".to_owned()]));
    assert_eq!(found.links.visitors, BTreeSet::from(["a-1".to_owned()]));
    assert_eq!(found.links.users, BTreeSet::from(["u-1".to_owned()]));
    let lane = LaneId::new("shop", "lane");
    // The event itself, in the log; a row of it names the visitor nowhere.
    assert!(judge.send(&lane, &send("m", "a-1", None)));
    assert!(!judge.send(&lane, &send("other", "a-1", None)));
    assert!(!judge.send(&LaneId::new("blog", "lane"), &send("m", "a-1", None)), "message ids belong to a pipeline");
    // A row that names the visitor leads to the others of its event.
    assert!(judge.send(&lane, &send("n", "a-2", Some("ada"))));
    assert!(judge.send(&lane, &send("n", "a-2", None)));
    assert!(judge.found().links.visitors.contains("a-2"));
    let blank = SendRecord { marks: Marks::ERASED, ..send("n", "a-2", Some("ada")) };
    assert!(!judge.send(&lane, &blank));
}

#[test]
fn an_identity_is_theirs_by_whose_it_is_or_by_what_it_is() {
    let judge = visitor("ada");
    let identity = |id: IdentityOf, value: &str| Identity {
        key: IdentityKey { pipeline: "shop".into(), name: "code".into(), id },
        value: value.into(),
        received_at: NOW,
    };
    assert!(judge.is_their_identity(&identity(IdentityOf::Anonymous("ada".into()), "code-1")));
    assert!(judge.is_their_identity(&identity(IdentityOf::User("u-1".into()), "ada")));
    assert!(!judge.is_their_identity(&identity(IdentityOf::User("ada".into()), "code-2")));
    judge.identity(&identity(IdentityOf::Anonymous("ada".into()), "code-1"));
    judge.identity(&identity(IdentityOf::User("u-1".into()), "ada"));
    let links = judge.found().links;
    assert_eq!((links.visitors, links.users), (["code-1".to_owned()].into(), ["u-1".to_owned()].into()));
}

#[test]
fn the_log_is_asked_by_ids_and_by_the_events_that_were_found_and_its_question_shows_none() {
    let judge = visitor("ada");
    assert!(is_theirs(&judge, r#"{"message_id":"m","anonymous_id":"ada"}"#));
    let whose = judge.whose();
    assert_eq!(whose.values.iter().map(|value| &**value).collect::<Vec<_>>(), ["ada", "m"]);
    assert!(!format!("{whose:?}").contains("ada"));
}

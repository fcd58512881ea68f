//! What the store knows of people, and how it forgets.

use std::sync::Arc;

use anole_event::{EventType, Fingerprint, Head, Kind, OrderKey, Position, Reason, Record};

use super::{at, deferred, lane, parked};
use crate::{
    DeferredFilter, Erase, IdentitiesOf, Identity, IdentityKey, IdentityOf, LaneCommit, Matches, ParkedFilter, SendKey,
    State,
};

fn whose(id: IdentityOf) -> IdentityKey {
    IdentityKey { pipeline: "shop".into(), name: "code".into(), id }
}

/// The identity map.
pub async fn identities_are_seen_at_once_and_the_newest_wins(state: &dyn State) {
    let visitor = whose(IdentityOf::Anonymous("1".into()));
    let user = whose(IdentityOf::User("1".into()));
    let elsewhere = IdentityKey { pipeline: "blog".into(), ..visitor.clone() };
    let keys = vec![user.clone(), visitor.clone(), elsewhere];
    assert_eq!(state.identities(keys.clone()).await.expect("answers"), [None, None, None]);
    let say = |key: &IdentityKey, value: &str, millis: i64| Identity {
        key: key.clone(),
        value: value.into(),
        received_at: at(millis),
    };
    state.remember(vec![say(&visitor, "old", 10), say(&user, "u", 10)]);
    state.remember(vec![say(&visitor, "new", 20)]);
    state.remember(vec![say(&visitor, "late", 15)]);
    let known = [Some("u".to_owned()), Some("new".to_owned()), None];
    assert_eq!(state.identities(keys).await.expect("answers"), known);
}

fn record(order_key: u64) -> bytes::Bytes {
    let head = Head {
        kind: Kind::Event,
        event_type: EventType::Page,
        protocol: "segment",
        received_at: at(1),
        order_key: OrderKey(order_key),
        fingerprint: Fingerprint(1),
        pipeline: "shop",
        name: "",
        source_name: "",
    };
    Record::new(&head, b"{}").bytes().clone()
}

/// J-8, the state's half.
pub async fn j8_an_erasure_finds_removes_and_may_be_repeated(state: &dyn State) {
    state.register(lane("a"), vec![Position::at(0)], at(1)).await.expect("a lane");
    let park = |offset, key| crate::Parked { record: record(key), ..parked(offset, "page", Reason::Refused) };
    let commit = LaneCommit {
        parked: vec![park(1, 7), park(2, 8), park(3, 7)],
        deferred: vec![
            crate::Deferred { record: record(7), ..deferred(4, 10) },
            crate::Deferred { record: record(8), ..deferred(5, 10) },
        ],
        ..LaneCommit::new(lane("a"))
    };
    state.commit(vec![commit]).await.expect("a commit");
    let visitor = whose(IdentityOf::Anonymous("7".into()));
    let other = whose(IdentityOf::User("7".into()));
    let known = |key: &IdentityKey| Identity { key: key.clone(), value: "v".into(), received_at: at(1) };
    state.remember(vec![known(&visitor), known(&other)]);
    let theirs: Matches = Arc::new(|record: &Record| record.head().is_ok_and(|head| head.order_key == OrderKey(7)));
    let first = state.erasable(Arc::clone(&theirs), 2).await.expect("what is to be erased");
    assert_eq!(first.len(), 2, "at most so many");
    let found = state.erasable(Arc::clone(&theirs), 10).await.expect("what is to be erased");
    let sends: Vec<_> = found.iter().map(|one| (one.lane.clone(), one.key)).collect();
    let key = |offset, ordinal| (lane("a"), SendKey { position: Position::at(offset), ordinal });
    assert_eq!(sends, [key(1, 0), key(3, 0), key(4, 1)]);
    assert_eq!((&*found[0].message_id, found[0].plan, found[0].received_at), ("m-1", u64::MAX, at(1)));
    let identities = vec![IdentitiesOf { pipeline: "shop".into(), id: visitor.id.clone() }];
    let erase = Erase { sends: [sends.clone(), vec![key(99, 0)]].concat(), identities, values: Vec::new() };
    let erased = state.erase(erase.clone()).await.expect("erased");
    assert_eq!(erased.sends, sends, "what is not there is passed over");
    assert_eq!(state.erasable(theirs, 10).await.expect("nothing"), []);
    let left = state.parked(ParkedFilter::default()).await.expect("parked");
    assert_eq!(left.iter().map(|row| row.parked.position.offset).collect::<Vec<_>>(), [2]);
    assert_eq!(state.parked_counts().await.expect("counts")[0].count, 1, "the counts go with the rows");
    let left = state.deferred(DeferredFilter::default()).await.expect("deferred");
    assert_eq!(left.iter().map(|row| row.deferred.position.offset).collect::<Vec<_>>(), [5]);
    let known = state.identities(vec![visitor, other]).await.expect("answers");
    assert_eq!(known, [None, Some("v".to_owned())]);
    assert_eq!(state.erase(erase).await.expect("erased again").sends, []);
}

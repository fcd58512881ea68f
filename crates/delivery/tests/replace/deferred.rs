//! Deferred sends come back from the state: by a lane that is begun, mapped by the plan in force.

use anole_event::{LaneId, Position, Reason, State as Ended, Timestamp};
use anole_state::{Deferred, DeferredFilter, LaneCommit};

use crate::swap::{A, GRACE};
use crate::vendor::PATIENCE;
use crate::world::{World, id};

/// A send that was deferred a while ago.
fn row(world: &World, number: u64, due_at: Timestamp) -> Deferred {
    let record = world.record("shop", number, 1);
    Deferred {
        position: Position::at(number),
        ordinal: 0,
        rule: "Order Completed".to_owned(),
        event: "Order Completed".to_owned(),
        message_id: id(number),
        received_at: record.head().unwrap().received_at,
        deferred_at: record.head().unwrap().received_at,
        due_at,
        tries: 1,
        reason: Reason::FailsAlone,
        detail: None,
        plan: 1,
        attempt: None,
        record: record.bytes().clone(),
    }
}

#[tokio::test]
async fn s2_what_is_due_is_sent_alone_and_is_deferred_no_more() {
    let world = World::new(&[("a", A, 1)]).await;
    world.accept(0, 1).await;
    world.vendor.arrived(A, 1).await;
    let due = Timestamp::from_micros(0);
    let far = Timestamp::parse("2099-01-01T00:00:00Z").unwrap();
    let lane = LaneId::new("shop", "a");
    let deferred = vec![row(&world, 7, due), row(&world, 8, due), row(&world, 9, far)];
    world.state.commit(vec![LaneCommit { deferred, ..LaneCommit::new(lane.clone()) }]).await.unwrap();
    world.replace(world.plans(&[("a", A, 2)]), GRACE).await;
    let arrived = world.vendor.arrived(A, 3).await;
    let came: Vec<_> = arrived.iter().map(|event| (event.nonce.clone(), event.goal)).collect();
    assert_eq!(came[1..], [(id(7), 2), (id(8), 2)], "by the plan in force");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let left = world.state.deferred(DeferredFilter::default()).await.unwrap();
        if left.len() == 1 {
            assert_eq!(left[0].deferred.message_id, id(9), "that one has time");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{left:?}");
        tokio::task::yield_now().await;
    }
    let status = world.delivery.lanes().await.remove(0);
    assert_eq!((status.lane, status.deferred), (lane, 1));
    let requests = world.plans_in_log("a", 3).await;
    assert_eq!(requests.len(), 3, "each alone in its request");
    let query = anole_delivery_log::SendQuery { message_id: Some(id(7)), ..Default::default() };
    let told = world.log.sends(query).await.unwrap().items;
    assert_eq!(told[0].send.outcome.as_ref().unwrap().state, Ended::Delivered);
}

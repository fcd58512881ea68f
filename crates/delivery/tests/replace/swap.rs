//! What becomes of events when the plans are replaced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anole_delivery::{Change, ReplaceError};
use anole_event::LaneId;
use anole_state::LaneStatus;

use crate::vendor::{BUSY, Event, PATIENCE};
use crate::world::{World, id, told};

pub(crate) const GRACE: Duration = Duration::from_secs(15);
pub(crate) const A: &str = "aaaaaaaaaa";
const B: &str = "bbbbbbbbbb";

fn goals(events: &[Event]) -> Vec<(String, u64)> {
    events.iter().map(|event| (event.nonce.clone(), event.goal)).collect()
}

fn nonces(events: &[Event]) -> BTreeSet<String> {
    events.iter().map(|event| event.nonce.clone()).collect()
}

#[tokio::test]
async fn what_is_under_way_ends_by_the_old_plan_and_what_waits_is_mapped_by_the_new_one() {
    let world = World::new(&[("a", A, 1)]).await;
    world.vendor.hold(A);
    // Of one visitor: the others wait behind the first until it is answered.
    for number in 0..6 {
        world.accept(number, 7).await;
        world.vendor.arrived(A, 1).await;
    }
    let replaced = {
        let plans = world.plans(&[("a", A, 2)]);
        world.replace(plans, GRACE)
    };
    tokio::pin!(replaced);
    // It does not end while a request is under way.
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut replaced).await;
    assert!(waits.is_err(), "{waits:?}");
    world.vendor.let_go(A);
    assert_eq!(told(&replaced.await), [("a".to_owned(), Change::Changed)]);
    let arrived = world.vendor.arrived(A, 6).await;
    let first = arrived[0].request;
    for event in &arrived {
        let goal = if event.request == first { 1 } else { 2 };
        assert_eq!(event.goal, goal, "{arrived:?}");
    }
    assert_eq!(nonces(&arrived), (0..6).map(id).collect());
    assert_eq!(arrived.len(), 6, "none twice: {arrived:?}");
    let logged = world.plans_in_log("a", 2).await;
    let plans: BTreeSet<_> = logged.iter().collect();
    assert_eq!(plans.len(), 2, "each version has its own hash, and each request one of them: {logged:?}");
}

#[tokio::test]
async fn a_lane_whose_plan_is_the_same_is_not_disturbed() {
    let world = World::new(&[("a", A, 1), ("b", B, 9)]).await;
    world.vendor.hold(B);
    world.accept(0, 1).await;
    world.vendor.arrived(A, 1).await;
    world.vendor.arrived(B, 1).await;
    // It would wait for the answer that B does not give if it had anything to do with B.
    let changes = world.replace(world.plans(&[("new", "cccccccccc", 5), ("a", A, 2), ("b", B, 9)]), GRACE).await;
    let expected = [("a", Change::Changed), ("b", Change::Unchanged), ("new", Change::Added)];
    assert_eq!(told(&changes), expected.map(|(lane, change)| (lane.to_owned(), change)));
    let b = world.delivery.lanes().await.into_iter().find(|lane| lane.lane == LaneId::new("shop", "b")).unwrap();
    assert_eq!((b.open, b.inflight), (1, 1), "its request is still under way");
    world.vendor.let_go(B);
    world.accept(1, 2).await;
    assert_eq!(goals(&world.vendor.arrived(B, 2).await), [(id(0), 9), (id(1), 9)], "nothing is sent again");
    assert_eq!(goals(&world.vendor.arrived(A, 2).await), [(id(0), 1), (id(1), 2)]);
    assert_eq!(goals(&world.vendor.arrived("cccccccccc", 1).await), [(id(1), 5)], "a new one begins now");
}

#[tokio::test]
async fn a_request_that_is_not_answered_within_the_grace_period_is_made_again_by_the_new_plan_with_the_same_nonce() {
    let world = World::new(&[("a", A, 1)]).await;
    world.vendor.hold(A);
    world.accept(0, 1).await;
    world.vendor.arrived(A, 1).await;
    world.replace(world.plans(&[("a", B, 2)]), Duration::from_millis(50)).await;
    assert_eq!(goals(&world.vendor.arrived(B, 1).await), [(id(0), 2)]);
    assert_eq!(goals(&world.vendor.so_far(A)), [(id(0), 1)]);
}

#[tokio::test]
async fn s5_a_lane_that_goes_and_comes_back_passes_over_nothing() {
    let world = World::new(&[("a", A, 1), ("b", B, 1)]).await;
    world.accept(0, 1).await;
    world.vendor.arrived(B, 1).await;
    let changes = world.replace(world.plans(&[("a", A, 1)]), GRACE).await;
    assert_eq!(told(&changes)[1], ("b".to_owned(), Change::Removed));
    assert!(world.delivery.lanes().await.iter().all(|lane| lane.lane.destination() == "a"), "b is not at work");
    let rows = world.state.lanes().await.unwrap();
    let of = |name| rows.iter().find(|row| row.lane == LaneId::new("shop", name)).unwrap();
    assert!(matches!(of("b").status, LaneStatus::Orphaned { .. }), "{rows:?}");
    assert_eq!(of("a").status, LaneStatus::Active);
    world.accept(1, 1).await;
    world.vendor.arrived(A, 2).await;
    let changes = world.replace(world.plans(&[("a", A, 1), ("b", B, 2)]), GRACE).await;
    assert_eq!(told(&changes)[1], ("b".to_owned(), Change::Returned));
    world.accept(2, 1).await;
    assert_eq!(goals(&world.vendor.arrived(B, 3).await), [(id(0), 1), (id(1), 2), (id(2), 2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_lane_that_is_gone_passes_over_nothing_between_the_swap_and_its_end() {
    let world = Arc::new(World::new(&[("a", A, 1), ("b", B, 1)]).await);
    world.accept(0, 1).await;
    world.vendor.arrived(B, 1).await;
    let within = {
        let (world, here) = (Arc::clone(&world), tokio::runtime::Handle::current());
        move || {
            // By the time that the event has arrived at the neighbour, both lanes have had its block.
            tokio::task::block_in_place(|| {
                here.block_on(async {
                    world.accept(1, 1).await;
                    world.vendor.arrived(A, 2).await;
                });
            });
        }
    };
    world.delivery.replace(world.plans(&[("a", A, 1)]), GRACE, within).await.unwrap();
    assert_eq!(world.vendor.so_far(B).len(), 1, "it is no lane any more");
    world.replace(world.plans(&[("a", A, 1), ("b", B, 2)]), GRACE).await;
    assert_eq!(goals(&world.vendor.arrived(B, 2).await), [(id(0), 1), (id(1), 2)]);
}

#[tokio::test]
async fn events_of_a_pipeline_that_is_gone_hold_up_nobody() {
    let world = World::new(&[("a", A, 1)]).await;
    world.accept(0, 1).await;
    world.vendor.arrived(A, 1).await;
    let blog = world.plans_of("blog", &[("a", B, 4)]);
    let changes = world.replace(blog, GRACE).await;
    assert_eq!((changes.pipelines_added, changes.pipelines_removed), (vec!["blog".into()], vec!["shop".into()]));
    // A request that was under way when its pipeline went.
    world.accept(1, 1).await;
    world.accept_for("blog", 2, 1).await;
    assert_eq!(goals(&world.vendor.arrived(B, 1).await), [(id(2), 4)]);
    assert_eq!(world.vendor.so_far(A).len(), 1);
    world.replace(world.plans(&[("a", A, 3)]), GRACE).await;
    assert_eq!(goals(&world.vendor.arrived(A, 2).await), [(id(0), 1), (id(1), 3)], "its pipeline is back");
}

#[tokio::test]
async fn a_lane_that_a_person_paused_stays_paused_under_another_plan() {
    let world = World::new(&[("a", A, 1), ("b", B, 1)]).await;
    let lane = LaneId::new("shop", "a");
    world.delivery.pause(&lane).await.unwrap();
    world.accept(0, 1).await;
    world.vendor.arrived(B, 1).await;
    world.replace(world.plans(&[("a", A, 2), ("b", B, 1)]), GRACE).await;
    let lanes = world.delivery.lanes().await;
    assert!(lanes.iter().any(|status| status.lane == lane && status.paused.is_some()), "{lanes:?}");
    world.accept(1, 2).await;
    world.vendor.arrived(B, 2).await;
    assert!(world.vendor.so_far(A).is_empty());
    world.delivery.resume(&lane).await.unwrap();
    let arrived = world.vendor.arrived(A, 2).await;
    assert!(arrived.iter().all(|event| event.goal == 2), "{arrived:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_replacements_while_events_come_in_lose_nothing_and_mix_nothing() {
    let world = Arc::new(World::new(&[("a", A, 1), ("b", B, 9)]).await);
    let over = Arc::new(AtomicBool::new(false));
    let accepting = {
        let (world, over) = (Arc::clone(&world), Arc::clone(&over));
        tokio::spawn(async move {
            let (mut number, mut pace) = (0, tokio::time::interval(Duration::from_millis(2)));
            while !over.load(Ordering::SeqCst) {
                pace.tick().await;
                world.accept(number, number % 5).await;
                number += 1;
            }
            number
        })
    };
    for round in 0..12_u64 {
        let version = if round % 2 == 0 { 2 } else { 1 };
        // Every other time the neighbour goes and others come, which takes a moment in which it may still read.
        let (a, b) = (("a", A, version), ("b", B, 9));
        let both = [a, b];
        let with_others = [a, ("c", "cccccccccc", 5), ("d", "dddddddddd", 5), ("e", "eeeeeeeeee", 5)];
        world.replace(world.plans(if round % 2 == 0 { &with_others[..] } else { &both }), GRACE).await;
    }
    over.store(true, Ordering::SeqCst);
    let number = accepting.await.unwrap();
    for (site, goals) in [(A, vec![1, 2]), (B, vec![9])] {
        let arrived = world.vendor.arrived(site, number as usize).await;
        assert_eq!(nonces(&arrived), (0..number).map(id).collect(), "{site}");
        assert_eq!(arrived.len(), number as usize, "none twice at {site}");
        assert!(arrived.iter().all(|event| goals.contains(&event.goal)), "{site}");
        for visitor in 0..5 {
            let of_one = arrived.iter().filter(|event| event.nonce[24..].parse::<u64>().unwrap() % 5 == visitor);
            assert!(of_one.is_sorted_by_key(|event| &event.nonce), "the order of visitor {visitor} at {site}");
        }
    }
    let plans: BTreeSet<_> = world.plans_in_log("a", 2).await.into_iter().collect();
    let hashes: BTreeSet<_> = plans.iter().map(|(hash, _)| hash).collect();
    assert_eq!(hashes.len(), plans.len(), "a hash stands for one version: {plans:?}");
}

#[tokio::test]
async fn an_endpoint_that_has_asked_for_silence_gets_it_from_the_new_plan_too_and_another_one_does_not() {
    let world = World::new(&[("a", BUSY, 1)]).await;
    world.accept(0, 1).await;
    world.vendor.arrived(BUSY, 1).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while world.delivery.lanes().await[0].endpoints.iter().all(|endpoint| endpoint.silent.is_zero()) {
        assert!(tokio::time::Instant::now() < deadline, "the answer does not come");
    }
    world.replace(world.plans(&[("a", BUSY, 2)]), GRACE).await;
    let asked = tokio::time::timeout(Duration::from_millis(300), world.vendor.arrived(BUSY, 2)).await;
    assert!(asked.is_err(), "{asked:?}");
    world.replace(world.plans(&[("a", B, 3)]), GRACE).await;
    assert_eq!(goals(&world.vendor.arrived(B, 1).await), [(id(0), 3)]);
}

#[tokio::test]
async fn a_daemon_that_ends_takes_no_other_plans() {
    let world = World::new(&[("a", A, 1)]).await;
    world.delivery.shutdown(Duration::from_secs(5)).await;
    let refused = world.refused(world.plans(&[("a", A, 2)])).await;
    assert!(matches!(refused, ReplaceError::Ending), "{refused}");
}

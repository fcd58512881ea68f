//! Repetitions: each event is in the journal once, and no answer comes before it is safe.

use std::sync::Arc;
use std::time::Duration;

use anole_event::Fingerprint;
use anole_journal::AppendError;

use crate::world::{World, at};

const M1: &str = r#"{"event":"E","userId":"u","messageId":"m-1"}"#;

#[tokio::test]
async fn a_repeated_event_is_acknowledged_and_kept_once() {
    let world = World::new();
    world.call("/v1/track", M1).await.assert_accepted();
    let again = r#"{"batch":[{"type":"track","event":"E","userId":"u","messageId":"m-1"},{"type":"page","userId":"u","messageId":"m-2"}]}"#;
    world.call("/v1/batch", again).await.assert_accepted();
    world.call("/v1/batch", again).await.assert_accepted();
    assert_eq!(world.journal.events().len(), 2);
    assert_eq!(world.metric(r#"anole_events_refused_total{pipeline="shop",reason="seen_before"}"#), 3);
    world.clock.advance(Duration::from_secs(3600));
    world.call("/v1/track", M1).await.assert_accepted();
    assert_eq!(world.journal.events().len(), 3, "the window is an hour");
}

#[tokio::test]
async fn an_event_that_stands_twice_in_one_batch_is_kept_once() {
    let world = World::new();
    let body =
        r#"{"batch":[{"type":"page","userId":"u","messageId":"m"},{"type":"page","userId":"u","messageId":"m"}]}"#;
    world.call("/v1/batch", body).await.assert_accepted();
    assert_eq!(world.journal.events().len(), 1);
}

#[tokio::test]
async fn events_without_an_id_are_never_duplicates() {
    let world = World::new();
    for _ in 0..3 {
        world.call("/v1/page", r#"{"userId":"u"}"#).await.assert_accepted();
    }
    assert_eq!(world.journal.events().len(), 3);
}

#[tokio::test]
async fn the_same_id_in_two_pipelines_is_two_events() {
    let mut other = crate::world::shop();
    other.pipeline = "other".into();
    other.keys = vec![anole_pipeline::WriteKey { key: anole_pipeline::Secret::new("other"), origins: vec![] }];
    let world = World::with(anole_ingest::IngestOptions::default(), vec![crate::world::shop(), other]);
    world.call("/v1/track", M1).await.assert_accepted();
    world.post("/v1/track", &[("x-write-key", "other")], M1).await.assert_accepted();
    assert_eq!(world.journal.events().len(), 2);
}

#[tokio::test]
async fn the_answer_to_a_repetition_waits_until_the_original_is_safe() {
    let world = Arc::new(World::new());
    world.journal.hold();
    let send = || {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.call("/v1/track", M1).await })
    };
    let (original, repetition) = (send(), send());
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!original.is_finished() && !repetition.is_finished());
    world.journal.release(true);
    original.await.unwrap().assert_accepted();
    repetition.await.unwrap().assert_accepted();
    assert_eq!((world.journal.events().len(), world.journal.appends()), (1, 1));
}

#[tokio::test]
async fn when_the_original_fails_so_does_the_repetition_and_both_may_come_again() {
    let world = Arc::new(World::new());
    world.journal.hold();
    let send = || {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.call("/v1/track", M1).await })
    };
    let (original, repetition) = (send(), send());
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    world.journal.release(false);
    let reasons = [original.await.unwrap(), repetition.await.unwrap()].map(|answer| {
        assert_eq!(answer.status, 503);
        answer.json()["reason"].as_str().unwrap().to_owned()
    });
    assert_eq!(reasons, ["sync_failed", "original_failed"]);
    world.call("/v1/track", M1).await.assert_accepted();
    assert_eq!(world.journal.events().len(), 1);
}

#[tokio::test]
async fn a_failed_append_is_forgotten() {
    let world = World::new();
    world.journal.fail(AppendError::Busy { waiting: 1, limit: 1 });
    assert_eq!(world.call("/v1/track", M1).await.status, 503);
    world.journal.heal();
    world.call("/v1/track", M1).await.assert_accepted();
    assert_eq!(world.journal.events().len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_event_known_once_it_is_safe() {
    let world = Arc::new(World::new());
    world.journal.hold();
    let gone = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.call("/v1/track", M1).await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let repetition = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.call("/v1/track", M1).await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!repetition.is_finished(), "it waits for the append of the one who left");
    world.journal.release(true);
    repetition.await.unwrap().assert_accepted();
    assert_eq!((world.journal.events().len(), world.journal.appends()), (1, 1));
    assert_eq!(world.metric(r#"anole_events_received_total{pipeline="shop",protocol="segment"}"#), 1);
}

#[tokio::test]
async fn after_a_restart_the_window_knows_what_the_journal_holds() {
    let world = World::new();
    world.journal.took_before([
        (Fingerprint::of("shop", "m-old"), at(&world, -7200)),
        (Fingerprint::of("shop", "m-1"), at(&world, -60)),
    ]);
    world.ingest.refill().unwrap();
    world.call("/v1/track", M1).await.assert_accepted();
    assert!(world.journal.events().is_empty());
    world.call("/v1/track", r#"{"event":"E","userId":"u","messageId":"m-old"}"#).await.assert_accepted();
    assert_eq!(world.journal.events().len(), 1);
}

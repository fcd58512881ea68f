//! What cannot be kept is not accepted, and that is said.

use std::time::Duration;

use anole_journal::{AppendCode, AppendError};

use crate::world::World;

const PAGE: &str = r#"{"userId":"u"}"#;

#[tokio::test]
async fn a_journal_that_does_not_take_it_is_503_with_whole_seconds_to_wait() {
    let cases = [
        (AppendError::Full { bytes: 2, limit: 1 }, "journal_full", "full", "30"),
        (AppendError::Busy { waiting: 2, limit: 1 }, "journal_busy", "busy", "1"),
        (
            AppendError::Failed { code: AppendCode::SyncFailed, detail: "EIO".into() },
            "journal_failed",
            "sync_failed",
            "5",
        ),
        (AppendError::Closed, "shutting_down", "closed", "5"),
    ];
    for (error, code, reason, seconds) in cases {
        let world = World::new();
        world.journal.fail(error);
        let answer = world.call("/v1/page", PAGE).await;
        answer.assert_refused(503, code, reason);
        assert_eq!(answer.header("retry-after"), seconds);
        let mp = world.post(
            "/mp/collect?measurement_id=G-1&api_secret=s3cret",
            &[],
            r#"{"client_id":"c","events":[{"name":"x"}]}"#,
        );
        assert_eq!(
            mp.await.status,
            503,
            "also where a client cannot act upon it: nothing is accepted that is not kept"
        );
    }
}

#[tokio::test]
async fn what_the_journal_can_never_take_is_413_and_no_trouble() {
    let world = World::new();
    world.journal.fail(AppendError::Failed { code: AppendCode::TooLarge, detail: "".into() });
    world.call("/v1/page", PAGE).await.assert_refused(413, "too_large", "journal_too_large");
    assert_eq!(world.ingest.ready(), Ok(()));
}

#[tokio::test]
async fn no_answer_comes_before_the_append_is_acknowledged() {
    let world = std::sync::Arc::new(World::new());
    world.journal.hold();
    let call = tokio::spawn({
        let world = std::sync::Arc::clone(&world);
        async move { world.call("/v1/page", PAGE).await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!call.is_finished());
    world.journal.release(true);
    call.await.unwrap().assert_accepted();
}

#[tokio::test]
async fn readiness_follows_the_journal_and_the_shutdown() {
    let world = World::new();
    assert_eq!(world.get("/readyz", &[]).await.status, 200);
    assert_eq!(world.get("/healthz", &[]).await.status, 200);

    world.journal.fail(AppendError::Failed { code: AppendCode::SyncFailed, detail: "EIO".into() });
    assert_eq!(world.call("/v1/page", PAGE).await.status, 503);
    assert_eq!(world.ingest.ready(), Err("sync_failed"));
    let answer = world.get("/readyz", &[]).await;
    answer.assert_refused(503, "not_ready", "sync_failed");
    assert_eq!(world.get("/healthz", &[]).await.status, 200, "the process lives");
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.ingest.ready(), Ok(()), "it is tried again");

    assert_eq!(world.call("/v1/page", PAGE).await.status, 503);
    world.journal.heal();
    world.call("/v1/page", PAGE).await.assert_accepted();
    assert_eq!(world.ingest.ready(), Ok(()));

    world.ingest.set_draining();
    assert_eq!(world.ingest.ready(), Err("draining"));
    world.call("/v1/page", PAGE).await.assert_accepted();
}

#[tokio::test]
async fn a_queue_that_is_full_for_a_moment_does_not_drive_the_load_away() {
    let world = World::new();
    world.journal.fail(AppendError::Busy { waiting: 2, limit: 1 });
    assert_eq!(world.call("/v1/page", PAGE).await.status, 503);
    assert_eq!(world.ingest.ready(), Ok(()));
}

#[tokio::test]
async fn listeners_of_the_tap_hear_what_was_accepted() {
    let world = World::new();
    let mut reader = world.telemetry.tap().listen();
    world.call("/v1/track", r#"{"event":"E","userId":"u","messageId":"m-1"}"#).await.assert_accepted();
    let told = reader.next().await.unwrap().unwrap();
    let json = serde_json::to_value(&*told).unwrap();
    assert_eq!((&json["stage"], &json["event"], &json["message_id"]), (&"accepted".into(), &"E".into(), &"m-1".into()));
}

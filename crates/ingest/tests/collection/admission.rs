//! What cannot be kept is not accepted, and that is said.

use std::time::Duration;

use anole_ingest::IngestOptions;
use anole_journal::{AppendCode, AppendError};

use crate::world::{World, shop};

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

#[tokio::test]
async fn who_sends_too_much_is_told_when_to_go_on() {
    let rates = anole_ingest::RateLimits { per_key: Some(5), per_address: Some(20) };
    let world = World::with(IngestOptions { rates, ..IngestOptions::default() }, vec![shop()]);
    let batch = |first: usize| {
        let items: Vec<_> =
            (first..first + 40).map(|n| format!(r#"{{"type":"page","userId":"u","messageId":"m-{n}"}}"#)).collect();
        format!(r#"{{"batch":[{}]}}"#, items.join(","))
    };
    // Fifty are there at once; a batch that is larger than what is left is taken, and paid for afterwards.
    world.call("/v1/batch", batch(0)).await.assert_accepted();
    world.call("/v1/batch", batch(40)).await.assert_accepted();
    for path in ["/v1/batch", "/v1/pixel/track?wk=wk&e=E&uid=u"] {
        let answer = match path {
            "/v1/batch" => world.call(path, batch(80)).await,
            path => world.get(path, &[]).await,
        };
        answer.assert_refused(429, "rate_limited", "key_rate");
        assert_eq!(answer.header("retry-after"), "7", "30 events of debt and one, at 5 a second");
    }
    // GA4's key has its own bucket; the address is the same for all.
    let hit = "/g/collect?v=2&tid=G-1&cid=1.2&_p=1&en=e";
    assert_eq!(world.post(hit, &[], "").await.status, 204);
    let lines: String = (0..90).map(|n| format!("en=e{n}\n")).collect();
    assert_eq!(world.post(&hit.replace("&en=e", ""), &[], lines.clone()).await.status, 204);
    assert_eq!(world.post(&hit.replace("&en=e", "&x=1"), &[], lines).await.status, 429);
    world.clock.advance(std::time::Duration::from_secs(7));
    world.call("/v1/batch", batch(80)).await.assert_accepted();
    for n in 0..200 {
        world.post("/v1/track", &[("x-write-key", &format!("guess-{n}"))], "{}").await;
    }
    world.post("/v1/track", &[("x-write-key", "guess")], "{}").await.assert_refused(
        429,
        "rate_limited",
        "address_rate",
    );
    assert_eq!(world.get("/healthz", &[]).await.status, 200, "only events are limited");
}

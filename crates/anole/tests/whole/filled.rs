//! A journal with many undelivered events in several segments, for tests of damage and of full disks.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anole_sandbox::{Filter, Options, Sandbox};

use crate::bench::{Bench, GOAL, PATIENCE, pipeline, read, stderr};

/// Events of a batch, which is a group of the journal.
pub(crate) const BATCH: usize = 20;

/// A batch of orders with the numbers from `first` on.
pub(crate) fn batch(first: usize) -> String {
    let items: Vec<_> = (first..first + BATCH).map(|number| format!(
        r#"{{"type":"track","event":"Order Completed","anonymousId":"visitor-{}","messageId":"{}","properties":{{"revenue":1,"note":"{:0200}"}}}}"#,
        number % 7,
        nonce(number),
        number,
    )).collect();
    format!(r#"{{"batch":[{}]}}"#, items.join(","))
}

pub(crate) fn nonce(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A daemon with these settings, its lane paused by a person.
pub(crate) async fn paused(settings: &str) -> Bench {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let pipeline = pipeline(&sandbox.url(), "", GOAL);
    let bench =
        Bench::start(sandbox, &pipeline, &format!("delivery: {{ allow_private_addresses: true }}\n{settings}")).await;
    let run = bench.anole(&["lanes", "pause", "shop/kameleoon"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    bench
}

/// The same with so many batches accepted, and stopped then: nothing of it is delivered. Segments have 64 KiB.
pub(crate) async fn stopped_with(batches: usize) -> Bench {
    let mut bench = paused("journal: { max_bytes: 1MiB }").await;
    for number in 0..batches {
        bench.accept("/v1/batch", &batch(number * BATCH), None).await;
    }
    bench.stop().await;
    bench
}

impl Bench {
    /// The journal's segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.folder.path("data/journal")).unwrap();
        let mut segments: Vec<_> = all.map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
        segments.sort();
        segments
    }

    /// Lets the lane go on.
    pub(crate) async fn resume(&self) {
        let run = self.anole(&["lanes", "resume", "shop/kameleoon"]).await;
        assert!(run.status.success(), "{}", stderr(&run));
    }

    /// How many sends of the lane are said to be lost for this reason.
    pub(crate) async fn lost(&self, reason: &str) -> usize {
        let (_, metrics) = read(self.http.get(self.daemon.admin_url("/metrics"))).await;
        let series = format!(r#"anole_outcomes_total{{lane="shop/kameleoon",reason="{reason}",state="lost"}} "#);
        metrics.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
    }

    /// The numbers of the orders that arrived, once all of `sent` have either arrived or are said to be lost.
    pub(crate) async fn settled(&self, sent: usize, reason: &str) -> BTreeSet<usize> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (arrived, lost) = (self.numbers(), self.lost(reason).await);
            if arrived.len() + lost >= sent {
                assert_eq!(arrived.len() + lost, sent, "what is lost is counted exactly\n{}", self.daemon.log());
                return arrived;
            }
            let so_far = format!("{} arrived, {lost} lost, {sent} were sent", arrived.len());
            if tokio::time::Instant::now() >= deadline {
                let (_, metrics) = read(self.http.get(self.daemon.admin_url("/metrics"))).await;
                panic!("{so_far}\n{}\n{metrics}", self.daemon.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn numbers(&self) -> BTreeSet<usize> {
        let arrived = self.sandbox.events(&Filter::all());
        let number = |nonce: String| nonce.rsplit('-').next().unwrap().parse().unwrap();
        arrived.into_iter().filter_map(|event| event.nonce.map(number)).collect()
    }

    /// Asserts that the daemon says of itself that it can accept and keep events, and that it does.
    pub(crate) async fn assert_ready(&self, next: usize) {
        for url in [self.daemon.collect_url("/readyz"), self.daemon.admin_url("/readyz")] {
            assert_eq!(read(self.http.get(&url)).await.0, 200, "{url}");
        }
        self.accept("/v1/batch", &batch(next), None).await;
    }
}

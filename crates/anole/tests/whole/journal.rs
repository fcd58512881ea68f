//! `anole journal stat|verify|repair`.

use std::os::unix::fs::FileExt;

use serde_json::Value;

use crate::bench::{Bench, stderr, stdout};
use crate::filled::{BATCH, paused, stopped_with};

async fn json(bench: &Bench, arguments: &[&str]) -> Value {
    let run = bench.anole(&[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&stdout(&run)).unwrap_or_else(|_| panic!("{}\n{}", stdout(&run), stderr(&run)))
}

#[tokio::test]
async fn stat_says_how_much_there_is_and_who_holds_it_with_and_without_a_daemon() {
    let mut bench = paused("journal: { max_bytes: 1MiB, keep: 2d }\nstate: { backup_every: 1s }").await;
    for number in 0..10 {
        bench.accept("/v1/batch", &crate::filled::batch(number * BATCH), None).await;
    }
    for is_running in [true, false] {
        let shown = json(&bench, &["journal", "stat"]).await;
        assert_eq!((&shown["records"], &shown["ack"]), (&(10 * BATCH).into(), &"fsync".into()), "{shown}");
        assert_eq!((&shown["max_bytes"], &shown["keep_seconds"]), (&(1 << 20).into(), &(2 * 86_400).into()));
        assert_eq!(shown["retention"]["held_by"][0]["lane"], "shop/kameleoon", "{shown}");
        assert!(shown["retention"]["held_bytes"].as_u64().unwrap() > 10_000, "{shown}");
        assert!(shown["oldest"].as_str().unwrap() <= shown["newest"].as_str().unwrap(), "{shown}");
        assert!(shown["disk_free_bytes"].as_u64().unwrap() > 0, "{shown}");
        let text = stdout(&bench.anole(&["journal", "stat"]).await);
        for words in ["1.0 MiB (on_full: refuse), 200 events in ", "2 d after every lane is done", "by shop/kameleoon"]
        {
            assert!(text.contains(words), "{words} is missing in\n{text}");
        }
        if is_running {
            bench.stop().await;
        }
    }
}

#[tokio::test]
async fn verify_reads_everything_and_fails_when_events_are_lost() {
    let bench = stopped_with(20).await;
    let run = bench.anole(&["journal", "verify"]).await;
    assert!(run.status.success(), "{}{}", stdout(&run), stderr(&run));
    assert!(stdout(&run).contains("400 events in 20 groups are whole"), "{}", stdout(&run));
    let segment = bench.segments()[1].clone();
    let file = std::fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(b"!!!!", file.metadata().unwrap().len() / 2).unwrap();
    let run = bench.anole(&["journal", "verify"]).await;
    assert_eq!(run.status.code(), Some(1), "{}", stdout(&run));
    let finding = stdout(&run);
    let finding = finding.lines().next().unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(finding.starts_with(name) && finding.contains("damaged_group, 20 events"), "{finding}");
    assert!(stderr(&run).contains("damaged in 1 place, 20 events known to be lost"), "{}", stderr(&run));
    let told = json(&bench, &["journal", "verify"]).await;
    assert_eq!((&told["whole"], &told["findings"][0]["records"]), (&false.into(), &20.into()), "{told}");
}

#[tokio::test]
async fn repair_says_what_it_would_do_brings_back_what_can_be_and_needs_the_folder_for_itself() {
    let mut bench = stopped_with(20).await;
    let run = bench.anole(&["journal", "repair"]).await;
    assert!(run.status.success() && stdout(&run).contains("nothing to repair"), "{}{}", stdout(&run), stderr(&run));
    let segment = bench.segments()[1].clone();
    let aside = segment.with_extension("segment.aside");
    std::fs::rename(&segment, &aside).unwrap();
    let run = bench.anole(&["journal", "repair"]).await;
    assert!(stdout(&run).contains("rename"), "{}", stdout(&run));
    assert!(stderr(&run).contains("say --yes"), "{}", stderr(&run));
    assert!(aside.exists() && !segment.exists(), "nothing was changed");
    let run = bench.anole(&["journal", "repair", "--yes"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(segment.exists(), "{}", stdout(&run));
    let run = bench.anole(&["journal", "verify"]).await;
    assert!(run.status.success(), "{}{}", stdout(&run), stderr(&run));
    bench.begin().await;
    let run = bench.anole(&["journal", "repair", "--yes"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("another anole runs on"), "{}", stderr(&run));
    bench.resume().await;
    bench.arrived(400).await;
}

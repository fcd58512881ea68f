//! Bodies that are meant to hurt, over real sockets: each gets a clear answer, what is sound beside it is kept, and the
//! daemon's memory stays flat.

use serde_json::Value;

use crate::bench::{Bench, GOAL, KEY};

const SOUND: &str = r#"{"type":"track","event":"Sound","userId":"u-1"}"#;

/// Bombs: 20 MB of zeros in 20 KB and less, of the fuzzer's corpus, where the first byte chooses the encoding.
const BOMBS: [(&str, &[u8]); 3] = [
    ("gzip", include_bytes!("../../../fuzz/corpus/body/gzip-bomb").as_slice()),
    ("br", include_bytes!("../../../fuzz/corpus/body/br-bomb").as_slice()),
    ("zstd", include_bytes!("../../../fuzz/corpus/body/zstd-bomb").as_slice()),
];

/// Two bodies of at most 5 MiB are expanded at once, in a daemon that keeps what it once needed; 120 are.
const MOST_MEMORY: u64 = 96 << 20;

async fn post(bench: &Bench, path: &str, encoding: Option<&str>, body: Vec<u8>) -> (u16, Value) {
    let mut request = bench.http.post(bench.daemon.collect_url(path)).header("x-write-key", KEY).body(body);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    let (status, text) = crate::bench::read(request).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// A refusal says what, why, and something that a person can read.
#[track_caller]
fn assert_said((status, answer): &(u16, Value), wanted: u16, code: &str, reason: &str) {
    let said = (*status, answer["code"].as_str().unwrap_or_default(), answer["reason"].as_str().unwrap_or_default());
    assert_eq!(said, (wanted, code, reason), "{answer}");
    assert!(answer["success"] == false && answer["message"].as_str().is_some_and(|text| text.len() > 15), "{answer}");
}

/// The one verdict of a batch in which something sound stands beside something that is not.
async fn verdict(bench: &Bench, bad: &[u8]) -> Value {
    let body = [br#"{"batch":["#, bad, b",", SOUND.as_bytes(), b"]}"].concat();
    let (status, answer) = post(bench, "/v1/batch", None, body).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Name, body, how it is refused alone, and the reason of its verdict in a batch.
type Case = (&'static str, Vec<u8>, (u16, &'static str, &'static str), &'static str);

fn cases() -> [Case; 6] {
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(10_000), close.repeat(10_000));
        format!(r#"{{"event":"A","userId":"u","properties":{open}1{close}}}"#).into_bytes()
    };
    let long = format!(r#"{{"event":"A","userId":"u","properties":{{"a":"{}"}}}}"#, "x".repeat(70_000)).into_bytes();
    let nan = br#"{"event":"A","userId":"u","properties":{"v":NaN}}"#.to_vec();
    let half = br#"{"event":"\ud83d","userId":"u"}"#.to_vec();
    let (not_json, not_utf8) = ((400, "invalid_body", "not_json"), (400, "invalid_body", "not_utf8"));
    let too_deep = (400, "invalid_event", "too_deep");
    [
        ("NaN", nan, not_json, "not_json"),
        ("no UTF-8", b"{\"event\":\"A\xff\",\"userId\":\"u\"}".to_vec(), not_utf8, "not_json"),
        ("half a character", half, (400, "invalid_event", "bad_text"), "bad_text"),
        ("deep arrays", deep("[", "]"), too_deep, "too_deep"),
        ("deep objects", deep("{\"a\":", "}"), too_deep, "too_deep"),
        ("long", long, (413, "event_too_large", "too_large"), "too_large"),
    ]
}

#[tokio::test]
async fn what_is_meant_to_hurt_gets_a_clear_answer_and_costs_no_memory() {
    let bench = Bench::with("", GOAL).await;
    let before = peak(&bench);
    for (name, body, (status, code, reason), verdict_reason) in cases() {
        println!("{name}");
        assert_said(&post(&bench, "/v1/track", None, body.clone()).await, status, code, reason);
        let answer = verdict(&bench, &body).await;
        assert_eq!(answer["verdicts"].as_array().map(Vec::len), Some(1), "{answer}");
        assert_eq!(
            (&answer["verdicts"][0]["index"], &answer["verdicts"][0]["reason"]),
            (&0.into(), &verdict_reason.into())
        );
    }
    let unclosed = [br#"{"event":"A","properties":"#.as_slice(), "[".repeat(10_000).as_bytes()].concat();
    assert_said(&post(&bench, "/v1/track", None, unclosed).await, 400, "invalid_body", "not_json");
    for (encoding, bomb) in BOMBS {
        for _ in 0..20 {
            let (one, two) = tokio::join!(
                post(&bench, "/v1/batch", Some(encoding), bomb[1..].to_vec()),
                post(&bench, "/v1/batch", Some(encoding), bomb[1..].to_vec()),
            );
            assert_said(&one, 413, "body_too_large", "body_too_large");
            assert_said(&two, 413, "body_too_large", "body_too_large");
        }
    }
    let grown = peak(&bench).saturating_sub(before);
    assert!(grown < MOST_MEMORY, "{} KiB more than before", grown >> 10);
}

#[tokio::test]
async fn of_keys_that_stand_twice_the_event_that_is_kept_has_one() {
    let bench = Bench::with("", GOAL).await;
    let id = "00000000-0000-4000-8000-000000000002";
    let twice = format!(
        r#"{{"event":"Order Completed","event":"Order Completed","anonymousId":"a","anonymousId":"b","messageId":"{id}","properties":{{"revenue":1}},"properties":{{"revenue":2.50}}}}"#
    );
    bench.accept("/v1/track", &twice, None).await;
    bench.arrived(1).await;
    let raw = bench.raw();
    assert!(raw[0].contains("\"revenue\":2.50") && !raw[0].contains("\"revenue\":1"), "the last one holds: {raw:?}");
    assert_eq!(bench.story(id, "delivered").await["message_id"], id);
}

/// The most memory that the daemon ever had, in bytes.
fn peak(bench: &Bench) -> u64 {
    let pid = bench.daemon.pid().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

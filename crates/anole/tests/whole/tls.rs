//! Listeners with certificates of their own: real clients, renewals, and what is wrong with files.

use std::path::Path;
use std::time::Duration;

use anole_sandbox::{Options, Sandbox};
use anole_testkit::certificates::{Authority, Certificate};
use anole_testkit::{Daemon, Folder};
use serde_json::Value;

use crate::bench::{BINARY, Bench, KEY, PATIENCE, anole, pipeline, read, stderr, stdout, track};

const NAME: &str = "data.shop.test";
const SETTINGS: &str = "collect: { listen: \"127.0.0.1:0\", tls: { certificate: tls/fullchain.pem, key: tls/privkey.pem } }\n\
                        admin: { listen: \"127.0.0.1:0\", tls: { certificate: tls/fullchain.pem, key: tls/privkey.pem } }\n\
                        delivery: { allow_private_addresses: true, probe_every: 1s }\n";

fn write(folder: &Folder, made: &Certificate) {
    folder.write("tls/fullchain.pem", &made.certificate);
    folder.write("tls/privkey.pem", &made.key);
}

/// A folder whose listeners speak TLS.
fn folder(pipeline: &str, made: &Certificate) -> Folder {
    let folder = Folder::new(pipeline);
    folder.write("anole.yaml", &format!("data_dir: ./data\npipelines: ./pipelines\n{SETTINGS}"));
    write(&folder, made);
    folder
}

struct Secured {
    bench: Bench,
    authority: Authority,
}

impl Secured {
    async fn start() -> Self {
        let authority = Authority::new();
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let pipeline =
            pipeline(&sandbox.url(), "", "      Newsletter Joined: { send: conversion, set: { goalId: 40112 } }\n");
        let folder = folder(&pipeline, &authority.certificate(&[NAME, "localhost"]));
        let daemon = Daemon::start(Path::new(BINARY), &folder.config()).await.unwrap();
        let http = client(&authority).build().unwrap();
        Self { bench: Bench { sandbox, folder, daemon, http }, authority }
    }

    /// An address of the collection endpoint, by a name that is on the certificate and leads here.
    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.bench.daemon.collect.port())
    }

    fn admin_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.bench.daemon.admin.port())
    }

    async fn metrics(&self) -> String {
        let fresh = client(&self.authority).build().unwrap();
        read(fresh.get(self.admin_url("/metrics"))).await.1
    }

    /// Waits until the metrics have this line.
    async fn measured(&self, line: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics().await;
            if metrics.contains(line) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "never {line}\n{}", self.bench.daemon.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn client(authority: &Authority) -> reqwest::ClientBuilder {
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    let trusted = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .tls_certs_only([trusted])
        .resolve("localhost", "127.0.0.1:0".parse().unwrap())
}

fn joined(id: &str) -> String {
    track(id, "Newsletter Joined", r#"{"list":"weekly"}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_in_and_verbs_work_over_tls() {
    let secured = Secured::start().await;
    let (bench, folder) = (&secured.bench, &secured.bench.folder);
    let only_http1 = client(&secured.authority).http1_only().build().unwrap();
    for (http, id, version) in [(&bench.http, "tls-h2", "HTTP/2.0"), (&only_http1, "tls-h1", "HTTP/1.1")] {
        let request = http.post(secured.url("/v1/t")).header("x-write-key", KEY).header("origin", "https://shop.test");
        let request = request.header("cookie", "kameleoonVisitorCode=245fc8a1b9").body(joined(id));
        let answer = request.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), format!("{:?}", answer.version()).as_str()), (200, version));
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.ends_with("; Secure"), "over TLS also on this machine: {cookie}");
    }
    bench.arrived(2).await;
    let lanes = bench.anole(&["lanes", "list"]).await;
    assert!(stdout(&lanes).contains("shop/kameleoon"), "{}{}", stdout(&lanes), stderr(&lanes));
    let sent = bench.anole(&["send", "track", "Newsletter Joined", "--visitor", "245fc8a1b9"]).await;
    assert_eq!(sent.status.code(), Some(0), "{}{}", stdout(&sent), stderr(&sent));
    // Plain http is told what is wrong, and curl has its own opinion on TLS.
    let (status, text) = read(anole_testkit::client().get(bench.daemon.collect_url("/healthz"))).await;
    assert_eq!(status, 400);
    assert!(text.contains("\"code\":\"https_only\""), "{text}");
    folder.write("ca.pem", secured.authority.pem());
    let curl = |version: &'static str| {
        let mut curl = tokio::process::Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--write-out",
            "%{http_version} %{http_code}",
            version,
        ]);
        curl.arg("--cacert").arg(folder.path("ca.pem")).arg(secured.url("/readyz")).output()
    };
    for (version, expected) in [("--http1.1", "1.1 200"), ("--http2", "2 200")] {
        match curl(version).await {
            Ok(output) if stderr(&output).contains("does not support") => {}
            Ok(output) => assert!(stdout(&output).ends_with(expected), "{}{}", stdout(&output), stderr(&output)),
            // No curl here; reqwest has shown it.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_comes_into_force_by_itself_and_a_wrong_one_does_not() {
    let mut secured = Secured::start().await;
    let before = client(&secured.authority).build().unwrap();
    assert_eq!(read(before.get(secured.url("/readyz"))).await.0, 200);
    // An authority of which only new clients know: who gets through has been shown the new certificate.
    let renewed = Authority::new();
    write(&secured.bench.folder, &renewed.certificate_until(&["localhost"], 2080));
    let old = std::mem::replace(&mut secured.authority, renewed);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let after = client(&secured.authority).build().unwrap();
    while after.get(secured.url("/readyz")).send().await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "{}", secured.bench.daemon.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(read(before.get(secured.url("/readyz"))).await.0, 200, "its connection goes on");
    assert!(
        client(&old).build().unwrap().get(secured.url("/readyz")).send().await.is_err(),
        "new ones are shown the new one"
    );
    // 2080-01-01.
    secured.measured("anole_tls_certificate_expiry_timestamp_seconds{listener=\"collect\"} 3471292800\n").await;
    secured.measured("anole_tls_certificate_reload_total{result=\"done\"} 1\n").await;
    let lanes = secured.bench.anole(&["lanes", "list"]).await;
    assert_eq!(lanes.status.code(), Some(0), "the verbs know of it: {}", stderr(&lanes));

    let folder = &secured.bench.folder;
    let right = std::fs::read_to_string(folder.path("tls/privkey.pem")).unwrap();
    folder.write("tls/privkey.pem", &secured.authority.certificate(&["localhost"]).key);
    let told = secured.bench.anole(&["reload"]).await;
    assert_eq!(told.status.code(), Some(2), "{}", stdout(&told));
    let text = stderr(&told);
    assert!(
        text.contains("certificate_mismatch") && text.contains("the key does not belong to the certificate"),
        "{text}"
    );
    assert!(text.contains("the one before it stays in force"), "{text}");
    assert!(secured.metrics().await.contains("anole_config_valid 1"), "pipelines are none of its business");
    let (_, overview) = read(client(&secured.authority).build().unwrap().get(secured.admin_url("/"))).await;
    assert!(overview.contains("The files were refused") && overview.contains("does not belong"), "{overview}");
    secured.bench.said("the new certificate is not in force").await;
    folder.write("tls/privkey.pem", &right);
    secured.measured("anole_tls_certificate_reload_total{result=\"done\"} 2\n").await;
    let (_, overview) = read(client(&secured.authority).build().unwrap().get(secured.admin_url("/"))).await;
    assert!(!overview.contains("The files were refused"), "{overview}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_has_ended_does_not_replace_one_that_has_not() {
    let secured = Secured::start().await;
    write(&secured.bench.folder, &secured.authority.certificate_until(&["localhost"], 2022));
    let told = secured.bench.anole(&["reload", "--json"]).await;
    assert_eq!(told.status.code(), Some(2), "{}", stderr(&told));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["problems"][0]["code"], "certificate_expiry");
    assert_eq!(read(secured.bench.http.get(secured.url("/readyz"))).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_files_are_told_before_anything_starts() {
    let (authority, shop) = (Authority::new(), pipeline("http://127.0.0.1:1", "", ""));
    let (one, other) = (authority.certificate(&[NAME]), authority.certificate(&[NAME]));
    let folder = folder(&shop, &Certificate { key: other.key, ..one.clone() });
    for verb in ["check", "run"] {
        let told = anole(folder.dir(), &[verb]).await;
        let text = stderr(&told);
        assert_eq!(told.status.code(), Some(2), "{verb}: {text}");
        assert!(
            text.contains("error[certificate_mismatch]: collect.tls: tls/privkey.pem: the key does not"),
            "{verb}: {text}"
        );
        assert!(text.contains("admin.tls: tls/privkey.pem"), "all at once: {text}");
        assert!(!folder.path("data").exists(), "nothing was made");
    }
    std::fs::remove_file(folder.path("tls/privkey.pem")).unwrap();
    let text = stderr(&anole(folder.dir(), &["check"]).await);
    assert!(text.contains("error[bad_certificate]: collect.tls: tls/privkey.pem: No such file"), "{text}");
    // One that has ended is presented all the same.
    write(&folder, &authority.certificate_until(&["localhost"], 2022));
    let told = anole(folder.dir(), &["check"]).await;
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    assert!(
        stderr(&told).contains("warning[certificate_expiry]: collect.tls: the certificate has ended at 2022-01-01"),
        "{}",
        stderr(&told)
    );
    assert!(stderr(&told).contains("warning[exposed_key]"), "{}", stderr(&told));
    let daemon = Daemon::start(Path::new(BINARY), &folder.config()).await.unwrap();
    assert!(daemon.log().contains("the certificate has ended at 2022-01-01"), "{}", daemon.log());
    let lanes = anole(folder.dir(), &["lanes", "list"]).await;
    assert_eq!(lanes.status.code(), Some(0), "the verbs ask who it is, not until when: {}", stderr(&lanes));
}

//! A new user's folder, as the README says it.

use std::path::Path;

use anole_sandbox::{Options, Sandbox};
use anole_testkit::Daemon;

use crate::bench::{BINARY, anole, stderr, stdout};

#[tokio::test]
async fn a_new_user_gets_from_an_empty_folder_to_a_delivered_event() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let init = anole(dir.path(), &["init"]).await;
    assert!(init.status.success(), "{}", stderr(&init));

    let check = anole(dir.path(), &["check"]).await;
    assert_eq!(check.status.code(), Some(2), "the site code is not filled in");
    assert!(stderr(&check).contains("site_code"), "{}", stderr(&check));

    let file = dir.path().join("pipelines/shop.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let filled = text.replace("site_code: \"\"", "site_code: f17c21u1ag").replace("region: \"\"", "region: eu");
    assert_ne!(text, filled, "the starter says where to fill in what:\n{text}");
    let filled = filled.replace("region: eu", &format!("region: eu\n      base_url: \"{}\"", sandbox.url()));
    std::fs::write(&file, &filled).unwrap();
    let refused = anole(dir.path(), &["check"]).await;
    assert!(stderr(&refused).contains("delivery.allow_private_addresses"), "{}", stderr(&refused));

    let config = dir.path().join("anole.yaml");
    let settings = std::fs::read_to_string(&config).unwrap();
    let free = settings.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8081", "127.0.0.1:0");
    std::fs::write(&config, format!("{free}\ndelivery: {{ allow_private_addresses: true }}\n")).unwrap();
    let check = anole(dir.path(), &["check"]).await;
    assert!(check.status.success(), "{}\n{filled}", stderr(&check));
    let daemon = Daemon::start(Path::new(BINARY), &config).await.unwrap();
    let send = anole(
        dir.path(),
        &[
            "send",
            "track",
            "Order Completed",
            "--visitor",
            "245fc8a1b9",
            "--set",
            "revenue=23.50",
            "--set",
            "kameleoon_goal_id=36151",
        ],
    )
    .await;
    assert!(send.status.success(), "{}{}\n{}", stdout(&send), stderr(&send), daemon.log());
    assert!(stdout(&send).contains("delivered"), "{}", stdout(&send));
    assert_eq!(sandbox.stats().events, 1);
    assert_eq!(daemon.stop().await, Ok(0));
}

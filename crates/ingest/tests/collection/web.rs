//! GA4's tag in pages, in every shape that its requests have.

use anole_pipeline::{Ga4, Intake};
use http::Method;
use serde_json::json;

use crate::world::{Answer, World, shop};

/// What gtag puts before everything else.
const SHARED: &str =
    "v=2&tid=G-1&_p=1795341500000&gcd=13l3l3l3l1&npa=0&cid=111.222&ul=en-us&sr=800x600&_s=2&sid=1700000000&sct=1&seg=0";
const BROWSER: [(&str, &str); 3] =
    [("origin", "https://www.shop.test"), ("user-agent", "Mozilla/5.0 Firefox/140.0"), ("sec-fetch-mode", "cors")];

async fn send(world: &World, method: Method, query: &str, body: &str) -> Answer {
    world.send(method, &format!("/g/collect?{query}"), &BROWSER, body.to_owned()).await
}

#[tokio::test]
async fn a_purchase_of_a_page_becomes_the_same_event_as_one_of_a_back_end() {
    let world = World::new();
    let query = format!(
        "{SHARED}&uid=u-42&dl=https%3A%2F%2Fshop.test%2Fdone%3Fmail%3Djane%2540shop.test&dt=Thanks+%26+bye&en=purchase&_ee=1&cu=EUR\
         &epn.value=24.980&ep.tax=4.16&ep.transaction_id=T-1&ep.coupon=12.50&ep.gift=true&_et=20&up.plan=pro&upn.visits=3\
         &pr1=idS1~nmShirt~pr10~qt2~k0size~v0L&cs=news&cm=mail&tfd=6100&_z=fetch"
    );
    let answer = send(&world, Method::POST, &query, "").await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (204, ""));
    for (name, value) in [
        ("x-anole-ack", "fsync"),
        ("access-control-allow-origin", "https://www.shop.test"),
        ("access-control-allow-credentials", "true"),
        ("cache-control", "no-store"),
        ("vary", "Origin"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let event = world.journal.only();
    assert_eq!((&event["type"], &event["event"]), (&json!("track"), &json!("Order Completed")));
    assert_eq!(event["source"], json!({"pipeline": "shop", "protocol": "ga4_web", "name": "purchase"}));
    assert_eq!((&event["anonymous_id"], &event["user_id"]), (&json!("111.222"), &json!("u-42")));
    assert_eq!(
        event["properties"],
        json!({"session_id": "1700000000", "currency": "EUR", "revenue": 24.98, "tax": 4.16, "order_id": "T-1",
            "coupon": "12.50", "gift": "true", "engagement_time_msec": 20,
            "products": [{"product_id": "S1", "name": "Shirt", "price": 10, "quantity": 2, "size": "L"}]})
    );
    let context = &event["context"];
    assert_eq!(context["page"], json!({"url": "https://shop.test/done?mail=masked", "title": "Thanks & bye"}));
    assert_eq!((&context["locale"], &context["screen"]), (&json!("en-us"), &json!({"width": 800, "height": 600})));
    assert_eq!(
        (&context["traits"], &context["campaign"]),
        (&json!({"plan": "pro", "visits": 3}), &json!({"source": "news", "medium": "mail"}))
    );
    assert_eq!((&context["ga4"]["_s"], &context["ga4"]["tid"]), (&json!("2"), &json!("G-1")));
    assert_eq!((&context["ip"], &context["user_agent"]), (&json!("10.0.0.1"), &json!("Mozilla/5.0 Firefox/140.0")));
    let body = world.journal.records()[0].body().unwrap();
    assert!(std::str::from_utf8(&body).unwrap().contains("24.980"), "digits are kept");

    // The back end tells the same order: it is known already.
    let told =
        r#"{"client_id":"111.222","events":[{"name":"purchase","params":{"transaction_id":"T-1","value":24.98}}]}"#;
    world.post("/mp/collect?measurement_id=G-1&api_secret=s3cret", &[], told).await;
    assert_eq!(world.journal.events().len(), 1);
}

#[tokio::test]
async fn events_come_by_get_by_empty_post_and_in_lines_of_any_content_type() {
    let world = World::new();
    assert_eq!(
        send(&world, Method::GET, &format!("{SHARED}&dl=https%3A%2F%2Fs.test%2F&en=page_view&richsstsse"), "")
            .await
            .status,
        204
    );
    let lines = "en=view_item&pr1=idS1&_et=20\r\n\r\nen=my_event&ep.method=email&cid=333.444&ep.x=%C3%A9+%7E\r\n";
    let path = format!("/data/g/collect?{SHARED}&cu=EUR");
    let answer = world.post(&path, &[("content-type", "application/json")], lines).await;
    assert_eq!(answer.status, 204);
    let all = world.journal.events();
    assert_eq!(all.len(), 3);
    assert_eq!((&all[0]["type"], &all[0]["properties"]["url"]), (&json!("page"), &json!("https://s.test/")));
    assert_eq!((&all[1]["event"], &all[1]["properties"]["product_id"]), (&json!("Product Viewed"), &json!("S1")));
    assert_eq!((&all[2]["event"], &all[2]["anonymous_id"]), (&json!("my_event"), &json!("333.444")));
    assert_eq!(
        all[2]["properties"],
        json!({"session_id": "1700000000", "currency": "EUR", "method": "email", "x": "é ~"})
    );
    let ids: std::collections::HashSet<_> = all.iter().map(|event| event["message_id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn what_is_no_event_costs_itself_only_and_the_answer_does_not_say_so() {
    let world = World::new();
    let mut long = "x".repeat(1001);
    long.insert_str(0, "en=");
    let answer = send(&world, Method::POST, SHARED, &format!("en=good\r\nep.x=1\r\n{long}\r\nen=too&uid=\r\n")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-anole-ack")), (204, "fsync"));
    assert_eq!(
        world.journal.events().iter().map(|event| event["event"].clone()).collect::<Vec<_>>(),
        [json!("good"), json!("too")]
    );
    for query in [
        "v=2&tid=G-NOBODY&cid=1&en=x",
        "v=1&tid=G-1&cid=1&en=x",
        "en=x",
        "",
        "v=2&tid=G-1&cid=1",
        "v=2&tid=G-1&cid=1&en=+",
    ] {
        let answer = send(&world, Method::GET, query, "").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-anole-ack")), (204, ""), "{query}");
    }
    assert_eq!(world.journal.events().len(), 2);
    let lines = "en=a\n".repeat(101);
    assert_eq!(send(&world, Method::POST, SHARED, &lines).await.status, 413);
    assert_eq!(world.send(Method::PUT, "/g/collect", &BROWSER, "").await.status, 405);
}

#[tokio::test]
async fn a_request_that_is_repeated_is_one_event_and_equal_ones_of_a_client_without_page_ids_a_minute_apart_are_two() {
    let world = World::new();
    for _ in 0..2 {
        send(&world, Method::POST, &format!("{SHARED}&en=scroll"), "").await;
    }
    assert_eq!(world.journal.events().len(), 1);
    send(&world, Method::POST, &format!("{}&en=scroll", SHARED.replace("_s=2", "_s=3")), "").await;
    assert_eq!(world.journal.events().len(), 2);
    for _ in 0..2 {
        send(&world, Method::POST, "v=2&tid=G-1&cid=1.2&en=scroll", "").await;
    }
    assert_eq!(world.journal.events().len(), 3);
    world.clock.advance(std::time::Duration::from_secs(60));
    send(&world, Method::POST, "v=2&tid=G-1&cid=1.2&en=scroll", "").await;
    assert_eq!(world.journal.events().len(), 4);
}

#[tokio::test]
async fn pages_of_other_sites_are_kept_out_where_the_pipeline_names_its_own() {
    let ga4 =
        Ga4 { measurement_ids: vec!["G-1".into()], api_secret: None, origins: vec!["https://www.shop.test".into()] };
    let world = World::with(anole_ingest::IngestOptions::default(), vec![Intake { ga4: Some(ga4), ..shop() }]);
    let path = format!("/g/collect?{SHARED}&en=a");
    let answer = world.post(&path, &[("origin", "https://evil.test")], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-anole-ack")), (204, ""));
    assert!(world.journal.events().is_empty());
    send(&world, Method::POST, &format!("{SHARED}&en=a"), "").await;
    world.get(&format!("/g/collect?{SHARED}&en=b"), &[]).await;
    assert_eq!(world.journal.events().len(), 2, "its own page, and one on our own origin, which names none");
}

#[tokio::test]
async fn what_names_a_person_reaches_no_file() {
    let world = World::new();
    let query = format!(
        "{SHARED}&en=sign_up&ec_mode=c&em=tv.1~em.abc&ep.user_data.email=Jane%40Shop.test&ep.user_data.phone_number=%2B4930123456\
         &ep.user_data.address.first_name=Jane&ep.user_data.address.city=Berlin&ep.user_data.address.country=DE&ep.method=mail"
    );
    send(&world, Method::POST, &query, "").await;
    let body = world.journal.records()[0].body().unwrap();
    let text = std::str::from_utf8(&body).unwrap().to_lowercase();
    for clear in ["jane", "4930123456", "berlin", "tv.1"] {
        assert!(!text.contains(clear), "{clear} in {text}");
    }
    let event = world.journal.only();
    assert_eq!(event["user_data"]["sha256_email_address"].as_str().unwrap().len(), 64);
    assert_eq!(event["user_data"]["address"]["country"], "DE");
    assert_eq!(event["properties"], json!({"session_id": "1700000000", "method": "mail"}));
}

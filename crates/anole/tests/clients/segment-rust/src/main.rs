//! Sends what a shop's back end would, with the Rust client for Segment, to the address given on the command line.
//!
//! The client keeps nothing of what was refused: a single call's error is the caller's to deal with. `patient` plays a
//! caller that asks again until it is taken.

use std::time::Duration;

use segment::message::{Identify, Message, Page, Track, User};
use segment::{AutoBatcher, Batcher, Client, HttpClient};
use serde_json::{json, Map};

fn order(number: u32) -> Track {
    Track {
        user: User::UserId { user_id: "u-42".to_owned() },
        event: "Order Completed".to_owned(),
        properties: json!({
            "order_id": format!("ORD-{number}"), "revenue": 23.5, "currency": "EUR", "kameleoonVisitorCode": "245fc8a1b9",
        }),
        // What the client has no field for goes to the root.
        extra: Map::from_iter([("messageId".to_owned(), format!("00000000-0000-4000-8000-00000000000{number}").into())]),
        ..Default::default()
    }
}

async fn send(client: &HttpClient, key: &str, patient: bool, message: Message) {
    loop {
        match client.send(key.to_owned(), message.clone()).await {
            Ok(()) => return,
            Err(error) if patient => eprintln!("{error}; again"),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, key, how] = &arguments[..] else { panic!("HOST KEY plain|patient") };
    let patient = how == "patient";
    let client = HttpClient::new(Default::default(), host.clone());
    let identify = Identify {
        user: User::UserId { user_id: "u-42".to_owned() },
        traits: json!({ "plan": "pro" }),
        ..Default::default()
    };
    send(&client, key, patient, identify.into()).await;
    let page = Page {
        user: User::AnonymousId { anonymous_id: "visitor-7".to_owned() },
        name: "Checkout".to_owned(),
        properties: json!({ "url": "https://shop.example.com/checkout", "title": "Checkout" }),
        ..Default::default()
    };
    send(&client, key, patient, page.into()).await;
    if patient {
        for number in 1..=5 {
            send(&client, key, patient, order(number).into()).await;
        }
        return;
    }
    send(&client, key, patient, order(1).into()).await;
    let mut batcher = AutoBatcher::new(client, Batcher::new(None), key.clone());
    for number in 2..=5 {
        batcher.push(order(number)).await.expect("a batch is taken");
    }
    batcher.flush().await.expect("a batch is taken");
}

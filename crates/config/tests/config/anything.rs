//! Whatever an event holds: what is sent passes the vendor's rules, and all else ends with a reason.

use anole_event::State;
use anole_pipeline::Made;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{Folder, page, shop, track};

/// JSON that clients send, and JSON that they should not.
fn json() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        (0_u32..200_000, 0_u32..100).prop_map(|(whole, cents)| format!("{whole}.{cents:02}")),
        "-?[0-9]{1,25}(\\.[0-9]{1,9})?(e[0-9]{1,4})?",
        "[ -~é]{0,12}".prop_map(|text| Value::from(text).to_string()),
        "(https?://|/|_js_)?[a-z;, ]{0,12}".prop_map(|text| Value::from(text).to_string()),
        "-?[0-9]{1,12}(\\.[0-9]{2})?".prop_map(|text| Value::from(text).to_string()),
        Just(r#"{"a":[1,{"b":null}]}"#.to_owned()),
        Just("[]".to_owned()),
    ]
    .prop_filter("JSON has no leading zeros", |json| serde_json::from_str::<&serde_json::value::RawValue>(json).is_ok())
}

/// What section 13 of the vendor's facts calls lost, written down once more, without our code.
fn check_item(item: &str) -> Result<(), TestCaseError> {
    let item: Value = serde_json::from_str(item).map_err(|error| TestCaseError::fail(format!("{error}: {item}")))?;
    prop_assert!(item["nonce"].as_str().is_some_and(|nonce| !nonce.is_empty()));
    let code = item["visitorCode"].as_str().unwrap_or_default();
    prop_assert!((1..=100).contains(&code.len()) && !code.contains([' ', ';', ',']) && code.trim() == code, "{code:?}");
    match item["eventType"].as_str() {
        Some("CONVERSION") => {
            prop_assert!(
                item["goalId"].as_i64().is_some_and(|goal| (1..=i64::from(i32::MAX)).contains(&goal)),
                "{item}"
            );
            prop_assert!(
                item.get("revenue").is_none_or(|revenue| revenue.as_f64().is_some_and(|sum| sum >= 0.0)),
                "{item}"
            );
            prop_assert!(item.get("negative").is_none_or(Value::is_boolean));
        }
        Some("PAGE") => {
            let href = item["href"].as_str().unwrap_or_default();
            prop_assert!(href.starts_with("http://") || href.starts_with("https://"), "{href:?}");
            prop_assert!(item.get("title").is_none_or(Value::is_string));
        }
        other => prop_assert!(false, "{other:?}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_sent_is_what_the_vendor_takes(
        values in prop::collection::vec(json(), 8),
        name in prop_oneof![Just("Order Completed"), Just("Order Refunded"), Just("Signed Up")],
    ) {
        let plan = Folder::with(&shop("")).plan();
        let [goal, revenue, code, cookie, anonymous, url, title, referrer] = &*values else { unreachable!() };
        let visitor = format!(r#""anonymous_id":{anonymous},"cookies":{{"kameleoonVisitorCode":{cookie}}}"#);
        let properties = format!(
            r#""properties":{{"kameleoon_goal_id":{goal},"revenue":{revenue},"kameleoon_visitor_code":{code}}}"#
        );
        let context = format!(r#""context":{{"page":{{"url":{url},"title":{title},"referrer":{referrer}}}}}"#);
        let events = [track(name, &format!(",{visitor},{properties}")), page(&format!(",{visitor},{context}"))];
        for event in events {
            for made in event.made(&plan) {
                match made {
                    Made::Send(send) => check_item(std::str::from_utf8(&send.item).expect("UTF-8"))?,
                    Made::Ended(ended) => {
                        prop_assert_eq!(ended.outcome.state, State::Parked);
                        prop_assert!(ended.outcome.detail.is_some_and(|detail| detail.len() > 20));
                    }
                }
            }
        }
    }

    /// A file that is no YAML of ours, or anything else, is told and never a panic.
    #[test]
    fn whatever_a_file_holds_it_is_read_or_told(text in "[a-z:{}\\[\\],&*!'\"#|> \n-]{0,80}") {
        let folder = Folder::with(&text).blueprint("x.yaml", &text);
        if let Err(errors) = folder.load() {
            prop_assert!(!errors.render(false).is_empty());
            prop_assert!(errors.problems().iter().all(|problem| problem.file().is_none() == problem.place().is_none()));
        }
    }

    /// The example with a piece cut out: every place that is told lies in the file.
    #[test]
    fn a_file_that_is_cut_is_told_in_its_place(from in 0_usize..700, length in 1_usize..200) {
        let whole = include_str!("../../../../pipelines/shop.yaml");
        let (from, to) = (from.min(whole.len()), (from + length).min(whole.len()));
        let cut = format!("{}{}", &whole[..from], &whole[to..]);
        if let Err(errors) = Folder::with(&cut).load() {
            for problem in errors.problems() {
                let (line, _) = problem.place().unwrap_or((1, 1));
                prop_assert!(line <= cut.lines().count() + 1, "{}", problem);
            }
        }
    }
}

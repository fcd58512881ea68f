use proptest::prelude::*;

use super::*;

fn encode(sends: &[SendRecord]) -> Vec<u8> {
    let mut block = Vec::new();
    Encoder::new().expect("an encoder").encode(sends, &mut block);
    block
}

/// Few different ids, so that ids repeat each other; UUIDs in every spelling, and texts.
fn id() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        Just("".into()),
        Just("9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa".into()),
        Just("9F1C2D7A-4B88-4E2A-9A31-6C0E2B5D77AA".into()),
        Just("9f1c2d7a4b884e2a9a316c0e2b5d77aa".into()),
        Just("{9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77a".into()),
        any::<u128>().prop_map(|number| uuid::Uuid::from_u128(number).to_string().into()),
        ".{0,40}".prop_map(Into::into),
    ]
}

fn outcome_of() -> impl Strategy<Value = Option<Outcome>> {
    let state = prop::sample::select(State::ALL);
    let reason = prop::sample::select(Reason::ALL);
    let detail = prop::option::of(prop::sample::select(vec!["", "the goalId is missing"]));
    prop::option::of((state, reason, detail).prop_map(|(state, reason, detail)| Outcome {
        state,
        reason,
        detail: detail.map(str::to_owned),
    }))
}

prop_compose! {
    fn send()(
        message_id in id(),
        event in "[a-c]{0,2}",
        anonymous_id in prop::option::of(id()),
        user_id in prop::option::of(id()),
        lookups in prop::collection::vec(("[x-z]", id()), 0..3),
        partition in prop_oneof![Just(0_u32), any::<u32>()],
        offset in any::<u64>(),
        received in any::<i64>(),
        ordinal in any::<u16>(),
        rule in "[a-c]{0,2}",
        visitor_code in prop::option::of(id()),
        rung in prop::option::of("[p-q]"),
        nonce in prop::option::of(id()),
        marks in any::<u8>(),
        outcome in outcome_of(),
    ) -> SendRecord {
        SendRecord {
            message_id, event: event.into(), anonymous_id, user_id,
            lookups: lookups.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            position: Position { partition, offset },
            received_at: Timestamp::from_micros(received),
            ordinal, rule: rule.into(), visitor_code, rung: rung.map(Into::into), nonce,
            marks: Marks::from_bits(marks), outcome,
        }
    }
}

proptest! {
    #[test]
    fn a_block_gives_back_its_sends(sends in prop::collection::vec(send(), 0..40)) {
        prop_assert_eq!(decode(&encode(&sends)), Ok(sends));
    }

    #[test]
    fn a_changed_block_is_an_error_or_other_sends_and_never_a_panic(
        sends in prop::collection::vec(send(), 1..10), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let whole = encode(&sends);
        let mut changed = whole.clone();
        changed[at.index(whole.len())] = byte;
        if let Ok(read) = decode(&changed) {
            prop_assert!(read.len() <= MOST_SENDS);
        }
        prop_assert!(decode(&whole[..cut.index(whole.len())]).is_err(), "a block that was cut is not read");
    }
}

#[test]
fn more_names_than_a_few_are_told_apart() {
    let template = SendRecord {
        message_id: "m".into(),
        event: "".into(),
        anonymous_id: None,
        user_id: None,
        lookups: Vec::new(),
        position: Position::at(1),
        received_at: Timestamp::from_millis(5),
        ordinal: 0,
        rule: "".into(),
        visitor_code: None,
        rung: None,
        nonce: None,
        marks: Marks::NONE,
        outcome: None,
    };
    let send = |number: usize| SendRecord { event: format!("event {}", number % 60).into(), ..template.clone() };
    let sends: Vec<_> = (0..200).map(send).collect();
    assert_eq!(decode(&encode(&sends)), Ok(sends));
}

#[test]
fn a_usual_batch_takes_few_bytes_per_send() {
    let send = |number: u64| SendRecord {
        message_id: uuid::Uuid::from_u128(u128::from(number) << 60 | 0xabcd).to_string().into(),
        event: if number.is_multiple_of(7) { "Order Completed" } else { "page" }.into(),
        anonymous_id: Some(uuid::Uuid::from_u128(u128::from(number) << 70 | 0x1234).to_string().into()),
        user_id: None,
        lookups: vec![("order_id".into(), format!("ORD-{number}").into())],
        position: Position::at(4_000 + number * 3),
        received_at: Timestamp::from_millis(1_795_341_605_120 + i64::try_from(number * 13).expect("small")),
        ordinal: 0,
        rule: "page".into(),
        visitor_code: Some(format!("{:010x}", number * 0x1234_5678).into()),
        rung: Some("cookies.kameleoonVisitorCode".into()),
        nonce: Some(uuid::Uuid::from_u128(u128::from(number) << 60 | 0xabcd).to_string().into()),
        marks: Marks::NONE,
        outcome: Some(Outcome::new(State::Delivered, Reason::Accepted)),
    };
    let sends: Vec<_> = (0..100).map(send).collect();
    let block = encode(&sends);
    assert!(block.len() < 100 * 70, "{} bytes for 100 sends", block.len());
}

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Every code that can be told, by its place. A code is a value of an enum with a list of all its values: what is in none of
/// these lists cannot be told.
fn told() -> BTreeMap<Place, BTreeSet<String>> {
    macro_rules! codes {
        ($($of:ty),+) => { [$(<$of>::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>()),+].concat() };
    }
    let all: Vec<(Place, Vec<&str>)> = vec![
        (Place::Configuration, codes!(anole_config::Code)),
        (Place::Refusal, codes!(anole_ingest::RefusalCode, anole_http::body::BodyCode, anole_http::TlsCode)),
        (Place::Rule, codes!(anole_ingest::Rule, anole_http::body::BodyCode)),
        (Place::State, codes!(anole_event::State)),
        (Place::Reason, codes!(anole_event::Reason)),
        (Place::Mark, anole_event::Marks::from_bits(u8::MAX).names().collect()),
        (Place::Decision, codes!(anole_event::Decision)),
        (Place::Reached, codes!(anole_event::Reached)),
        (Place::Fault, codes!(anole_event::ErrorSource)),
        (Place::Pause, codes!(anole_delivery::PauseCode)),
        (Place::Append, codes!(anole_journal::AppendCode)),
        (Place::Finding, codes!(anole_journal::Flaw)),
        (
            Place::Store,
            codes!(crate::lock::LockCode, anole_journal::OpenCode, anole_state::StateCode, anole_delivery_log::LogCode),
        ),
        (Place::Api, codes!(anole_console::ApiCode, anole_http::TlsCode)),
    ];
    let mut told: BTreeMap<_, BTreeSet<_>> =
        all.into_iter().map(|(place, codes)| (place, codes.into_iter().map(str::to_owned).collect())).collect();
    told.insert(Place::Kameleoon, hinted().keys().map(|status| format!("kameleoon_{status}")).collect());
    told
}

/// The statuses of which the embedded blueprint for Kameleoon has something to say, and what.
fn hinted() -> BTreeMap<u16, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let starter = anole_config::starter("dk_x", Some("f17c21u1ag"), Some("eu"));
    std::fs::write(folder.path().join("shop.yaml"), starter.pipeline).expect("written");
    let loaded = anole_config::load(folder.path(), None, &|_| None).expect("the starter is sound");
    let plan = loaded.pipelines.first().and_then(|plan| plan.lanes.first()).expect("it has a lane");
    let answers = plan.requests.iter().map(|request| &request.answers);
    let mut hinted = BTreeMap::new();
    for answers in answers {
        hinted.extend((100..600).filter_map(|status| Some((status, answers.judge(status).hint?.to_string()))));
    }
    hinted
}

#[test]
fn every_code_that_can_be_told_has_a_page_that_names_its_place_and_every_page_is_of_such_a_code() {
    let paged: BTreeMap<Place, BTreeSet<String>> = Place::ALL
        .iter()
        .map(|place| {
            let pages = all().iter().filter(|page| page.places().contains(place));
            (*place, pages.map(|page| page.code().to_owned()).collect())
        })
        .collect();
    let told = told();
    for place in Place::ALL {
        let (told, paged) = (&told[place], &paged[place]);
        let (unpaged, untold) = (told - paged, paged - told);
        assert!(unpaged.is_empty(), "{}: no page for {unpaged:?}", place.noun());
        assert!(untold.is_empty(), "{}: pages of codes that nothing tells: {untold:?}", place.noun());
    }
}

#[test]
fn the_pages_of_a_vendors_answers_have_its_hints_word_for_word() {
    let hinted = hinted();
    assert!(hinted.len() >= 5, "{hinted:?}");
    for (status, hint) in hinted {
        let page = page(&format!("kameleoon_{status}")).expect("it has a page");
        assert!(page.text().contains(&format!("{status}: {hint}")), "{}: not what is told: {hint}", page.code());
    }
}

#[test]
fn what_was_probably_meant_is_suggested() {
    let said = |code| unknown(code).to_string();
    assert!(said("missingfield").contains("did you mean missing_field"), "{}", said("missingfield"));
    assert!(said("404").contains("kameleoon_404"), "{}", said("404"));
    assert!(said("xyzzy").contains("there is no code `xyzzy`\n"), "{}", said("xyzzy"));
    assert!(!said("\u{1b}[31m").contains('\u{1b}'));
}

#[test]
fn a_text_is_wrapped_at_blanks_and_loses_its_marks() {
    assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
    assert_eq!(wrapped("averylongword x", 5), ["averylongword", "x"]);
    let line = "See [`parked`](parked.md), `anole check` and [Running anole](../operations.md#damage).";
    assert_eq!(plain(line), "See parked, `anole check` and Running anole (docs/operations.md).");
}

//! What CEL says of an event: the pitfalls of other languages, one by one.

use std::collections::BTreeSet;

use super::*;
use crate::{Paths, PipelinePlan, Values};

const EVENT: &str = r#"{"message_id":"m-1","type":"track","event":"Order Completed","properties":{
    "total":12.5,"ns":"12.5","b":true,"bs":"true","zero":0,"empty":"","nul":null,"s":"HeLLo","n":5,"big":12345678901234567890,
    "arr":["a","b"],"products":[{"sku":"A","price":1},{"sku":"B","price":2}],"my key":"x","é":"ü"},
    "context":{"page":{"url":"https://shop.example.com/"}}}"#;

fn bound(source: &str) -> (Expression, Values) {
    let parsed = Parsed::parse(source).expect("an expression");
    let mut paths = Paths::new();
    let expression = parsed.bind(|path| Bound::Event(paths.slot(path)));
    let plan = PipelinePlan::new(crate::Intake::new("shop"), Vec::new(), &[], paths);
    (expression, plan.read(EVENT.into()).expect("an event"))
}

fn holds(source: &str) -> Result<bool, String> {
    let (expression, values) = bound(source);
    expression.holds(Scope { values: &values, nonce: None, visitor: None, item: None })
}

fn value(source: &str) -> Result<String, String> {
    let (expression, values) = bound(source);
    let got = expression.value(Scope { values: &values, nonce: None, visitor: None, item: None })?;
    Ok(got.raw().into_owned())
}

fn wrong(source: &str) -> (usize, String) {
    let error = Parsed::parse(source).expect_err(source);
    (error.at, error.message)
}

/// vendors.md 3.3, first table: nothing is turned into another type, and missing is one thing.
#[test]
fn comparisons_turn_nothing_into_another_type() {
    for (source, expected) in [
        (r#"properties.total == "12.5""#, false),
        ("properties.ns == 12.5", false),
        ("properties.bs == true", false),
        (r#"properties.b == "true""#, false),
        (r#"event == "order completed""#, false),
        (r#"event == "Order Completed""#, true),
        (r#"properties.s != 3"#, true),
        ("properties.empty != null", true),
        ("properties.nul == null", true),
        (r#""a" in properties.arr"#, true),
        (r#"(type == "page" || type == "track") && (properties.n > 3 && properties.b)"#, true),
        ("properties.total == 12.5 && properties.n < 5.5", true),
        ("properties.zero == 0 && properties.zero == 0.0", true),
    ] {
        assert_eq!(holds(source), Ok(expected), "{source}");
    }
    for source in ["properties.ns > 12", r#"properties.n >= "3""#, r#"properties.arr.contains("a")"#, "properties.n"] {
        assert!(holds(source).is_err(), "{source} must fail rather than guess");
    }
}

#[test]
fn missing_is_the_same_for_every_operator_and_can_be_asked_for() {
    for source in [
        r#"properties.zip != "a""#,
        "properties.zip != 3",
        r#"!properties.zip.contains("x")"#,
        r#"!properties.zip.startsWith("a")"#,
        "properties.zip == null",
        "properties.nul.x == 1",
        "properties.zero.x == 0",
        r#"!(properties.zip == "a")"#,
    ] {
        let why = holds(source).expect_err(source);
        assert!(why.ends_with("is missing"), "{source}: {why}");
    }
    assert_eq!(holds("has(properties.zip)"), Ok(false));
    assert_eq!(holds("has(properties.nul)"), Ok(true), "null is there");
    assert_eq!(holds(r#"!has(properties.zip) || properties.zip != "a""#), Ok(true));
    assert_eq!(holds("properties.zip > 1 || properties.b"), Ok(true), "the other side decides");
}

/// vendors.md 3.3, second table: what other parsers take and misread is right here, or refused at its place.
#[test]
fn what_other_parsers_misread_is_right_or_refused() {
    assert_eq!(holds(r#"properties.n == 6 && properties.b || event == "Order Completed""#), Ok(true));
    assert_eq!(holds(r#"event == "x" && (properties.b || properties.b)"#), Ok(false), "&& binds more than ||");
    assert_eq!(holds(r#"!properties.s.contains("z")"#), Ok(true));
    assert_eq!(holds(r#"properties.s.matches("^H.*o$")"#), Ok(true));
    assert_eq!(holds(r#"type in ["track", "page"]"#), Ok(true));
    for (source, at) in [
        (r#"type == "track" and properties.b"#, 16),
        (r#"not properties.b"#, 4),
        ("type = \"track\"", 5),
        ("type ==", 7),
        ("", 0),
        ("(type", 5),
    ] {
        assert_eq!(wrong(source).0, at, "{source}: {}", wrong(source).1);
    }
    assert!(wrong(&"a".repeat(MAX_EXPRESSION + 1)).1.contains("4096 bytes"));
}

#[test]
fn every_way_of_naming_a_place_is_a_path() {
    let parsed = Parsed::parse(
        r#"properties["my key"] == "x" && properties.products[1].sku == "B" && has(context.page.url)
           && properties.products.exists(p, p.price > 1 && properties.b) && properties.arr.all(type, type != "z")"#,
    )
    .expect("an expression");
    let paths: BTreeSet<String> = parsed.references().iter().map(|reference| reference.path.to_string()).collect();
    let expected = [
        "context.page.url",
        "properties.\"my key\"",
        "properties.arr",
        "properties.b",
        "properties.products",
        "properties.products.1.sku",
    ];
    assert_eq!(paths.iter().map(String::as_str).collect::<Vec<_>>(), expected, "a macro's own name hides a root");
    assert_eq!(
        holds(r#"properties["my key"] == "x" && properties.products[1].sku == "B" && properties["é"] == "ü""#),
        Ok(true)
    );
    assert_eq!(holds("properties.products.exists(p, p.price > 1)"), Ok(true));
    assert_eq!(holds(r#"properties.arr.all(type, type != "z")"#), Ok(true));
    let parsed = Parsed::parse("true && propertys.x == 1").expect("an expression");
    assert_eq!(parsed.references()[0].at, 8);
}

#[test]
fn a_value_is_json_and_the_same_each_time() {
    assert_eq!(value("properties.total * 2.0").as_deref(), Ok("25.0"));
    assert_eq!(value("properties.n + 1").as_deref(), Ok("6"));
    assert_eq!(value(r#"properties.s + "-" + string(properties.n)"#).as_deref(), Ok("\"HeLLo-5\""));
    assert_eq!(value("properties.products.map(p, p.sku)").as_deref(), Ok(r#"["A","B"]"#));
    assert_eq!(value(r#"{"b": properties.b, "a": null}"#).as_deref(), Ok(r#"{"a":null,"b":true}"#));
    assert_eq!(value("properties.b ? 1 : 2").as_deref(), Ok("1"));
    assert_eq!(value("properties.products.map(p, p.price)[0] + 1").as_deref(), Ok("2"));
    assert!(value("properties.zip + 1").is_err());
    assert!(value("properties.total / 0.0").expect_err("infinite").contains("no finite number"));
    assert!(value("properties.n / 0").is_err());
}

/// Whatever is written: an expression is refused, fails, or gives something; it never takes the lane down.
mod whatever {
    use proptest::prelude::*;
    use proptest::test_runner::Config;

    use super::*;

    const LEAVES: &[&str] = &[
        "properties.n",
        "properties.total",
        "properties.s",
        "properties.arr",
        "properties.products",
        "properties.zip",
        "properties.nul",
        "properties.big",
        "properties",
        "context.page",
        "event",
        "0",
        "-1",
        "1.5",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615u",
        "1e308",
        "\"a\"",
        "\"[\"",
        "b\"x\"",
        "true",
        "null",
        "[]",
        "{}",
        "[1, \"a\"]",
        "{\"a\": 1}",
    ];

    fn expression() -> BoxedStrategy<String> {
        prop::sample::select(LEAVES)
            .prop_map(str::to_owned)
            .prop_recursive(4, 24, 3, |inner| {
                let two = (inner.clone(), inner.clone());
                let operator =
                    prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"]);
                let call = prop::sample::select(vec![
                    "size",
                    "string",
                    "int",
                    "double",
                    "uint",
                    "bool",
                    "type",
                    "bytes",
                    "dyn",
                    "timestamp",
                    "duration",
                    "max",
                    "min",
                ]);
                let method = prop::sample::select(vec![
                    "contains",
                    "startsWith",
                    "endsWith",
                    "matches",
                    "size",
                    "map",
                    "filter",
                    "exists",
                    "getFullYear",
                    "split",
                ]);
                prop_oneof![
                    (two.clone(), operator).prop_map(|((one, two), operator)| format!("({one} {operator} {two})")),
                    (inner.clone(), call).prop_map(|(one, call)| format!("{call}({one})")),
                    (two.clone(), method).prop_map(|((one, two), method)| match method {
                        "map" | "filter" | "exists" => format!("{one}.{method}(x, {two})"),
                        "size" | "getFullYear" => format!("{one}.{method}()"),
                        _ => format!("{one}.{method}({two})"),
                    }),
                    two.clone().prop_map(|(one, two)| format!("{one}[{two}]")),
                    (inner.clone(), two).prop_map(|(one, (two, three))| format!("({one} ? {two} : {three})")),
                    inner.clone().prop_map(|one| format!("-{one}")),
                    inner.clone().prop_map(|one| format!("!{one}")),
                    inner.prop_map(|one| format!("{one}.a")),
                ]
            })
            .boxed()
    }

    proptest! {
        #![proptest_config(Config { cases: 2_000, failure_persistence: None, ..Config::default() })]

        #[test]
        fn it_never_takes_the_lane_down(source in expression()) {
            if let Ok(parsed) = Parsed::parse(&source) {
                let known = parsed.references().iter().all(|reference| reference.path.steps().len() <= 32);
                prop_assert!(known);
                let (expression, values) = bound(&source);
                let scope = Scope { values: &values, nonce: None, visitor: None, item: None };
                let _told = expression.holds(scope);
                if let Ok(got) = expression.value(scope) {
                    prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&got.raw()).is_ok(), "{}", source);
                }
            }
        }

        #[test]
        fn any_text_is_read_or_refused_at_its_place(source in "[a-z0-9.\"'()\\[\\]{}&|!=<>+*/?: é\\\\-]{0,60}") {
            if let Err(error) = Parsed::parse(&source) {
                prop_assert!(error.at <= source.len() && source.is_char_boundary(error.at), "{:?} {}", source, error.at);
            }
        }
    }
}

/// Read and evaluated on the small stack of a test, in a build that does not save any.
#[test]
fn depth_is_refused_before_it_takes_the_stack() {
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("!", "true", ""),
        ("-", "1", ""),
        ("{1:", "1", "}"),
        ("size(", "\"a\"", ")"),
        ("", "properties.a", ".a"),
        ("", "properties.a", "[true]"),
        ("true ? 1 : ", "1", ""),
        ("1 + ", "1", ""),
        ("true && ", "true", ""),
        ("[1].map(x, ", "x", ")"),
    ] {
        let mut read = 0;
        for depth in [1, 4, 8, 16, 31, 32, 33, 64, 95, 96, 200, 400, 1_000, 4_000] {
            let source = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
            let Ok(parsed) = Parsed::parse(&source) else { continue };
            read = depth;
            let expression = parsed.bind(|_| Bound::Constant("[1]".into()));
            let (_, values) = bound("true");
            let _told = expression.value(Scope { values: &values, nonce: None, visitor: None, item: None });
        }
        assert!(read >= 4, "{open}{middle}{close} is of use: {read}");
    }
    assert!(wrong(&format!("{}1{}", "(".repeat(33), ")".repeat(33))).1.contains("at most 32 levels deep"));
    assert!(Parsed::parse(&format!("event == \"{}\"", "(".repeat(100))).is_ok(), "a text may hold what it likes");
    let many: Vec<String> = (0..100).map(|number| format!("event == \"e{number}\"")).collect();
    assert!(Parsed::parse(&many.join(" || ")).is_ok(), "a long row of alternatives is not deep");
}

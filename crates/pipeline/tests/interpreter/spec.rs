//! Random fields, as a person would write them, and the plan's form of each.

use anole_pipeline::{
    Case, Check, Each, Field, ItemPaths, Kind, Path, Paths, Piece, Shape, Source, Template, ValueMap,
};
use proptest::prelude::*;

use crate::json::{self, Json};

#[derive(Clone, Debug)]
pub(crate) enum From {
    Nothing,
    Constant(Json),
    /// Paths, best first; those that begin with `item` only mean something within an each.
    Places(Vec<String>),
    /// Texts and paths by turns.
    Template(Vec<(String, String)>),
    Object(Vec<(String, Spec)>),
    List(Vec<Spec>),
    Each(String, Box<Spec>),
    Merge(Vec<Spec>),
}

#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) from: From,
    pub(crate) shape: Shape,
    pub(crate) check: Check,
}

impl Spec {
    /// The plan's form. `items` are the paths of the lists that it stands in, the innermost last.
    pub(crate) fn field(&self, key: &str, paths: &mut Paths, items: &mut Vec<ItemPaths>) -> Field {
        Field {
            key: key.into(),
            source: self.source(paths, items),
            shape: self.shape.clone(),
            check: self.check.clone(),
            origin: Default::default(),
        }
    }

    fn source(&self, paths: &mut Paths, items: &mut Vec<ItemPaths>) -> Source {
        match &self.from {
            From::Nothing => Source::Nothing,
            From::Constant(json) => Source::Constant(json.write().into()),
            From::Places(places) => {
                let mut sources: Vec<Source> = places.iter().map(|path| place(path, paths, items)).collect();
                if sources.len() == 1 { sources.remove(0) } else { Source::FirstOf(sources) }
            }
            From::Template(pieces) => {
                let mut all = Vec::new();
                for (text, path) in pieces {
                    all.push(Piece::Text(text.as_str().into()));
                    all.push(match place(path, paths, items) {
                        Source::Item(slot) => Piece::Item(slot),
                        Source::Event(slot) => Piece::Event(slot),
                        _ => Piece::Text("".into()),
                    });
                }
                Source::Template(Template(all))
            }
            From::Object(fields) => {
                Source::Object(fields.iter().map(|(key, spec)| spec.field(key, paths, items)).collect())
            }
            From::List(specs) => Source::List(specs.iter().map(|spec| spec.field("", paths, items)).collect()),
            From::Merge(specs) => Source::Merge(specs.iter().map(|spec| spec.field("", paths, items)).collect()),
            From::Each(list, item) => {
                let list = place(list, paths, items);
                items.push(ItemPaths::default());
                let item = item.field("", paths, items);
                items.pop();
                Source::Each(Box::new(Each::new(list, item)))
            }
        }
    }
}

fn place(path: &str, paths: &mut Paths, items: &mut [ItemPaths]) -> Source {
    let path = Path::parse(path).expect("a path");
    match items.last_mut() {
        Some(last) if path.root() == "item" => Source::Item(last.slot(&path)),
        _ if path.root() == "item" => Source::Nothing,
        _ => Source::Event(paths.slot(&path)),
    }
}

fn path() -> BoxedStrategy<String> {
    let root = prop::sample::select(vec!["properties", "properties", "item"]);
    let step = prop::sample::select(vec!["a", "b", "c", "0", "1"]);
    (root, prop::collection::vec(step, 0..4))
        .prop_map(|(root, steps)| {
            let mut path = root.to_owned();
            for step in steps {
                path.push('.');
                path.push_str(step);
            }
            path
        })
        .boxed()
}

fn some<T: Clone + std::fmt::Debug + 'static>(one: T) -> BoxedStrategy<Option<T>> {
    prop::option::weighted(0.15, Just(one)).boxed()
}

fn kind() -> BoxedStrategy<Option<Kind>> {
    let kinds = vec![Kind::Text, Kind::Integer, Kind::Number, Kind::Boolean, Kind::JsonText];
    prop::option::weighted(0.3, prop::sample::select(kinds)).boxed()
}

fn shape() -> BoxedStrategy<Shape> {
    let key = |name: &str| vec![Path::parse(name).expect("a path")];
    let values = ValueMap {
        of: vec![("12.50".into(), "\"half\"".into()), ("true".into(), "1".into()), ("x-".into(), "null".into())],
        otherwise: None,
    };
    let otherwise = ValueMap { otherwise: Some("\"else\"".into()), ..values.clone() };
    let objects = (some(key("a")), some(key("b.a")), some(Box::from(".")));
    let texts = (
        prop::bool::weighted(0.2),
        some(Box::from("x-")),
        prop::option::weighted(0.2, prop::sample::select(vec![Case::Lower, Case::Upper])),
        some(2_usize),
    );
    let values = prop::option::weighted(0.15, prop::sample::select(vec![values, otherwise]));
    let ends = (prop::bool::weighted(0.2), some(1_u8), some(Box::from("\"default\"")));
    let keeps = (any::<bool>(), any::<bool>());
    (objects, texts, values, kind(), ends, keeps)
        .prop_map(|((pick, omit, flatten), (trim, strip_prefix, case, max_length), values, kind, ends, keeps)| Shape {
            keep_null: keeps.0,
            keep_empty: keeps.1,
            pick: pick.unwrap_or_default(),
            omit: omit.unwrap_or_default(),
            flatten,
            trim,
            strip_prefix,
            case,
            max_length,
            values,
            sha256: None,
            kind,
            absolute: ends.0,
            round: ends.1,
            default: ends.2,
        })
        .boxed()
}

fn check() -> BoxedStrategy<Check> {
    (kind(), prop::bool::weighted(0.1), some(Box::from("0")), some(Box::from("100")))
        .prop_map(|(kind, required, min, max)| {
            let bounded = matches!(kind, Some(Kind::Number | Kind::Integer));
            Check { kind, required, min: min.filter(|_| bounded), max: max.filter(|_| bounded), url: false }
        })
        .boxed()
}

pub(crate) fn spec() -> BoxedStrategy<Spec> {
    let leaf = prop_oneof![
        Just(From::Nothing),
        json::value().prop_map(From::Constant),
        prop::collection::vec(path(), 1..4).prop_map(From::Places),
        prop::collection::vec((prop::sample::select(vec!["", "-", "t"]).prop_map(str::to_owned), path()), 1..3)
            .prop_map(From::Template),
    ];
    let with = |from: BoxedStrategy<From>| {
        (from, shape(), check()).prop_map(|(from, shape, check)| Spec { from, shape, check }).boxed()
    };
    with(leaf.boxed())
        .prop_recursive(2, 8, 3, move |inner| {
            let several = prop::collection::vec(inner.clone(), 1..3);
            let from = prop_oneof![
                several.clone().prop_map(|specs| {
                    From::Object(specs.into_iter().enumerate().map(|(at, spec)| (format!("k{at}"), spec)).collect())
                }),
                several.clone().prop_map(From::List),
                several.prop_map(From::Merge),
                (path(), inner).prop_map(|(list, item)| From::Each(list, Box::new(item))),
            ];
            with(from.boxed())
        })
        .boxed()
}

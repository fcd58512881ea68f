//! The description of the API, for programs: `/api/openapi.json`.
//!
//! It is kept by hand beside the code, as a derive would drag a second description of every type into the types themselves. Two
//! tests keep it true: here, that each route is described and each description has its route; and in the whole program's
//! tests, that what a running daemon answers is what it says.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::answer::{data, error};
use crate::api::Admin;
use crate::code::ApiCode;

const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /api/openapi.json`.
pub(crate) async fn document(State(admin): State<Admin>) -> Response {
    match serde_json::from_str::<serde_json::Value>(DOCUMENT) {
        Ok(mut document) => {
            document["info"]["version"] = admin.version.into();
            data(&document)
        }
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, ApiCode::LookFailed, &failed.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    #[test]
    fn every_route_is_described_and_every_description_has_its_route() {
        let document = document();
        let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
        });
        let described: BTreeSet<_> = described.collect();
        let routes = crate::api::api().into_iter().map(|(method, path, _)| (method.to_owned(), path.to_owned()));
        assert_eq!(described, routes.collect::<BTreeSet<_>>());
    }

    #[test]
    fn what_it_refers_to_is_there_and_parts_of_a_path_are_named() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for named in DOCUMENT.split("#/components/schemas/").skip(1) {
            let name = named.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
                let of_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
                let named: BTreeSet<_> =
                    of_path.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
                let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
                assert_eq!(named, parts.map(str::to_owned).collect(), "{method} {path}");
            }
        }
    }

    #[test]
    fn states_reasons_and_decisions_are_those_there_are() {
        let document = document();
        let of = |name: &str| -> Vec<String> {
            let all = document["components"]["schemas"][name]["enum"].as_array().unwrap();
            all.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
        };
        let all = |all: &[&dyn std::fmt::Display]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let states: Vec<&dyn std::fmt::Display> = anole_event::State::ALL.iter().map(|one| one as _).collect();
        let reasons: Vec<&dyn std::fmt::Display> = anole_event::Reason::ALL.iter().map(|one| one as _).collect();
        let decisions: Vec<&dyn std::fmt::Display> = anole_event::Decision::ALL.iter().map(|one| one as _).collect();
        assert_eq!((of("State"), of("Reason"), of("Decision")), (all(&states), all(&reasons), all(&decisions)));
    }
}

//! How the API answers: data, and errors in the house's form.

use anole_delivery::{ControlError, RegistryError, ReplayError};
use anole_http::body::Body;
use anole_http::reply;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::lists::QueryError;

pub(crate) fn told(result: Result<(), ControlError>) -> Response {
    match result {
        Ok(()) => data(&serde_json::json!({ "success": true })),
        Err(ControlError::Unknown(unknown)) => error(StatusCode::NOT_FOUND, "unknown_lane", &unknown.to_string()),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, "not_kept", &failed.to_string()),
    }
}

pub(crate) fn registry_error(failed: &RegistryError) -> Response {
    let (status, code) = match failed {
        RegistryError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown_lane"),
        RegistryError::NoName(_) => (StatusCode::BAD_REQUEST, "bad_name"),
        RegistryError::InUse { .. } => (StatusCode::CONFLICT, "lane_in_use"),
        RegistryError::SameName(_) | RegistryError::Exists(_) => (StatusCode::CONFLICT, "lane_exists"),
        RegistryError::OtherPipeline { .. } => (StatusCode::CONFLICT, "other_pipeline"),
        RegistryError::Ending => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        RegistryError::Stopped { .. } | RegistryError::State(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not_kept"),
    };
    error(status, code, &failed.to_string())
}

pub(crate) fn listed<T: Serialize>(result: Result<Vec<T>, QueryError>) -> Response {
    match result {
        Ok(rows) => data(&rows),
        Err(failed) => query_error(&failed),
    }
}

pub(crate) fn query_error(failed: &QueryError) -> Response {
    let (status, code) = match failed {
        QueryError::Code { .. } | QueryError::Time(_) | QueryError::ParkedId(_) | QueryError::After(_) => {
            (StatusCode::BAD_REQUEST, "bad_query")
        }
        QueryError::Look(_) => (StatusCode::INTERNAL_SERVER_ERROR, "look_failed"),
    };
    error(status, code, &failed.to_string())
}

pub(crate) fn data<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(json) => shown(reply::json(StatusCode::OK, json)),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, "look_failed", &failed.to_string()),
    }
}

pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    shown(reply::error(status, code, message))
}

fn shown(response: http::Response<Body>) -> Response {
    response.map(axum::body::Body::new)
}

pub(crate) fn replay_error(failed: &ReplayError) -> Response {
    let (status, code) = match failed {
        ReplayError::UnderWay { .. } => (StatusCode::CONFLICT, "replay_under_way"),
        ReplayError::Unbounded | ReplayError::TooMuch(_) => (StatusCode::BAD_REQUEST, "bad_query"),
        ReplayError::NoLane(_) => (StatusCode::CONFLICT, "no_lane"),
        ReplayError::Log(_) | ReplayError::State(_) | ReplayError::Journal(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "not_kept")
        }
    };
    error(status, code, &failed.to_string())
}

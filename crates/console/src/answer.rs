//! How the API answers: data, and errors in the house's form.

use anole_delivery::{ControlError, RegistryError, ReplayError};
use anole_http::body::Body;
use anole_http::reply;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::code::ApiCode;
use crate::lists::QueryError;

pub(crate) fn told(result: Result<(), ControlError>) -> Response {
    match result {
        Ok(()) => data(&serde_json::json!({ "success": true })),
        Err(ControlError::Unknown(unknown)) => error(StatusCode::NOT_FOUND, ApiCode::UnknownLane, &unknown.to_string()),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, ApiCode::NotKept, &failed.to_string()),
    }
}

pub(crate) fn registry_error(failed: &RegistryError) -> Response {
    let (status, code) = registry_code(failed);
    error(status, code, &failed.to_string())
}

/// The status and the code of what a change of the registry of lanes failed by.
#[must_use]
pub const fn registry_code(failed: &RegistryError) -> (StatusCode, ApiCode) {
    match failed {
        RegistryError::Unknown(_) => (StatusCode::NOT_FOUND, ApiCode::UnknownLane),
        RegistryError::NoName(_) => (StatusCode::BAD_REQUEST, ApiCode::BadName),
        RegistryError::InUse { .. } => (StatusCode::CONFLICT, ApiCode::LaneInUse),
        RegistryError::SameName(_) | RegistryError::Exists(_) => (StatusCode::CONFLICT, ApiCode::LaneExists),
        RegistryError::OtherPipeline { .. } => (StatusCode::CONFLICT, ApiCode::OtherPipeline),
        RegistryError::Ending => (StatusCode::SERVICE_UNAVAILABLE, ApiCode::ShuttingDown),
        RegistryError::Stopped { .. } | RegistryError::State(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, ApiCode::NotKept)
        }
    }
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
            (StatusCode::BAD_REQUEST, ApiCode::BadQuery)
        }
        QueryError::Look(_) => (StatusCode::INTERNAL_SERVER_ERROR, ApiCode::LookFailed),
    };
    error(status, code, &failed.to_string())
}

pub(crate) fn data<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(json) => shown(reply::json(StatusCode::OK, json)),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, ApiCode::LookFailed, &failed.to_string()),
    }
}

pub(crate) fn error(status: StatusCode, code: ApiCode, message: &str) -> Response {
    shown(reply::error(status, code.as_str(), message))
}

fn shown(response: http::Response<Body>) -> Response {
    response.map(axum::body::Body::new)
}

pub(crate) fn replay_error(failed: &ReplayError) -> Response {
    let (status, code) = match failed {
        ReplayError::UnderWay { .. } => (StatusCode::CONFLICT, ApiCode::ReplayUnderWay),
        ReplayError::Unbounded | ReplayError::TooMuch(_) => (StatusCode::BAD_REQUEST, ApiCode::BadQuery),
        ReplayError::NoLane(_) => (StatusCode::CONFLICT, ApiCode::NoLane),
        ReplayError::Log(_) | ReplayError::State(_) | ReplayError::Journal(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, ApiCode::NotKept)
        }
    };
    error(status, code, &failed.to_string())
}

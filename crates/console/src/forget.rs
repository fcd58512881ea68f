//! Forgetting a visitor or a user.

use std::time::Duration;

use anole_delivery::{ForgetError, ForgetOrder, ForgetReport};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use http::StatusCode;

use crate::answer::{data, error};
use crate::api::Admin;
use crate::code::ApiCode;

/// For how long an answer waits for the end. What takes longer goes on, and is asked for by `GET /api/forget`.
const PATIENCE: Duration = Duration::from_secs(20);

/// `POST /api/forget`.
pub(crate) async fn forget(State(admin): State<Admin>, order: Result<Json<ForgetOrder>, JsonRejection>) -> Response {
    let order = match order {
        Ok(Json(order)) => order,
        Err(rejected) => return error(StatusCode::BAD_REQUEST, ApiCode::BadBody, &rejected.body_text()),
    };
    let heard = match admin.forgetter.begin(&order) {
        Ok(heard) => heard,
        Err(refused) => return refusal(&refused),
    };
    // Whether it is over, or still goes on, the report says; its task does not end without one.
    let mut waits = heard.clone();
    let _waited = tokio::time::timeout(PATIENCE, waits.wait_for(ForgetReport::is_over)).await;
    let report = heard.borrow().clone();
    data(&report)
}

/// `GET /api/forget`.
pub(crate) async fn status(State(admin): State<Admin>) -> Response {
    data(&admin.forgetter.status())
}

fn refusal(refused: &ForgetError) -> Response {
    let (status, code) = match refused {
        ForgetError::Who | ForgetError::BadId(_) => (StatusCode::BAD_REQUEST, ApiCode::BadQuery),
        ForgetError::Pipeline { .. } => (StatusCode::NOT_FOUND, ApiCode::UnknownPipeline),
        ForgetError::UnderWay | ForgetError::CutOff => (StatusCode::CONFLICT, ApiCode::Forgetting),
        ForgetError::File { .. } => (StatusCode::INTERNAL_SERVER_ERROR, ApiCode::NotKept),
    };
    error(status, code, &refused.to_string())
}

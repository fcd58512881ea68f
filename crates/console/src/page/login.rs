//! Signing in and out, where there is a token.

use anole_http::Peer;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use http::{HeaderMap, StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use super::{Viewer, local};
use crate::api::Admin;
use crate::session;

#[derive(Deserialize)]
pub(crate) struct Credentials {
    token: String,
    #[serde(default)]
    to: String,
}

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer, headers: HeaderMap) -> Response {
    let to = local(viewer.params.get("to"));
    let is_known = admin.token.as_ref().is_none_or(|token| session::is_valid(token, admin.clock.wall(), &headers));
    if is_known { Redirect::to(to).into_response() } else { form(&viewer, to, false).into_response() }
}

pub(crate) async fn enter(
    State(admin): State<Admin>,
    viewer: Viewer,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Form(given): Form<Credentials>,
) -> Response {
    let to = local(Some(&given.to));
    match &admin.token {
        Some(token) if !session::is_token(token, given.token.trim()) => {
            (StatusCode::UNAUTHORIZED, form(&viewer, to, true)).into_response()
        }
        Some(token) => {
            let secure = peer.is_some_and(|Extension(peer)| peer.secure);
            let cookie = session::begun(token, admin.clock.wall(), &headers, secure);
            ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
        }
        None => Redirect::to(to).into_response(),
    }
}

pub(crate) async fn leave() -> Response {
    ([(header::SET_COOKIE, session::ended())], Redirect::to("/login")).into_response()
}

fn form(viewer: &Viewer, to: &str, wrong: bool) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[viewer.theme] {
            head {
                meta charset="utf-8";
                title { "Sign in · anole" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="/assets/anole.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/console.css";
            }
            body.alone {
                main.card {
                    h1 { img src="/assets/anole.svg" alt="" width="28" height="28"; "anole" }
                    form method="post" action="/login" {
                        input type="hidden" name="to" value=(to);
                        label { span { "Admin token" }
                            input type="password" name="token" required autofocus autocomplete="current-password"
                                aria-invalid=[wrong.then_some("true")] aria-describedby="about"; }
                        p #about.soft {
                            @if wrong { b.wrong { "This is not the token. " } }
                            "It is " code { "admin.token" } " in anole.yaml, or what it is taken from."
                        }
                        button.button.main { "Sign in" }
                    }
                }
            }
        }
    }
}

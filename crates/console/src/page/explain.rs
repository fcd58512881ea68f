//! The page of a code, as `anole explain` and the manual have it.

use anole_codes::{Block, Inline, inlines};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::{Page, Section, Viewer, parts, trouble};
use crate::api::Admin;

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer, Path(code): Path<String>) -> Response {
    let Some(found) = anole_codes::page(&code) else {
        let known = anole_codes::all().iter().map(anole_codes::Page::code);
        let meant = anole_config::near(&code, known).into_iter().next();
        let words = match meant {
            Some(meant) => format!("There is no code {code}; the nearest is {meant}."),
            None => format!("There is no code {code}."),
        };
        return trouble(&admin, &viewer, StatusCode::NOT_FOUND, "There is no such code", &words).await;
    };
    let places: Vec<_> = found.places().into_iter().map(anole_codes::Place::noun).collect();
    let body = html! {
        (parts::head(found.code(), html! { span.soft { (places.join("; ")) } }))
        section.card { @for block in found.blocks() { (shown(&block)) } }
    };
    Page::new(Section::Other, found.code(), body).framed(&admin, &viewer).await.into_response()
}

fn shown(block: &Block) -> Markup {
    match block {
        Block::Heading(text) => html! { h2 { (text) } },
        Block::Paragraph(text) => html! { p { (line(text)) } },
        Block::List(items) => html! { ul { @for item in items { li { (line(item)) } } } },
        Block::Code(code) => html! { pre.code tabindex="0" { (code) } },
    }
}

/// A line. Links to the manual are told and not followed: it is not here.
fn line(text: &str) -> Markup {
    html! {
        @for piece in inlines(text) {
            @match piece {
                Inline::Text(text) => { (text) }
                Inline::Code(code) => { code { (code) } }
                Inline::Link(shown, target) => {
                    @match target.strip_suffix(".md").filter(|code| anole_codes::page(code).is_some()) {
                        Some(code) => { a href={ "/explain/" (code) } { (shown.trim_matches('`')) } }
                        None => { (shown) " (docs/" (target.trim_start_matches("../").split('#').next().unwrap_or(target)) ")" }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_to_their_pages_and_nothing_leads_elsewhere() {
        let text =
            "See [`parked`](parked.md), `a<b`, [x](https://evil.example) and [Running](../operations.md#damage).";
        assert_eq!(
            line(text).into_string(),
            "See <a href=\"/explain/parked\">parked</a>, <code>a&lt;b</code>, x (docs/https://evil.example) and \
             Running (docs/operations.md)."
        );
        for page in anole_codes::all() {
            assert!(page.blocks().iter().all(|block| !shown(block).into_string().is_empty()), "{}", page.code());
        }
    }
}

//! The pages of the console: the frame that all share, and how each is put into it.
//!
//! Pages are written by the server and work without a script: every filter is a link or a form, every action a form that
//! leads back by a redirect. Scripts only add what a server cannot know or do: the viewer's time zone, a search by a key, a
//! fresh look every few seconds. What comes from events is hostile; `maud` escapes whatever is put into a page, and nothing in
//! this crate marks text as safe.

mod attempt;
mod deliveries;
mod event;
mod events;
mod explain;
mod filters;
mod histogram;
mod integrations;
mod json;
mod lanes;
mod live;
mod login;
mod overview;
mod parked;
mod parts;
mod pipelines;
mod plot;
mod problem;
mod tester;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use maud::{DOCTYPE, Markup, html};

use crate::api::Admin;
use crate::code::ApiCode;
use crate::params::Params;
use crate::session::cookie;

/// What a page is called by its place in the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Live,
    Events,
    Deliveries,
    Parked,
    Lanes,
    Pipelines,
    Integrations,
    Tester,
    /// In none of them.
    Other,
}

/// Who looks, and at what.
#[derive(Clone)]
pub(crate) struct Viewer {
    /// `light` or `dark`; the system's own otherwise.
    theme: Option<&'static str>,
    /// The path and query of this page.
    here: String,
    /// The query.
    pub(crate) params: Params,
}

/// A page without its frame.
pub(crate) struct Page {
    pub(crate) section: Section,
    pub(crate) title: String,
    pub(crate) body: Markup,
    /// Whether it looks again every few seconds.
    pub(crate) fresh: bool,
    /// A script of its own.
    pub(crate) script: Option<&'static str>,
}

const WATCH: [(Section, &str, &str); 6] = [
    (Section::Overview, "Overview", "/"),
    (Section::Live, "Live", "/live"),
    (Section::Events, "Events", "/events"),
    (Section::Deliveries, "Deliveries", "/deliveries"),
    (Section::Parked, "Parked", "/parked"),
    (Section::Lanes, "Lanes", "/lanes"),
];
const SET_UP: [(Section, &str, &str); 3] = [
    (Section::Pipelines, "Pipelines", "/pipelines"),
    (Section::Integrations, "Integrations", "/integrations"),
    (Section::Tester, "Tester", "/tester"),
];

const ASSETS: &[(&str, &str, &str)] = &[
    ("/assets/console.css", "text/css; charset=utf-8", include_str!("assets/console.css")),
    ("/assets/console.js", "text/javascript; charset=utf-8", include_str!("assets/console.js")),
    ("/assets/live.js", "text/javascript; charset=utf-8", include_str!("assets/live.js")),
    ("/assets/anole.svg", "image/svg+xml", include_str!("assets/anole.svg")),
];

/// The pages that ask for the token where there is one.
pub(crate) fn guarded() -> Router<Admin> {
    Router::new()
        .route("/", get(overview::page))
        .route("/events", get(events::page))
        .route("/events/{id}", get(event::page))
        .route("/events/{id}/replay", post(event::replay))
        .route("/deliveries", get(deliveries::page))
        .route("/deliveries/{id}", get(attempt::page))
        .route("/parked", get(problem::page))
        .route("/parked/problem", get(problem::one))
        .route("/parked/replay", post(problem::replay))
        .route("/parked/discard", post(problem::discard))
        .route("/parked/{id}", get(parked::page))
        .route("/lanes", get(lanes::page))
        .route("/lanes/{pipeline}/{destination}/{what}", post(lanes::act))
        .route("/pipelines", get(pipelines::page))
        .route("/pipelines/{pipeline}/{destination}", get(pipelines::rules))
        .route("/integrations", get(integrations::page))
        .route("/integrations/{blueprint}", get(integrations::one))
        .route("/tester", get(tester::page).post(tester::run))
        .route("/live", get(live::page))
        .route("/explain/{code}", get(explain::page))
        .route("/reload", post(lanes::reload))
}

/// The pages that everybody may see.
pub(crate) fn open() -> Router<Admin> {
    let mut router = Router::new()
        .route("/login", get(login::page).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/theme", post(theme));
    for (path, content_type, text) in ASSETS {
        let headers = [(header::CONTENT_TYPE, *content_type), (header::CACHE_CONTROL, "no-cache")];
        router = router.route(path, get(move || async move { (headers, *text) }));
    }
    router
}

/// What is said where there is nothing.
pub(crate) async fn nowhere(State(admin): State<Admin>, viewer: Viewer, headers: HeaderMap) -> Response {
    if crate::guard::header_of(&headers, "accept").is_some_and(|accept| accept.contains("text/html")) {
        return trouble(&admin, &viewer, StatusCode::NOT_FOUND, "There is no such page", "The address leads nowhere.")
            .await;
    }
    crate::answer::error(StatusCode::NOT_FOUND, ApiCode::NotFound, "there is no such page")
}

/// A page that says what went wrong.
pub(crate) async fn trouble(admin: &Admin, viewer: &Viewer, status: StatusCode, title: &str, words: &str) -> Response {
    let body = html! {
        (parts::head(title, html! {}))
        p.lead { (words) }
        p { a.button href="/" { "To the Overview" } }
    };
    let page = Page { section: Section::Other, title: title.to_owned(), body, fresh: false, script: None };
    (status, page.framed(admin, viewer).await).into_response()
}

/// A store that could not be looked into.
pub(crate) async fn failed(admin: &Admin, viewer: &Viewer, error: &(impl std::fmt::Display + Sync)) -> Response {
    let words = format!("{error}. The log of the daemon says more.");
    trouble(admin, viewer, StatusCode::INTERNAL_SERVER_ERROR, "This could not be looked up", &words).await
}

/// Keeps the choice of light or dark in a cookie: the page has it from its first byte, and no script is needed.
async fn theme(form: axum::Form<Vec<(String, String)>>) -> Response {
    let value = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let theme = value("theme").filter(|theme| ["light", "dark"].contains(theme)).unwrap_or("system");
    let cookie = format!("anole_theme={theme}; Path=/; SameSite=Strict; Max-Age=31536000");
    ([(header::SET_COOKIE, cookie)], Redirect::to(local(value("back")))).into_response()
}

/// An address of ours, or the Overview: nobody is led to another site from here.
pub(crate) fn local(to: Option<&str>) -> &str {
    let ours = |to: &&str| to.starts_with('/') && !to[1..].starts_with(['/', '\\']) && !to.contains(char::is_control);
    to.filter(ours).unwrap_or("/")
}

// === impl Viewer ===

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let theme = match cookie(&parts.headers, "anole_theme") {
            Some("light") => Some("light"),
            Some("dark") => Some("dark"),
            _ => None,
        };
        let here = parts.uri.path_and_query().map_or("/", |here| here.as_str()).to_owned();
        Ok(Self { theme, here, params: Params::of(parts.uri.query()) })
    }
}

// === impl Page ===

impl Page {
    pub(crate) fn new(section: Section, title: &str, body: Markup) -> Self {
        Self { section, title: title.to_owned(), body, fresh: false, script: None }
    }

    /// The same page, looked at again every few seconds.
    pub(crate) fn fresh(self) -> Self {
        Self { fresh: true, ..self }
    }

    pub(crate) fn with_script(self, script: &'static str) -> Self {
        Self { script: Some(script), ..self }
    }

    /// The page in its frame.
    pub(crate) async fn framed(self, admin: &Admin, viewer: &Viewer) -> Markup {
        let parked = admin.looks.state.parked_counts().await.unwrap_or_default();
        let parked: u64 = parked.iter().map(|count| count.count).sum();
        html! {
            (DOCTYPE)
            html lang="en" data-theme=[viewer.theme] {
                (self.html_head())
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.bar {
                        a.brand href="/" { img src="/assets/anole.svg" alt="" width="22" height="22"; "anole" }
                        form.find action="/events" role="search" {
                            input #find type="search" name="q" placeholder="Find an event by message id, visitor, user or order"
                                aria-label="Find an event" value=(if self.section == Section::Events { viewer.params.text("q") } else { "" })
                                autocomplete="off" spellcheck="false";
                            kbd aria-hidden="true" { "/" }
                        }
                        (self.tools(admin, viewer))
                    }
                    nav.side aria-label="Pages" {
                        (self.links(&WATCH, parked))
                        p.group { "Set up" }
                        (self.links(&SET_UP, 0))
                        p.version { (admin.version) }
                    }
                    main #main tabindex="-1" data-fresh=[self.fresh.then_some("5")] { (self.body) }
                }
            }
        }
    }

    fn html_head(&self) -> Markup {
        html! {
            head {
                meta charset="utf-8";
                title { (self.title) " · anole" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="/assets/anole.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/console.css";
                script src="/assets/console.js" defer {}
                @if let Some(script) = self.script { script src=(script) defer {} }
                @if self.fresh { noscript { meta http-equiv="refresh" content="10"; } }
            }
        }
    }

    fn links(&self, links: &[(Section, &str, &str)], parked: u64) -> Markup {
        html! {
            ul {
                @for (section, name, href) in links {
                    li { a href=(href) aria-current=[(self.section == *section).then_some("page")] {
                        (name)
                        @if *section == Section::Parked && parked > 0 { span.count { (parts::number(parked)) } }
                    } }
                }
            }
        }
    }

    fn tools(&self, admin: &Admin, viewer: &Viewer) -> Markup {
        html! {
            form.theme method="post" action="/theme" {
                input type="hidden" name="back" value=(viewer.here);
                @for (value, sign, label) in [("light", "☀", "Light"), ("dark", "☾", "Dark"), ("system", "◐", "As the system")] {
                    button name="theme" value=(value) title=(label) aria-label=(label)
                        aria-pressed=(viewer.theme.unwrap_or("system") == value) { (sign) }
                }
            }
            @if admin.token.is_some() {
                form method="post" action="/logout" { button.plain { "Sign out" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_site() {
        for ours in ["/", "/events?q=a", "/parked/problem?lane=shop%2Fx"] {
            assert_eq!(local(Some(ours)), ours);
        }
        for other in ["https://evil.example", "//evil.example", "/\\evil.example", "", "events", "/a\r\nset-cookie: x"]
        {
            assert_eq!(local(Some(other)), "/", "{other}");
        }
    }
}

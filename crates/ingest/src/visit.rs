//! What a request tells of who made it, beside its body.

use std::borrow::Cow;

use anole_http::Peer;
use anole_http::body::Body;
use anole_pipeline::{BotAct, Intake};
use http::header::{HeaderName, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Response};
use uuid::Uuid;

use crate::client::{self, Trusted};
use crate::consent::Asked;
use crate::context::Seen;
use crate::cookie::{self, Cookies};
use crate::draft::Draft;
use crate::ids::Ids;
use crate::key::parameter;
use crate::robots::Robots;

/// Tells the collector by which id the visitor is known, when it asked with one that it had just made. A script's storage
/// lives for seven days in some browsers and belongs to one origin; the cookie outlives it and is the whole site's.
const VISITOR: HeaderName = HeaderName::from_static("x-anole-visitor");

/// A visit of a browser or a call of a back end.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    parts: &'a Parts,
    peer: Peer,
    /// The visitor as our own cookie names it.
    own: Option<Uuid>,
    /// The visitor as one of Google's cookies names it.
    google: Option<Cow<'a, str>>,
    /// The id of a new cookie; only for browsers that bring none.
    fresh: Option<Uuid>,
    /// What the server sees of the client.
    pub(crate) seen: Seen<'a>,
    /// The cookies that a blueprint asks for.
    pub(crate) cookies: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The visitor as a cookie names it, ours before Google's.
    pub(crate) visitor: Option<Cow<'a, str>>,
    /// The visitor as a new cookie will name it.
    pub(crate) new_visitor: Option<String>,
    /// The id that the collector has just made, where our own cookie knows the visitor by another.
    pub(crate) made: Option<Cow<'a, str>>,
    /// What the pipeline asks of consent.
    pub(crate) asked: Option<Asked<'a>>,
    /// What is done with it, as it is a robot's.
    pub(crate) bot: Option<BotAct>,
}

// === impl Visit ===

impl<'a> Visit<'a> {
    /// What the head of a request tells. `robots` judge whoever is a browser; without them nobody is judged.
    pub(crate) fn of(
        parts: &'a Parts,
        peer: Peer,
        trusted: &Trusted,
        intake: &'a Intake,
        cookie: &str,
        ids: &Ids,
        robots: Option<&Robots>,
    ) -> Self {
        let headers = &parts.headers;
        let browser = client::is_browser(headers);
        let cookies = Cookies::of(headers);
        let own = cookies.own(cookie);
        let google = cookies.google();
        let user_agent = client::text(headers.get(USER_AGENT));
        let judges = browser && intake.bots.judges();
        let is_robot = |robots: &Robots| user_agent.is_some_and(|text| robots.judge(text, &intake.bots));
        let bot = robots.filter(|robots| judges && is_robot(robots)).map(|_| intake.bots.act);
        let fresh = (browser && own.is_none()).then(|| ids.visitor());
        let made = parts.uri.query().filter(|_| own.is_some()).and_then(|query| parameter(query, &["fresh"]));
        Self {
            parts,
            peer,
            own,
            fresh,
            seen: Seen {
                ip: trusted.address(headers, peer.address),
                user_agent,
                browser,
                bot: bot == Some(BotAct::Flag),
            },
            cookies: cookies.kept(intake.cookies.iter().map(|name| &**name)),
            visitor: own.map(|id| Cow::Owned(id.to_string())).or_else(|| google.clone()),
            new_visitor: fresh.map(|id| id.to_string()),
            made,
            google,
            asked: intake.consent.as_ref().map(|plan| Asked::of(plan, &cookies)),
            bot,
        }
    }

    /// Renews the visitor's cookie, or sets a new one. For answers to browsers of which something was accepted.
    ///
    /// A browser without our cookie gets the id that its event has, when that is a UUID: so the visitor is the same one
    /// later, when a script's storage is gone. Where one of Google's cookies names the visitor, none is set: it would name
    /// the same visitor otherwise on the next visit. Where the pipeline asks for consent, none is set without it.
    pub(crate) fn set_cookie(
        &self,
        answer: &mut Response<Body>,
        trusted: &Trusted,
        name: &str,
        first: Option<&Draft<'_>>,
    ) {
        let consented = |draft: &Draft<'_>| match &self.asked {
            Some(asked) => asked.allows_cookie(&draft.event.consent),
            None => true,
        };
        if !self.seen.browser || self.bot == Some(BotAct::Drop) || !first.is_none_or(consented) {
            return;
        }
        let named = first.and_then(|draft| draft.event.anonymous_id.as_deref());
        let visitor = match (self.own, named) {
            (Some(own), _) => Some(own),
            (None, Some(id)) if self.google.as_deref() == Some(id) => None,
            (None, Some(id)) => Uuid::try_parse(id).ok().or(self.fresh),
            (None, None) => self.fresh,
        };
        let Some(visitor) = visitor else { return };
        if self.made.is_some()
            && let Ok(visitor) = HeaderValue::from_str(&visitor.to_string())
        {
            answer.headers_mut().insert(VISITOR, visitor);
        }
        let via = trusted.via(self.parts, self.peer);
        let cookie = cookie::set(name, visitor, via.host, via.https == Some(true));
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

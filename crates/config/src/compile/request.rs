//! Requests: address, headers, frame and authentication, with a destination's settings filled in.

use std::sync::Arc;

use anole_pipeline::{Auth, BatchLimits, BodyKind, Call, Hmac, OAuth2, Piece, RequestPlan, Secret, Template};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Compiler;
use crate::blueprint::{AuthDef, AuthKind, Beside, RequestDef};
use crate::filter::Seen;
use crate::node::json_text;
use crate::problem::{Code, Problem};
use crate::reference::{Reference, Text, TextPiece};
use crate::setting::SettingValue;

/// What is encoded in a setting that is put into a URL: all but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a template stands, which decides how settings are put into it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a URL: encoded, but for settings that are a URL themselves.
    Url,
    /// Anywhere else: as they are.
    Plain,
}

// === impl Compiler ===

impl Compiler<'_> {
    pub(crate) fn request(&mut self, request: &RequestDef) -> Option<(RequestPlan, Call)> {
        let url = self.template(&request.url, Place::Url)?;
        let mut headers = Vec::new();
        for (name, value) in &request.headers {
            headers.push((Arc::from(name.as_str()), self.template(value, Place::Plain)?));
        }
        if !headers.iter().any(|(name, _): &(Arc<str>, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type".into(), Template::text(request.frame.media_type())));
        }
        let plan = RequestPlan {
            name: request.name.as_str().into(),
            body: self.frame(request)?,
            batch: BatchLimits { events: request.events, bytes: request.bytes.len(), wait: request.wait.duration() },
            answers: self.blueprint.answers.clone(),
            auth: self.auth(request.auth.as_ref())?,
        };
        Some((plan, Call { method: request.method.as_str().into(), url, headers }))
    }

    /// The frame with what stands beside its list.
    pub(super) fn frame(&mut self, request: &RequestDef) -> Option<BodyKind> {
        let BodyKind::List { open, close, .. } = &request.frame else { return Some(request.frame.clone()) };
        let (mut members, mut hidden) = (String::from("{"), Vec::new());
        for (key, value) in &request.with {
            let json = match value {
                Beside::Json(json) => json.clone(),
                Beside::Text(text) => {
                    for piece in &text.pieces {
                        if let TextPiece::Place(Reference::Setting(name), _) = piece
                            && let Some(SettingValue::Secret(secret)) = self.settings.get(name)
                        {
                            hidden.push(secret.clone());
                        }
                    }
                    json_text(&self.needed(text)?)
                }
            };
            members.extend([&*json_text(key), ":", &json, ","]);
        }
        members.push_str(open.reveal().get(1..).unwrap_or_default());
        Some(BodyKind::List { open: Secret::new(members), close: close.clone(), hidden })
    }

    pub(super) fn auth(&mut self, auth: Option<&AuthDef>) -> Option<Auth> {
        let Some(auth) = auth else { return Some(Auth::None) };
        if auth.when_set.as_ref().is_some_and(|name| self.settings.get(name).is_none()) {
            return Some(Auth::None);
        }
        Some(match &auth.kind {
            AuthKind::Basic { user, password } => {
                Auth::Basic { user: self.secret(user)?, password: self.secret(password)? }
            }
            AuthKind::Bearer(token) => Auth::Bearer(self.secret(token)?),
            AuthKind::Header { name, value } => Auth::Header { name: name.as_str().into(), value: self.secret(value)? },
            AuthKind::Hmac { header, secret, encoding, prefix } => Auth::Hmac(Arc::new(Hmac {
                header: header.as_str().into(),
                secret: self.secret(secret)?,
                encoding: *encoding,
                prefix: prefix.as_str().into(),
            })),
            AuthKind::OAuth2 { token_url, client_id, client_secret, scope, optional } => {
                Auth::OAuth2(Arc::new(OAuth2 {
                    token_url: self.needed(token_url)?,
                    client_id: self.secret(client_id)?,
                    client_secret: self.secret(client_secret)?,
                    scope: self.setting_text(scope.as_ref()),
                    optional: *optional,
                }))
            }
        })
    }

    pub(super) fn secret(&mut self, text: &Text) -> Option<Secret> {
        self.needed(text).map(Secret::new)
    }

    /// A text over settings, all of which must be given.
    pub(super) fn needed(&mut self, text: &Text) -> Option<String> {
        let filled = self.settings.fill_in(text);
        if filled.is_none() {
            self.unset(text);
        }
        filled
    }

    /// Reports the settings of a text that are not given.
    pub(super) fn unset(&mut self, text: &Text) {
        for piece in &text.pieces {
            if let TextPiece::Place(Reference::Setting(name), place) = piece
                && self.settings.get(name).is_none()
            {
                let message = format!("the setting `{name}` is missing");
                let problem = Problem::new(Code::MissingSetting, self.settings_at.clone(), message);
                self.report.add(problem.expect(format!("write `{name}: …`")).beside(place.clone(), "it is used here"));
            }
        }
    }

    pub(super) fn template(&mut self, text: &Text, place: Place) -> Option<Template> {
        let mut pieces = Vec::new();
        for piece in &text.pieces {
            pieces.push(match piece {
                TextPiece::Literal(literal) => Piece::Text(literal.as_str().into()),
                TextPiece::Place(Reference::Event(path), at) => {
                    if self.sight.of(path) != Seen::All {
                        self.unseen(path, at);
                        return None;
                    }
                    Piece::Event(self.paths.slot(path))
                }
                TextPiece::Place(Reference::Item(path), _) => Piece::Item(self.item(path)),
                TextPiece::Place(Reference::Nonce, _) => Piece::Nonce,
                TextPiece::Place(Reference::Visitor, _) => Piece::Visitor,
                TextPiece::Place(Reference::Setting(name), _) => {
                    let Some(value) = self.settings.get(name) else {
                        self.unset(text);
                        return None;
                    };
                    piece_of(value, place)
                }
            });
        }
        Some(Template(pieces))
    }
}

fn piece_of(value: &SettingValue, place: Place) -> Piece {
    let encoded = |text: &str| match place {
        Place::Url => utf8_percent_encode(text, RESERVED).to_string(),
        Place::Plain => text.to_owned(),
    };
    match value {
        SettingValue::Url(text) => Piece::Text(text.as_str().into()),
        SettingValue::Text(text) | SettingValue::Json(text) => Piece::Text(encoded(text).into()),
        SettingValue::Secret(secret) => Piece::Secret(Secret::new(encoded(secret.reveal()))),
    }
}

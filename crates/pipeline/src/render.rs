//! Rendering an item: source, shape, check, drop, as [`SendPlan`](crate::SendPlan)'s module describes them.

use std::borrow::Cow;

use anole_event::{Reason, write_json_str};

use crate::detail::{Named, Trouble};
use crate::read::unquote;
use crate::resolve::Visitor;
use crate::value::Got;
use crate::{Field, Piece, Shape, Slot, Source, Template, Values};

/// What a send may draw upon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'v> {
    pub(crate) values: &'v Values,
    pub(crate) nonce: Option<&'v str>,
    pub(crate) visitor: Option<&'v Visitor<'v>>,
}

/// A value, and the place that gave it.
pub(crate) type Found<'v> = Option<(Got<'v>, Option<&'v Slot>)>;

// === impl Scope ===

impl<'v> Scope<'v> {
    /// The item of a send.
    pub(crate) fn item(self, fields: &'v [Field]) -> Result<Vec<u8>, Trouble> {
        let mut out = Vec::with_capacity(256);
        self.members(fields, "", &mut out)?;
        Ok(out)
    }

    /// Writes an object, or a list when the fields have no keys. Tells whether anything is in it.
    fn members(self, fields: &'v [Field], above: &str, out: &mut Vec<u8>) -> Result<bool, Trouble> {
        let is_list = fields.first().is_some_and(|field| field.key.is_empty());
        out.push(if is_list { b'[' } else { b'{' });
        let before = out.len();
        for field in fields {
            let Some(value) = self.field(Named { field, above }, field)? else { continue };
            if out.len() > before {
                out.push(b',');
            }
            if !is_list {
                write_json_str(out, &field.key);
                out.push(b':');
            }
            value.write(out);
        }
        let any = out.len() > before;
        out.push(if is_list { b']' } else { b'}' });
        Ok(any)
    }

    pub(crate) fn field(self, named: Named<'_>, field: &'v Field) -> Result<Option<Got<'v>>, Trouble> {
        let (value, place) = match self.source(&field.source, &field.shape, named)? {
            Some((value, place)) => {
                let shaped = value.shaped(&field.shape, field.check.kind);
                (shaped.map_err(|wrong| named.invalid(place, &wrong))?, place)
            }
            None => (None, None),
        };
        match value.or_else(|| field.shape.default.as_deref().map(Got::json)) {
            Some(value) => value.checked(&field.check).map(Some).map_err(|wrong| named.invalid(place, &wrong)),
            None if field.check.required => Err(named.missing()),
            None => Ok(None),
        }
    }

    pub(crate) fn source(self, source: &'v Source, shape: &Shape, named: Named<'_>) -> Result<Found<'v>, Trouble> {
        match source {
            Source::Nothing => Ok(None),
            Source::Constant(constant) => Ok(Some((Got::json(constant), None))),
            Source::Event(slot) => {
                let kept = |raw: &&str| (*raw != "null" || shape.keep_null) && (*raw != "\"\"" || shape.keep_empty);
                Ok(self.values.get(slot).filter(kept).map(|raw| (Got::json(raw), Some(slot))))
            }
            Source::FirstOf(sources) => {
                for source in sources {
                    if let Some(found) = self.source(source, shape, named)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
            Source::Nonce => Ok(self.nonce.map(|nonce| (Got::Text(Cow::Borrowed(nonce)), None))),
            Source::Visitor => Ok(self.visitor.map(|visitor| (Got::Text(Cow::Borrowed(&*visitor.code)), None))),
            Source::Template(template) => {
                let text = self.template(template).map_err(|place| named.no_text(place))?;
                let text = text.filter(|text| !text.is_empty() || shape.keep_empty);
                Ok(text.map(|text| (Got::Text(Cow::Owned(text)), None)))
            }
            Source::Object(fields) | Source::List(fields) => {
                let mut out = Vec::new();
                if !self.members(fields, &named.full(), &mut out)? {
                    return Ok(None);
                }
                let bad = |_| Trouble::new(Reason::Mapping, format!("the {} would not be UTF-8", named.full()));
                Ok(Some((Got::Json(Cow::Owned(String::from_utf8(out).map_err(bad)?)), None)))
            }
        }
    }

    /// The text of a template; nothing when one of its places holds nothing. An error names the place of an object or list.
    fn template(self, template: &'v Template) -> Result<Option<String>, &'v Slot> {
        let mut text = String::new();
        for piece in &template.0 {
            match self.piece(piece)? {
                Some(piece) => text.push_str(&piece),
                None => return Ok(None),
            }
        }
        Ok(Some(text))
    }

    /// The text of one piece of a template.
    pub(crate) fn piece(self, piece: &'v Piece) -> Result<Option<Cow<'v, str>>, &'v Slot> {
        Ok(match piece {
            Piece::Text(text) => Some(Cow::Borrowed(&**text)),
            Piece::Secret(secret) => Some(Cow::Borrowed(secret.reveal())),
            Piece::Nonce => self.nonce.map(Cow::Borrowed),
            Piece::Visitor => self.visitor.map(|visitor| Cow::Borrowed(&*visitor.code)),
            Piece::Event(slot) => match self.values.get(slot) {
                None | Some("null") => None,
                Some(raw) if raw.starts_with('"') => Some(unquote(raw).ok_or(slot)?),
                Some(raw) if raw.starts_with(['{', '[']) => return Err(slot),
                Some(raw) => Some(Cow::Borrowed(raw)),
            },
        })
    }
}

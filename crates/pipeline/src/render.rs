//! Rendering an item: source, shape, check, drop, as [`SendPlan`](crate::SendPlan)'s module describes them.

use std::borrow::Cow;
use std::cell::Cell;

use anole_event::{Reason, write_json_str};
use bytes::Bytes;

use crate::detail::{Named, Trouble};
use crate::object::{self, Members};
use crate::read::unquote;
use crate::resolve::Visitor;
use crate::value::Got;
use crate::{Each, Field, Piece, SendPlan, Shape, Slot, Source, Template, Values};

/// What a send may draw upon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'v> {
    pub(crate) values: &'v Values,
    pub(crate) nonce: Option<&'v str>,
    pub(crate) visitor: Option<&'v Visitor<'v>>,
    /// The element of the innermost list that is gone through.
    pub(crate) item: Option<&'v Values>,
}

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A larger buffer is not kept.
const MAX_SCRATCH: usize = 64 * 1024;

/// A value, and the place that gave it.
pub(crate) type Found<'v> = Option<(Got<'v>, Option<&'v Slot>)>;

// === impl Scope ===

impl<'v> Scope<'v> {
    /// The item of a send.
    pub(crate) fn item(self, send: &'v SendPlan) -> Result<Bytes, Trouble> {
        // One buffer for all, of which an exact copy is kept: a buffer of its own is larger than most items.
        let mut out = SCRATCH.take();
        out.clear();
        let made = self.whole(send, &mut out).map(|()| Bytes::copy_from_slice(&out));
        if out.capacity() <= MAX_SCRATCH {
            SCRATCH.set(out);
        }
        made
    }

    fn whole(self, send: &'v SendPlan, out: &mut Vec<u8>) -> Result<(), Trouble> {
        out.push(b'{');
        for (field, quick) in send.fields.iter().zip(&send.quick) {
            let first = out.len() == 1;
            if !quick.write(self.values, first, out) {
                self.member(field, "", first, out)?;
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes a field or an entry, if it has a value.
    fn member(self, field: &'v Field, above: &str, first: bool, out: &mut Vec<u8>) -> Result<(), Trouble> {
        let Some(value) = self.field(Named { field, above }, field)? else { return Ok(()) };
        if !first {
            out.push(b',');
        }
        if !field.key.is_empty() {
            write_json_str(out, &field.key);
            out.push(b':');
        }
        value.write(out);
        Ok(())
    }

    /// Writes an object, or a list when the fields have no keys. Tells whether anything is in it.
    fn members(self, fields: &'v [Field], above: &str, out: &mut Vec<u8>) -> Result<bool, Trouble> {
        let is_list = fields.first().is_some_and(|field| field.key.is_empty());
        out.push(if is_list { b'[' } else { b'{' });
        let before = out.len();
        for field in fields {
            let first = out.len() == before;
            self.member(field, above, first, out)?;
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
            Source::Event(slot) => Ok(self.kept(self.values.get(slot), slot, shape)),
            Source::Item(slot) => Ok(self.kept(self.item.and_then(|item| item.get(slot)), slot, shape)),
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
            Source::Expression(expression) => Ok(expression.value(self).ok().and_then(|got| {
                let kept = (!got.is_null() || shape.keep_null) && (!got.is_empty() || shape.keep_empty);
                kept.then_some((got, None))
            })),
            Source::Narrowed(source, narrow) => Ok(match self.source(source, shape, named)? {
                Some((got, place)) => got.narrowed(narrow).map(|got| (got, place)),
                None => None,
            }),
            Source::Each(each) => self.each(each, named),
            Source::Merge(fields) => self.merge(fields, named),
            Source::Object(fields) | Source::List(fields) => {
                let mut out = Vec::new();
                if !self.members(fields, &named.full(), &mut out)? {
                    return Ok(None);
                }
                Ok(Some((Got::Json(Cow::Owned(utf8(out, named)?)), None)))
            }
        }
    }

    /// A value of the event or an element, unless it counts as nothing.
    fn kept(self, raw: Option<&'v str>, slot: &'v Slot, shape: &Shape) -> Found<'v> {
        let kept = |raw: &&str| (*raw != "null" || shape.keep_null) && (*raw != "\"\"" || shape.keep_empty);
        raw.filter(kept).map(|raw| (Got::json(raw), Some(slot)))
    }

    fn each(self, each: &'v Each, named: Named<'_>) -> Result<Found<'v>, Trouble> {
        let Some((got, place)) = self.source(&each.list, &Shape::default(), named)? else { return Ok(None) };
        let raw = got.raw();
        let elements = match object::elements(&raw) {
            Some(elements) => elements,
            None if raw.starts_with('{') => vec![&*raw],
            None => return Err(named.invalid(place, &got.wrong("which is no list"))),
        };
        let mut out = Vec::from(*b"[");
        for element in elements {
            let Some(values) = each.trie.element(element) else { continue };
            let scope = Scope { item: Some(&values), ..self };
            let above = named.full();
            if let Some(value) = scope.field(Named { field: &each.item, above: &above }, &each.item)? {
                if out.len() > 1 {
                    out.push(b',');
                }
                value.write(&mut out);
            }
        }
        out.push(b']');
        if out.len() == 2 { Ok(None) } else { Ok(Some((Got::Json(Cow::Owned(utf8(out, named)?)), None))) }
    }

    fn merge(self, fields: &'v [Field], named: Named<'_>) -> Result<Found<'v>, Trouble> {
        let above = named.full();
        let mut all = Vec::new();
        for field in fields {
            all.extend(self.field(Named { field, above: &above }, field)?.filter(|got| !got.is_null()));
        }
        let texts: Vec<_> = all.iter().map(Got::raw).collect();
        let mut merged: Option<Members<'_>> = None;
        for (text, got) in texts.iter().zip(&all) {
            let Some(members) = Members::of(text) else {
                return Err(named.invalid(None, &got.wrong("which is no object to be merged")));
            };
            match &mut merged {
                Some(below) => below.lay(members),
                None => merged = Some(members),
            }
        }
        Ok(merged.map(|members| {
            let mut out = String::new();
            members.write(&mut out);
            (Got::Json(Cow::Owned(out)), None)
        }))
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
            Piece::Event(slot) | Piece::Item(slot) => match self.at(piece, slot) {
                None | Some("null") => None,
                Some(raw) if raw.starts_with('"') => Some(unquote(raw).ok_or(slot)?),
                Some(raw) if raw.starts_with(['{', '[']) => return Err(slot),
                Some(raw) => Some(Cow::Borrowed(raw)),
            },
        })
    }

    fn at(self, piece: &Piece, slot: &Slot) -> Option<&'v str> {
        match piece {
            Piece::Item(_) => self.item?.get(slot),
            _ => self.values.get(slot),
        }
    }
}

fn utf8(out: Vec<u8>, named: Named<'_>) -> Result<String, Trouble> {
    String::from_utf8(out)
        .map_err(|_| Trouble::new(Reason::Mapping, format!("the {} would not be UTF-8", named.full())))
}

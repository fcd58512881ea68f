//! The sends of one entry as a columnar block (L-1).
//!
//! What the sends of a batch have in common is written once, what grows is written as differences, ids that are UUIDs
//! take 16 bytes and ids that repeat another one take none; so a usual send takes some 40 to 70 bytes and no row of its
//! own. Layout, all numbers LEB128:
//!
//! ```text
//! version = 1, count of sends, length of numbers, length of uuids, numbers, uuids, texts (packed, up to the end)
//! ```
//!
//! *Numbers* holds the columns one after the other: partition, offset (differences), received_at (differences), ordinal,
//! marks, state (0: none yet), reason, count of look-ups; then event, rule, rung, detail and the name of each look-up,
//! which are numbers into a dictionary, plus 1 (0: none); then the id columns message_id, anonymous_id, user_id,
//! visitor_code, nonce, and the look-ups' values. A column is a 0 and one value when all are equal, else a 1 and each
//! value. The dictionaries stand in *texts*, one per column, each before the texts of what comes after it. An id column
//! is a column of kinds, then the length of each text in it; kinds are 0 none, 1 UUID in canonical lower case (16 bytes
//! in *uuids*), 2 text (in *texts*), 3 the message id, 4 the anonymous id, 5 the user id of the same send.

use std::collections::HashMap;
use std::sync::Arc;

use anole_event::{Marks, Outcome, Position, Reason, SendRecord, State, Timestamp};

use crate::codec::{Cut, Packer, Read, put, put_text, unpack, unzigzag, zigzag};
use crate::text::{canonical_uuid, same};

const VERSION: u8 = 1;
/// No batch is anywhere near so large; it bounds what damage can make us reserve.
const MOST_SENDS: usize = 1 << 20;

const SAME: u8 = 0;
const EACH: u8 = 1;

const NONE: u8 = 0;
const UUID: u8 = 1;
const TEXT: u8 = 2;
const MESSAGE: u8 = 3;
const ANONYMOUS: u8 = 4;
const USER: u8 = 5;

/// Writes blocks. One is kept for many blocks, as its buffers are.
pub(crate) struct Encoder {
    packer: Packer,
    numbers: Vec<u8>,
    uuids: Vec<u8>,
    texts: Vec<u8>,
    kinds: Vec<u8>,
    lengths: Vec<u8>,
}

/// Distinct names in the order in which they came.
#[derive(Default)]
struct Dictionary<'a> {
    names: Vec<&'a str>,
    /// The one that came last: it often comes again.
    last: usize,
    /// Only when there are many: comparing with a few is faster than hashing.
    numbers: HashMap<&'a str, usize>,
}

const FEW: usize = 24;

// === impl Dictionary ===

impl<'a> Dictionary<'a> {
    fn number(&mut self, name: &'a str) -> u64 {
        if !self.names.get(self.last).is_some_and(|last| same(last, name)) {
            self.last = self.find(name);
        }
        self.last as u64
    }

    fn find(&mut self, name: &'a str) -> usize {
        if let Some(found) = self.names.iter().take(FEW).position(|known| same(known, name)) {
            return found;
        }
        if self.names.len() >= FEW
            && let Some(found) = self.numbers.get(name)
        {
            return *found;
        }
        let number = self.names.len();
        self.names.push(name);
        if self.names.len() > FEW {
            self.numbers.insert(name, number);
        }
        number
    }

    fn write(&self, texts: &mut Vec<u8>) {
        put(texts, self.names.len() as u64);
        for name in &self.names {
            put_text(texts, name);
        }
    }
}

// === impl Encoder ===

impl Encoder {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            packer: Packer::for_texts()?,
            numbers: Vec::new(),
            uuids: Vec::new(),
            texts: Vec::new(),
            kinds: Vec::new(),
            lengths: Vec::new(),
        })
    }

    /// Appends the block of these sends.
    pub(crate) fn encode(&mut self, sends: &[SendRecord], out: &mut Vec<u8>) {
        for buffer in [&mut self.numbers, &mut self.uuids, &mut self.texts] {
            buffer.clear();
        }
        self.plain_columns(sends);
        self.names(sends);
        self.ids(sends.iter().map(|send| (send, Some(&*send.message_id))), NONE);
        self.ids(sends.iter().map(|send| (send, send.anonymous_id.as_deref())), MESSAGE);
        self.ids(sends.iter().map(|send| (send, send.user_id.as_deref())), ANONYMOUS);
        self.ids(sends.iter().map(|send| (send, send.visitor_code.as_deref())), USER);
        self.ids(sends.iter().map(|send| (send, send.nonce.as_deref())), USER);
        self.ids(sends.iter().flat_map(|send| send.lookups.iter().map(move |(_, value)| (send, Some(&**value)))), USER);
        out.push(VERSION);
        put(out, sends.len() as u64);
        put(out, self.numbers.len() as u64);
        put(out, self.uuids.len() as u64);
        out.extend_from_slice(&self.numbers);
        out.extend_from_slice(&self.uuids);
        self.packer.pack(out, &self.texts);
    }

    fn plain_columns(&mut self, sends: &[SendRecord]) {
        let numbers = &mut self.numbers;
        column(numbers, sends.iter().map(|send| u64::from(send.position.partition)));
        differences(numbers, sends.iter().map(|send| send.position.offset));
        differences(numbers, sends.iter().map(|send| send.received_at.micros().cast_unsigned()));
        column(numbers, sends.iter().map(|send| u64::from(send.ordinal)));
        column(numbers, sends.iter().map(|send| u64::from(send.marks.bits())));
        let outcome = |send: &SendRecord, of: fn(&Outcome) -> u8| u64::from(send.outcome.as_ref().map_or(0, of));
        column(numbers, sends.iter().map(|send| outcome(send, |outcome| outcome.state.number())));
        column(numbers, sends.iter().map(|send| outcome(send, |outcome| outcome.reason.number())));
        column(numbers, sends.iter().map(|send| send.lookups.len() as u64));
    }

    fn names(&mut self, sends: &[SendRecord]) {
        let (numbers, texts) = (&mut self.numbers, &mut self.texts);
        dictionary(numbers, texts, sends.iter().map(|send| Some(&*send.event)));
        dictionary(numbers, texts, sends.iter().map(|send| Some(&*send.rule)));
        dictionary(numbers, texts, sends.iter().map(|send| send.rung.as_deref()));
        let details = sends.iter().map(|send| send.outcome.as_ref().and_then(|outcome| outcome.detail.as_deref()));
        dictionary(numbers, texts, details);
        dictionary(numbers, texts, sends.iter().flat_map(|send| &send.lookups).map(|(name, _)| Some(&**name)));
    }

    /// Writes an id column; ids that equal an earlier column, up to `known`, are written as that.
    fn ids<'a>(&mut self, ids: impl Iterator<Item = (&'a SendRecord, Option<&'a str>)>, known: u8) {
        self.kinds.clear();
        self.lengths.clear();
        for (send, id) in ids {
            let Some(id) = id else {
                self.kinds.push(NONE);
                continue;
            };
            let kind = if known >= MESSAGE && same(id, &send.message_id) {
                MESSAGE
            } else if known >= ANONYMOUS && send.anonymous_id.as_deref().is_some_and(|known| same(id, known)) {
                ANONYMOUS
            } else if known >= USER && send.user_id.as_deref().is_some_and(|known| same(id, known)) {
                USER
            } else if let Some(uuid) = canonical_uuid(id) {
                self.uuids.extend_from_slice(&uuid);
                UUID
            } else {
                put(&mut self.lengths, id.len() as u64);
                self.texts.extend_from_slice(id.as_bytes());
                TEXT
            };
            self.kinds.push(kind);
        }
        column(&mut self.numbers, self.kinds.iter().map(|kind| u64::from(*kind)));
        self.numbers.extend_from_slice(&self.lengths);
    }
}

/// Most columns of most blocks hold one value, so that is looked for first.
fn column(numbers: &mut Vec<u8>, mut values: impl Iterator<Item = u64> + Clone) {
    let all = values.clone();
    let first = values.next().unwrap_or(0);
    if values.all(|value| value == first) {
        numbers.push(SAME);
        put(numbers, first);
    } else {
        numbers.push(EACH);
        all.for_each(|value| put(numbers, value));
    }
}

fn differences(numbers: &mut Vec<u8>, values: impl Iterator<Item = u64> + Clone) {
    let before = std::iter::once(0).chain(values.clone());
    column(numbers, before.zip(values).map(|(before, value)| zigzag(before, value)));
}

/// A column of numbers into a dictionary; 0 stands for none.
fn dictionary<'a>(
    numbers: &mut Vec<u8>,
    texts: &mut Vec<u8>,
    mut names: impl Iterator<Item = Option<&'a str>> + Clone,
) {
    let mut dictionary = Dictionary::default();
    let mut number = |name: Option<&'a str>| name.map_or(0, |name| dictionary.number(name) + 1);
    let all = names.clone();
    let first = names.next().flatten();
    let like_first = |name: Option<&str>| match (first, name) {
        (Some(first), Some(name)) => same(first, name),
        (first, name) => first.is_none() && name.is_none(),
    };
    if names.all(like_first) {
        numbers.push(SAME);
        put(numbers, number(first));
    } else {
        numbers.push(EACH);
        all.for_each(|name| put(numbers, number(name)));
    }
    dictionary.write(texts);
}

/// Reads a block back.
///
/// # Errors
/// When the bytes are no block of this version.
pub(crate) fn decode(block: &[u8]) -> Read<Vec<SendRecord>> {
    let opened = Opened::of(block)?;
    let mut columns = opened.columns();
    let sends = columns.sends(opened.count)?;
    if columns.numbers.is_empty() && columns.uuids.is_empty() && columns.texts.is_empty() {
        Ok(sends)
    } else {
        Err("the block has more bytes than its sends")
    }
}

/// Hands over event name and end of each send, without reading the rest of the block.
///
/// # Errors
/// When the bytes are no block of this version.
pub(crate) fn ends(block: &[u8], mut each: impl FnMut(&str, Option<(State, Reason)>)) -> Read<()> {
    let opened = Opened::of(block)?;
    let (mut columns, count) = (opened.columns(), opened.count);
    // Partition, offset, time of arrival, ordinal, marks.
    for _ in 0..5 {
        columns.column(count)?;
    }
    let (states, reasons) = (columns.column(count)?, columns.column(count)?);
    columns.column(count)?;
    for ((state, reason), name) in states.into_iter().zip(reasons).zip(columns.dictionary(count)?) {
        let ended = outcome(state, reason, None)?.map(|outcome| (outcome.state, outcome.reason));
        each(name.as_deref().ok_or("an event name is missing")?, ended);
    }
    Ok(())
}

/// A block, its parts told apart.
struct Opened<'a> {
    count: usize,
    numbers: &'a [u8],
    uuids: &'a [u8],
    texts: Vec<u8>,
}

struct Columns<'a> {
    numbers: Cut<'a>,
    uuids: Cut<'a>,
    texts: Cut<'a>,
}

/// The id columns that others may refer to.
#[derive(Default)]
struct Known {
    message: Vec<Option<Box<str>>>,
    anonymous: Vec<Option<Box<str>>>,
    user: Vec<Option<Box<str>>>,
}

// === impl Opened ===

impl<'a> Opened<'a> {
    fn of(block: &'a [u8]) -> Read<Self> {
        let mut head = Cut::new(block);
        if head.byte()? != VERSION {
            return Err("the block has an unknown version");
        }
        let count = head.length()?;
        if count > MOST_SENDS {
            return Err("the block has more sends than any that is written");
        }
        let (numbers, uuids) = (head.length()?, head.length()?);
        Ok(Self { count, numbers: head.bytes(numbers)?, uuids: head.bytes(uuids)?, texts: unpack(head.rest())? })
    }

    fn columns(&self) -> Columns<'_> {
        Columns { numbers: Cut::new(self.numbers), uuids: Cut::new(self.uuids), texts: Cut::new(&self.texts) }
    }
}

// === impl Columns ===

impl Columns<'_> {
    fn sends(&mut self, count: usize) -> Read<Vec<SendRecord>> {
        let partitions = self.column(count)?;
        let offsets = self.differences(count)?;
        let received = self.differences(count)?;
        let ordinals = self.column(count)?;
        let marks = self.column(count)?;
        let states = self.column(count)?;
        let reasons = self.column(count)?;
        let lookups = self.column(count)?;
        let events = self.dictionary(count)?;
        let rules = self.dictionary(count)?;
        let rungs = self.dictionary(count)?;
        let details = self.dictionary(count)?;
        let mut values = 0_usize;
        for count in &lookups {
            values = values.saturating_add(usize::try_from(*count).unwrap_or(usize::MAX));
        }
        if values > MOST_SENDS {
            return Err("the block has more look-up values than any that is written");
        }
        let names = self.dictionary(values)?;
        let each: Vec<usize> = (0..count).collect();
        let mut known = Known::default();
        known.message = self.ids(&each, &known)?;
        known.anonymous = self.ids(&each, &known)?;
        known.user = self.ids(&each, &known)?;
        let visitors = self.ids(&each, &known)?;
        let nonces = self.ids(&each, &known)?;
        let owners = each.iter().flat_map(|send| std::iter::repeat_n(*send, lookups[*send] as usize));
        let values = self.ids(&owners.collect::<Vec<_>>(), &known)?;
        let mut lookup = names.into_iter().zip(values).map(|(name, value)| Some((name?, value?)));
        let mut ids =
            known.message.into_iter().zip(known.anonymous).zip(known.user).zip(visitors.into_iter().zip(nonces));
        let mut sends = Vec::with_capacity(count);
        for send in 0..count {
            let (((message, anonymous_id), user_id), (visitor_code, nonce)) = ids.next().ok_or("an id is missing")?;
            let narrow = "a number is too large for its column";
            sends.push(SendRecord {
                message_id: message.ok_or("a message id is missing")?,
                event: events[send].as_deref().ok_or("an event name is missing")?.into(),
                anonymous_id,
                user_id,
                lookups: (0..lookups[send])
                    .map(|_| lookup.next().flatten().ok_or("a look-up value is missing"))
                    .collect::<Read<_>>()?,
                position: Position {
                    partition: u32::try_from(partitions[send]).map_err(|_| narrow)?,
                    offset: offsets[send],
                },
                received_at: Timestamp::from_micros(received[send].cast_signed()),
                ordinal: u16::try_from(ordinals[send]).map_err(|_| narrow)?,
                rule: rules[send].clone().ok_or("a rule is missing")?,
                visitor_code,
                rung: rungs[send].clone(),
                nonce,
                marks: Marks::from_bits(u8::try_from(marks[send]).map_err(|_| narrow)?),
                outcome: outcome(states[send], reasons[send], details[send].as_deref())?,
            });
        }
        Ok(sends)
    }

    fn column(&mut self, count: usize) -> Read<Vec<u64>> {
        match self.numbers.byte()? {
            SAME => Ok(vec![self.numbers.number()?; count]),
            EACH => (0..count).map(|_| self.numbers.number()).collect(),
            _ => Err("a column has an unknown form"),
        }
    }

    fn differences(&mut self, count: usize) -> Read<Vec<u64>> {
        let mut values = self.column(count)?;
        let mut before = 0;
        for value in &mut values {
            before = unzigzag(before, *value);
            *value = before;
        }
        Ok(values)
    }

    fn dictionary(&mut self, count: usize) -> Read<Vec<Option<Arc<str>>>> {
        let column = self.column(count)?;
        let names = (0..self.texts.length()?).map(|_| self.texts.text().map(Arc::from)).collect::<Read<Vec<_>>>()?;
        let name = |number: u64| match usize::try_from(number) {
            Ok(0) => Ok(None),
            Ok(number) => names.get(number - 1).cloned().map(Some).ok_or("a name is not in its dictionary"),
            Err(_) => Err("a name is not in its dictionary"),
        };
        column.into_iter().map(name).collect()
    }

    /// The ids of these sends; a send may come several times.
    fn ids(&mut self, of: &[usize], known: &Known) -> Read<Vec<Option<Box<str>>>> {
        let kinds = self.column(of.len())?;
        let refer = |column: &[Option<Box<str>>], send: usize| {
            column.get(send).cloned().flatten().map(Some).ok_or("an id refers to one that is not there")
        };
        let one = |(kind, send): (u64, &usize)| match u8::try_from(kind) {
            Ok(NONE) => Ok(None),
            Ok(UUID) => {
                let bytes = self.uuids.bytes(16)?;
                let uuid = uuid::Uuid::from_slice(bytes).map_err(|_| "a UUID is too short")?;
                Ok(Some(uuid.as_hyphenated().to_string().into()))
            }
            Ok(TEXT) => {
                let length = self.numbers.length()?;
                Ok(Some(self.texts.text_of(length)?.into()))
            }
            Ok(MESSAGE) => refer(&known.message, *send),
            Ok(ANONYMOUS) => refer(&known.anonymous, *send),
            Ok(USER) => refer(&known.user, *send),
            _ => Err("an id has an unknown kind"),
        };
        kinds.into_iter().zip(of).map(one).collect()
    }
}

fn outcome(state: u64, reason: u64, detail: Option<&str>) -> Read<Option<Outcome>> {
    if state == 0 {
        return Ok(None);
    }
    let state = u8::try_from(state).ok().and_then(State::from_number).ok_or("an unknown state")?;
    let reason = u8::try_from(reason).ok().and_then(Reason::from_number).ok_or("an unknown reason")?;
    Ok(Some(Outcome { state, reason, detail: detail.map(str::to_owned) }))
}

#[cfg(test)]
mod tests;

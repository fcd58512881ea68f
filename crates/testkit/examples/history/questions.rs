//! The questions, and how long their answers take.

use std::time::{Duration, Instant};

use anole_delivery_log::{Cursor, DeliveryLog, EntryQuery, HistogramQuery, SendQuery, Sqlite, StatisticsQuery};
use anole_event::{Decision, LaneId, Reason, SendRecord, State, Timestamp};

use crate::{Filled, LIMIT};

/// How often each is asked.
const TIMES: usize = 15;

/// A question in words, and as one of the kinds there are.
enum Ask {
    Sends(SendQuery),
    Entries(EntryQuery),
    Histogram(SendQuery),
    Statistics(StatisticsQuery),
    Entry(anole_event::AttemptId),
    Stat,
}

/// Asks everything; gives how many questions were answered too slowly.
pub(crate) async fn ask(log: &Sqlite, filled: &Filled) -> usize {
    println!("\n{:62} {:>7} {:>9} {:>9} {:>9}", "question", "found", "first ms", "p50 ms", "max ms");
    let mut slow = 0;
    let mut questions = by_id(filled);
    questions.extend(by_what_it_is());
    questions.extend(together(filled));
    questions.extend(by_time(filled));
    questions.extend(behind(log, filled).await);
    questions.extend(entries(filled));
    questions.extend(over_time(filled));
    for (words, question) in questions {
        let (found, times) = measure(log, &question).await;
        let mut sorted = times.clone();
        sorted.sort_unstable();
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let most = sorted[sorted.len() - 1];
        let mark = if most > LIMIT { "  TOO SLOW" } else { "" };
        let (first, median) = (millis(times[0]), millis(sorted[sorted.len() / 2]));
        println!("{words:62} {found:>7} {first:>9.2} {median:>9.2} {:>9.2}{mark}", millis(most));
        slow += usize::from(most > LIMIT);
    }
    slow
}

/// What was found (with a `+` when the page ended early), and how long each answer took.
async fn measure(log: &Sqlite, question: &Ask) -> (String, Vec<Duration>) {
    let mut times = Vec::new();
    let mut found = String::new();
    for _ in 0..TIMES {
        let start = Instant::now();
        found = answer(log, question).await;
        times.push(start.elapsed());
    }
    (found, times)
}

async fn answer(log: &Sqlite, question: &Ask) -> String {
    let page = |items: usize, limit: usize, more: bool| {
        let early = if more && items < limit { "+" } else { "" };
        format!("{items}{early}")
    };
    match question {
        Ask::Sends(query) => {
            let found = log.sends(query.clone()).await.unwrap();
            page(found.items.len(), query.limit, found.next.is_some())
        }
        Ask::Entries(query) => {
            let found = log.entries(query.clone()).await.unwrap();
            page(found.items.len(), query.limit, found.next.is_some())
        }
        Ask::Histogram(sends) => {
            let query = HistogramQuery { sends: sends.clone(), ..HistogramQuery::default() };
            let found = log.histogram(query).await.unwrap();
            let total: u64 = found.totals().iter().map(|(_, count)| count).sum();
            if found.every > 1 { format!("~{total}") } else { total.to_string() }
        }
        Ask::Statistics(query) => log.statistics(query.clone()).await.unwrap().rows.len().to_string(),
        Ask::Entry(id) => usize::from(log.entry(*id).await.unwrap().is_some()).to_string(),
        Ask::Stat => log.stat().await.unwrap().files.to_string(),
    }
}

type Questions = Vec<(String, Ask)>;

fn sends(words: &str, query: SendQuery) -> (String, Ask) {
    (words.to_owned(), Ask::Sends(query))
}

fn all() -> SendQuery {
    SendQuery::default()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn lane(name: &str) -> Option<LaneId> {
    Some(LaneId::from_text(name))
}

fn by_id(filled: &Filled) -> Questions {
    let [first, middle, last] = &filled.entries;
    let id = |send: &SendRecord| text(&send.message_id);
    let order = first.sends.iter().find(|send| !send.lookups.is_empty());
    let order = order.map_or("ORD-1", |send| &send.lookups[0].1);
    vec![
        sends("newest", all()),
        sends("message id, newest entry", SendQuery { message_id: id(&last.sends[1]), ..all() }),
        sends("message id, in the middle", SendQuery { message_id: id(&middle.sends[1]), ..all() }),
        sends("message id, oldest entry", SendQuery { message_id: id(&first.sends[1]), ..all() }),
        sends("message id, never", SendQuery { message_id: text("no such id"), ..all() }),
        sends("story of the oldest (500 at most)", SendQuery { message_id: id(&first.sends[0]), limit: 500, ..all() }),
        sends(
            "visitor code, some",
            SendQuery { visitor_code: first.sends[0].visitor_code.as_deref().map(str::to_owned), ..all() },
        ),
        sends("visitor code, once", SendQuery { visitor_code: text("v-once"), ..all() }),
        sends("visitor code, never", SendQuery { visitor_code: text("v-never"), ..all() }),
        sends("anonymous id, once", SendQuery { anonymous_id: text("a-once"), ..all() }),
        sends("user id, some", SendQuery { user_id: text("u-77"), ..all() }),
        sends("user id, once", SendQuery { user_id: text("u-once"), ..all() }),
        sends("user id, never", SendQuery { user_id: text("u-never"), ..all() }),
        sends("order id, oldest entry", SendQuery { lookup: text(order), ..all() }),
        sends(
            "order id, once, under its name",
            SendQuery { lookup: text("ORD-once"), lookup_name: text("order_id"), ..all() },
        ),
        sends("order id, never", SendQuery { lookup: text("ORD-never"), ..all() }),
        sends("any of them, once", SendQuery { any: text("ORD-once"), ..all() }),
        sends("any of them, never", SendQuery { any: text("nowhere"), ..all() }),
    ]
}

fn by_what_it_is() -> Questions {
    vec![
        sends("event, often", SendQuery { event: text("page"), ..all() }),
        sends("event, seldom", SendQuery { event: text("Signed Up"), ..all() }),
        sends("event, once", SendQuery { event: text("Happened Once"), ..all() }),
        sends("event, never", SendQuery { event: text("Never"), ..all() }),
        sends("lane, often", SendQuery { lane: lane("shop/kameleoon-eu"), ..all() }),
        sends("lane, once", SendQuery { lane: lane("once/lane"), ..all() }),
        sends("lane, never", SendQuery { lane: lane("no/lane"), ..all() }),
        sends("state, often", SendQuery { state: Some(State::Delivered), ..all() }),
        sends("state, seldom", SendQuery { state: Some(State::Parked), ..all() }),
        sends("state, once", SendQuery { state: Some(State::Discarded), ..all() }),
        sends("state, never", SendQuery { state: Some(State::Lost), ..all() }),
        sends("reason, often", SendQuery { reason: Some(Reason::Accepted), ..all() }),
        sends("reason, seldom", SendQuery { reason: Some(Reason::MissingField), ..all() }),
        sends("reason, once", SendQuery { reason: Some(Reason::TooLarge), ..all() }),
        sends("reason, never", SendQuery { reason: Some(Reason::NoVisitor), ..all() }),
        sends("status, often", SendQuery { status: Some(204), ..all() }),
        sends("status, seldom", SendQuery { status: Some(503), ..all() }),
        sends("status, once", SendQuery { status: Some(418), ..all() }),
        sends("status, never", SendQuery { status: Some(599), ..all() }),
        sends("ended, tries left out", SendQuery { ended: true, ..all() }),
    ]
}

fn together(filled: &Filled) -> Questions {
    let order = || text("Order Completed");
    let parked = Some(State::Parked);
    let hour = |query: SendQuery| {
        let middle = filled.from.micros().midpoint(filled.until.micros());
        let time = |at: i64| Some(Timestamp::from_micros(at));
        SendQuery { from: time(middle), until: time(middle + 3_600_000_000), ..query }
    };
    vec![
        sends("event and state", SendQuery { event: order(), state: parked, ..all() }),
        sends("event, state and lane", SendQuery { event: order(), state: parked, lane: lane("app/crm"), ..all() }),
        sends(
            "event, state, lane, reason, status and an hour",
            hour(SendQuery {
                event: order(),
                state: parked,
                lane: lane("shop/kameleoon-eu"),
                reason: Some(Reason::MissingField),
                status: Some(204),
                ..all()
            }),
        ),
        sends("event and reason", SendQuery { event: text("Signed Up"), reason: Some(Reason::MissingField), ..all() }),
        sends(
            "event and reason, both often, never together",
            SendQuery { event: text("page"), reason: Some(Reason::TooLarge), ..all() },
        ),
        sends(
            "state and reason, both often, never together",
            SendQuery { state: Some(State::Delivered), reason: Some(Reason::MissingField), ..all() },
        ),
        sends("status and state, never together", SendQuery { status: Some(503), state: parked, ..all() }),
        sends("user and event", SendQuery { user_id: text("u-77"), event: order(), ..all() }),
        sends("user and event, never together", SendQuery { user_id: text("u-once"), event: order(), ..all() }),
        sends(
            "user, lane and state, never together",
            SendQuery { user_id: text("u-77"), lane: lane("once/lane"), state: parked, ..all() },
        ),
        sends("visitor and order, once", SendQuery { visitor_code: text("v-once"), lookup: text("ORD-once"), ..all() }),
        sends("event, lane seldom", SendQuery { event: text("Signed Up"), lane: lane("app/crm"), ..all() }),
    ]
}

fn by_time(filled: &Filled) -> Questions {
    let at = |part: i64| {
        let (from, until) = (filled.from.micros(), filled.until.micros());
        Some(Timestamp::from_micros(from + (until - from) / 100 * part))
    };
    let minute = |part: i64| at(part).map(|at| Timestamp::from_micros(at.micros() + 60_000_000));
    vec![
        sends("a minute in the middle", SendQuery { from: at(50), until: minute(50), ..all() }),
        sends("until a minute after the oldest", SendQuery { until: minute(0), ..all() }),
        sends("before the oldest", SendQuery { until: Some(filled.from), ..all() }),
        sends("after the newest", SendQuery { from: Some(filled.until), ..all() }),
        sends("event, until a tenth", SendQuery { event: text("page"), until: at(10), ..all() }),
        sends("state seldom, until a tenth", SendQuery { state: Some(State::Parked), until: at(10), ..all() }),
        sends(
            "lane, before the oldest",
            SendQuery { lane: lane("shop/kameleoon-eu"), until: Some(filled.from), ..all() },
        ),
    ]
}

/// Pages that begin at some places of the log, as a person gets to by paging.
async fn behind(log: &Sqlite, filled: &Filled) -> Questions {
    let mut questions = Vec::new();
    for part in [10, 50, 90, 99] {
        let (from, until) = (filled.from.micros(), filled.until.micros());
        let until = Timestamp::from_micros(until - (until - from) / 100 * part);
        let page = log.sends(SendQuery { until: Some(until), limit: 7, ..all() }).await.unwrap();
        let after: Option<Cursor> = page.next;
        questions.push(sends(&format!("page {part} % behind"), SendQuery { after, ..all() }));
        questions
            .push(sends(&format!("page {part} % behind, event"), SendQuery { after, event: text("page"), ..all() }));
        let parked = SendQuery { after, state: Some(State::Parked), ..all() };
        questions.push(sends(&format!("page {part} % behind, state seldom"), parked));
        let both = SendQuery { after, event: text("Signed Up"), lane: lane("app/crm"), ..all() };
        questions.push(sends(&format!("page {part} % behind, event and lane seldom"), both));
        let attempts = EntryQuery { after, status: Some(503), ..EntryQuery::default() };
        questions.push((format!("attempts {part} % behind, status seldom"), Ask::Entries(attempts)));
    }
    questions
}

fn entries(filled: &Filled) -> Questions {
    let ask = EntryQuery::default;
    let list = |words: &str, query: EntryQuery| (format!("attempts: {words}"), Ask::Entries(query));
    let [first, middle, _] = &filled.entries;
    vec![
        list("newest", EntryQuery { requested: Some(true), ..ask() }),
        list("status, once", EntryQuery { status: Some(418), ..ask() }),
        list("status, never", EntryQuery { status: Some(599), ..ask() }),
        list("decision, seldom", EntryQuery { decision: Some(Decision::Split), ..ask() }),
        list("decision, never", EntryQuery { decision: Some(Decision::Pause), ..ask() }),
        list("lane and state", EntryQuery { lane: lane("app/crm"), state: Some(State::Parked), ..ask() }),
        list(
            "event and reason",
            EntryQuery { event: text("Order Completed"), reason: Some(Reason::MissingField), ..ask() },
        ),
        list("event, once", EntryQuery { event: text("Happened Once"), ..ask() }),
        list("any id, once", EntryQuery { any: text("ORD-once"), ..ask() }),
        list("any id, never", EntryQuery { any: text("nowhere"), ..ask() }),
        ("an attempt with its bodies, oldest".to_owned(), Ask::Entry(first.id)),
        ("an attempt with its bodies, in the middle".to_owned(), Ask::Entry(middle.id)),
        ("an attempt that never was".to_owned(), Ask::Entry(anole_event::AttemptId(uuid::Uuid::nil()))),
    ]
}

fn over_time(filled: &Filled) -> Questions {
    let counts = |words: &str, query: SendQuery| (format!("histogram: {words}"), Ask::Histogram(query));
    let statistics = |words: &str, from: Timestamp, step: u64, lane: Option<LaneId>| {
        let query = StatisticsQuery { lane, from, until: filled.until, step: Duration::from_secs(step) };
        (format!("statistics: {words}"), Ask::Statistics(query))
    };
    let hour = Timestamp::from_micros(filled.until.micros() - 3_600_000_000);
    vec![
        counts("everything", all()),
        counts("event", SendQuery { event: text("page"), ..all() }),
        counts("event and lane", SendQuery { event: text("Signed Up"), lane: lane("app/crm"), ..all() }),
        counts("state seldom", SendQuery { state: Some(State::Parked), ..all() }),
        counts("reason seldom", SendQuery { reason: Some(Reason::MissingField), ..all() }),
        counts("user", SendQuery { user_id: text("u-77"), ..all() }),
        counts("order id, once", SendQuery { lookup: text("ORD-once"), ..all() }),
        counts("visitor, never", SendQuery { visitor_code: text("v-never"), ..all() }),
        counts("the last hour", SendQuery { from: Some(hour), ..all() }),
        statistics("the last hour by minute", hour, 60, None),
        statistics("all days by hour", filled.from, 3600, None),
        statistics("all days, as fine as it goes, one lane", filled.from, 60, lane("shop/kameleoon-eu")),
        ("how large it is".to_owned(), Ask::Stat),
    ]
}

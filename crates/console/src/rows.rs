//! Pages of rows for people: the log bounds the work of each call, and a page with three rows of fifty looks like the end.

use anole_delivery_log::{Cursor, DeliveryLog, EntryQuery, FoundEntry, FoundSend, LogError, Page, SendQuery};

/// Calls for one page; a search for something rare is then gone on with by the person.
const CALLS: usize = 20;

/// Sends, gone on with until the page is full.
pub(crate) async fn sends(log: &dyn DeliveryLog, query: SendQuery) -> Result<Page<FoundSend>, LogError> {
    full(query.limit, query.after, |limit, after| log.sends(SendQuery { limit, after, ..query.clone() })).await
}

/// Entries, gone on with until the page is full.
pub(crate) async fn entries(log: &dyn DeliveryLog, query: EntryQuery) -> Result<Page<FoundEntry>, LogError> {
    full(query.limit, query.after, |limit, after| log.entries(EntryQuery { limit, after, ..query.clone() })).await
}

async fn full<T, F>(
    wanted: usize,
    mut after: Option<Cursor>,
    call: impl Fn(usize, Option<Cursor>) -> F,
) -> Result<Page<T>, LogError>
where
    F: Future<Output = Result<Page<T>, LogError>>,
{
    let mut all = Page { items: Vec::new(), next: None };
    for _ in 0..CALLS {
        let found = call(wanted.saturating_sub(all.items.len()), after).await?;
        all.items.extend(found.items);
        (all.next, after) = (found.next, found.next);
        if all.items.len() >= wanted || after.is_none() {
            break;
        }
    }
    Ok(all)
}

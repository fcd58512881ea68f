//! Pages of rows for people: the log bounds the work of each call, and a page with three rows of fifty looks like the end.

use anole_delivery_log::{DeliveryLog, EntryQuery, FoundEntry, FoundSend, LogError, Page, SendQuery};

/// Calls for one page; a search for something rare is then gone on with by the person.
const CALLS: usize = 20;

/// Sends, gone on with until the page is full.
pub(crate) async fn sends(log: &dyn DeliveryLog, mut query: SendQuery) -> Result<Page<FoundSend>, LogError> {
    let wanted = query.limit;
    let mut all = Page { items: Vec::new(), next: None };
    for _ in 0..CALLS {
        let found = log.sends(query.clone()).await?;
        all.items.extend(found.items);
        all.next = found.next;
        query.limit = wanted.saturating_sub(all.items.len());
        query.after = found.next;
        if query.limit == 0 || query.after.is_none() {
            break;
        }
    }
    Ok(all)
}

/// Entries, gone on with until the page is full.
pub(crate) async fn entries(log: &dyn DeliveryLog, mut query: EntryQuery) -> Result<Page<FoundEntry>, LogError> {
    let wanted = query.limit;
    let mut all = Page { items: Vec::new(), next: None };
    for _ in 0..CALLS {
        let found = log.entries(query.clone()).await?;
        all.items.extend(found.items);
        all.next = found.next;
        query.limit = wanted.saturating_sub(all.items.len());
        query.after = found.next;
        if query.limit == 0 || query.after.is_none() {
            break;
        }
    }
    Ok(all)
}

//! What GA4's events are called in Segment's spec.

use anole_event::EventType;

/// What a GA4 event is in Segment's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The type.
    pub(crate) event_type: EventType,
    /// The name; only `track` has one.
    pub(crate) event: Option<&'static str>,
    /// What its parameters say.
    pub(crate) about: About,
}

/// What the parameters of a GA4 event are about: some mean different things in different events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A page or a screen.
    Page,
    /// An order or its refund: `value` is what it earned.
    Order,
    /// One product, though GA4 lists it.
    Product,
    /// A promotion.
    Promotion,
    /// Anything else.
    Other,
}

/// The table. `None` for a name that is not Google's, or for which Segment has no word.
pub(crate) fn named(name: &str) -> Option<Named> {
    use About::{Order, Other, Page, Product, Promotion};
    let (event, about) = match name {
        "page_view" => return Some(Named { event_type: EventType::Page, event: None, about: Page }),
        "screen_view" => return Some(Named { event_type: EventType::Screen, event: None, about: Page }),
        "view_item" => ("Product Viewed", Product),
        "view_item_list" => ("Product List Viewed", Other),
        "select_item" => ("Product Clicked", Product),
        "add_to_cart" => ("Product Added", Product),
        "remove_from_cart" => ("Product Removed", Product),
        "view_cart" => ("Cart Viewed", Other),
        "add_to_wishlist" => ("Product Added to Wishlist", Product),
        "begin_checkout" => ("Checkout Started", Other),
        "add_shipping_info" => ("Checkout Step Completed", Other),
        "add_payment_info" => ("Payment Info Entered", Other),
        "purchase" => ("Order Completed", Order),
        "refund" => ("Order Refunded", Order),
        "sign_up" => ("Signed Up", Other),
        "login" => ("Signed In", Other),
        "share" => ("Product Shared", Other),
        "search" | "view_search_results" => ("Products Searched", Other),
        "view_promotion" => ("Promotion Viewed", Promotion),
        "select_promotion" => ("Promotion Clicked", Promotion),
        _ => return None,
    };
    Some(Named { event_type: EventType::Track, event: Some(event), about })
}

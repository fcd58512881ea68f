//! GA4's names and parameters, told in Segment's words.
//!
//! Rules are written for one vocabulary, so that `purchase` from gtag and `Order Completed` from a Segment SDK meet the
//! same rule. Segment's was chosen as it is the older and the larger one. What has no counterpart keeps its name: a
//! custom event is nobody's word. Values are never touched, so a number keeps its digits.
//!
//! Three choices that tables of other tools differ on:
//!
//! - `value` becomes `revenue` for orders and refunds only. Google asks for the sum without tax and shipping there, which
//!   is Segment's `revenue`. Elsewhere Segment says `value` too, and a product that was merely seen earns nothing.
//! - Where GA4 lists items and Segment speaks of one product (`view_item`, `add_to_cart` ...), a single item is also laid
//!   flat into the properties. The list is kept.
//! - Where both vocabularies were sent (`order_id` beside `transaction_id`), Segment's stands, and GA4's is kept beside it.

mod consent;
mod message;
mod names;
mod params;

pub(crate) use consent::{flags, said, was_denied};
pub(crate) use message::{as_uuid, of_order};
pub(crate) use names::{Named, named};
pub(crate) use params::{Translation, page, translate};

//! The items of an event: `pr1=idS1~nmShirt~pr12.5~qt2~k0size~v0L`.
//!
//! Fields are parted by one `~`, a literal one is written twice. A field's first two characters are its code. A parameter
//! of the site's own comes as a pair, `k` with its name and `v` with its value, that share one character between them.
//!
//! Not every client doubles the `~`: what begins with no code that is known belongs to the field before it. The code of
//! such a piece may be one by chance; then the item has a field more, which no reading can tell apart.

use std::borrow::Cow;

use crate::protocol::values::{Values, is_number};

/// The most items of an event, as Google has it.
const MOST: u32 = 200;

/// What the codes of an item are called.
fn field(code: &str) -> Option<&'static str> {
    Some(match code {
        "id" => "item_id",
        "nm" => "item_name",
        "br" => "item_brand",
        "ca" => "item_category",
        "c2" => "item_category2",
        "c3" => "item_category3",
        "c4" => "item_category4",
        "c5" => "item_category5",
        "va" => "item_variant",
        "pr" => "price",
        "qt" => "quantity",
        "cp" => "coupon",
        "ds" => "discount",
        "af" => "affiliation",
        "lo" => "location_id",
        "li" => "item_list_id",
        "ln" => "item_list_name",
        "lp" => "index",
        "pi" => "promotion_id",
        "pn" => "promotion_name",
        "cn" => "creative_name",
        "cs" => "creative_slot",
        _ => return None,
    })
}

/// Which item a parameter is, if it is one: `pr1` is 1.
pub(super) fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("pr")?;
    let plain = !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| plain && *number <= MOST)
}

/// An item as a JSON object.
pub(super) fn item(text: &str) -> String {
    let mut values = Values::default();
    let mut own: Vec<(char, Cow<'_, str>)> = Vec::new();
    for piece in pieces(text) {
        let Some((code, value)) = piece.split_at_checked(2) else { continue };
        if let Some(name) = field(code) {
            if matches!(name, "price" | "quantity" | "discount" | "index") && is_number(value) {
                values.put(name, value.to_owned());
            } else {
                values.text(name, value);
            }
            continue;
        }
        let mut letters = code.chars();
        match (letters.next(), letters.next()) {
            (Some('k'), Some(at)) => own.push((at, Cow::Owned(value.to_owned()))),
            (Some('v'), Some(at)) => {
                if let Some(place) = own.iter().position(|(known, _)| *known == at) {
                    let (_, name) = own.remove(place);
                    values.text(&name, value);
                }
            }
            _ => {}
        }
    }
    values.json()
}

/// The fields of an item, `~~` read as `~`, and what begins with no code put back to the one before it.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut piece = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '~' {
            piece.push(character);
        } else if characters.next_if_eq(&'~').is_some() {
            piece.push('~');
        } else {
            end(&mut pieces, std::mem::take(&mut piece));
        }
    }
    end(&mut pieces, piece);
    pieces
}

fn end(pieces: &mut Vec<String>, piece: String) {
    let code = piece.get(..2).unwrap_or_default();
    let is_own = code.len() == 2 && matches!(code.as_bytes(), [b'k' | b'v', b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z']);
    if field(code).is_some() || is_own || pieces.is_empty() {
        pieces.push(piece);
    } else if !piece.is_empty()
        && let Some(before) = pieces.last_mut()
    {
        before.push('~');
        before.push_str(&piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_and_numbers_keep_their_digits() {
        assert_eq!(
            item("idS1~nmShirt~brAcme~caTops~c2Tees~vaRed~pr12.50~qt2~ds1~cpSALE~lp0~k0size~v0L~kAcolor~vAblue"),
            r#"{"item_id":"S1","item_name":"Shirt","item_brand":"Acme","item_category":"Tops","item_category2":"Tees","item_variant":"Red","price":12.50,"quantity":2,"discount":1,"coupon":"SALE","index":0,"size":"L","color":"blue"}"#
        );
        assert_eq!(item("pr12,50~qtNaN~id007"), r#"{"price":"12,50","quantity":"NaN","item_id":"007"}"#);
    }

    #[test]
    fn a_tilde_is_read_however_it_was_written() {
        assert_eq!(item("idSKU~~1~nmRed"), r#"{"item_id":"SKU~1","item_name":"Red"}"#);
        assert_eq!(item("ida~b~nmN~"), r#"{"item_id":"a~b","item_name":"N"}"#);
        assert_eq!(item("idS~~~nmN"), r#"{"item_id":"S~","item_name":"N"}"#);
    }

    #[test]
    fn what_makes_no_sense_costs_itself_only() {
        assert_eq!(item("v0lost~idS1"), r#"{"item_id":"S1"}"#);
        assert_eq!(item(""), "{}");
        assert_eq!(item("é"), "{}");
        assert_eq!(item("\u{fffd}~x~id1"), r#"{"item_id":"1"}"#);
        assert_eq!(item("nm\"quoted\"\\"), r#"{"item_name":"\"quoted\"\\"}"#);
    }

    #[test]
    fn only_numbered_parameters_are_items() {
        assert_eq!((number("pr1"), number("pr200"), number("pr0")), (Some(1), Some(200), Some(0)));
        for name in ["pr", "pr201", "pr1x", "price", "pr-1", "pr0001", "pr+1"] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}

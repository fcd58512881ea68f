//! What GA4's parameters are called in Segment's spec.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::names::{About, Named};
use crate::json::{Elements, Member, Object, Part, Parts, is_object};

/// How many items are translated: ten times what Google takes. A longer list is left as it is.
const MAX_ITEMS: usize = 2000;

/// The parameters of a GA4 event as properties, and what they say of the page.
#[derive(Debug, Default)]
pub(crate) struct Translation<'a> {
    /// The properties.
    pub(crate) properties: Parts<'a>,
    /// What belongs into `context.page`.
    pub(crate) page: Vec<(&'static str, &'a RawValue)>,
}

/// The parameters of an event; `named` is what its name was translated to, `None` for a name that stays.
pub(crate) fn translate<'a>(named: Option<Named>, params: &Object<'a>) -> Translation<'a> {
    let about = named.map_or(About::Other, |named| named.about);
    let mut translation = Translation::default();
    let there = |key: &str| params.members().iter().any(|member| member.key == key);
    for Member { key, value } in params.members() {
        if let Some(name) = of_page(key) {
            translation.page.push((name, value));
            if about == About::Page && !there(name) {
                translation.properties.push(name, Part::Raw(value));
            }
            continue;
        }
        match of_event(key, about).filter(|name| !there(name)) {
            Some("products") => translation.properties.push("products", products(value)),
            Some(name) => translation.properties.push(name, Part::Raw(value)),
            None => translation.properties.push(key.clone(), Part::Raw(value)),
        }
    }
    if about == About::Product {
        lay_flat(&mut translation.properties);
    }
    translation
}

/// What the parameters of an event say of the page, for pipelines that do not translate.
pub(crate) fn page<'a>(params: &Object<'a>) -> Vec<(&'static str, &'a RawValue)> {
    params.members().iter().filter_map(|member| of_page(&member.key).map(|name| (name, member.value))).collect()
}

fn of_page(key: &str) -> Option<&'static str> {
    Some(match key {
        "page_location" => "url",
        "page_referrer" => "referrer",
        "page_title" => "title",
        "page_path" => "path",
        _ => return None,
    })
}

fn of_event(key: &str, about: About) -> Option<&'static str> {
    Some(match (key, about) {
        ("transaction_id", _) => "order_id",
        ("value", About::Order) => "revenue",
        ("items", _) => "products",
        ("item_list_id", _) => "list_id",
        ("item_list_name", _) => "category",
        ("search_term", _) => "query",
        ("payment_type", _) => "payment_method",
        ("shipping_tier", _) => "shipping_method",
        ("screen_name", About::Page) | ("promotion_name", About::Promotion) => "name",
        ("creative_name", About::Promotion) => "creative",
        ("creative_slot", About::Promotion) => "position",
        _ => return None,
    })
}

fn of_item(key: &str) -> Option<&'static str> {
    Some(match key {
        "item_id" => "product_id",
        "item_name" => "name",
        "item_brand" => "brand",
        "item_category" => "category",
        "item_variant" => "variant",
        "index" => "position",
        _ => return None,
    })
}

/// The items of an event. What is no list of objects stays what it is.
fn products(raw: &RawValue) -> Part<'_> {
    match Elements::of(raw, MAX_ITEMS) {
        Some(items) if items.over == 0 => Part::List(items.list.into_iter().map(product).collect()),
        None if is_object(raw) => Part::List(vec![product(raw)]),
        Some(_) | None => Part::Raw(raw),
    }
}

fn product(raw: &RawValue) -> Part<'_> {
    let Object::Members(members) = Object::of(raw) else { return Part::Raw(raw) };
    let names: Vec<Option<&'static str>> = members
        .iter()
        .map(|member| of_item(&member.key).filter(|name| !members.iter().any(|other| other.key == *name)))
        .collect();
    let renamed = members.into_iter().zip(names);
    Part::Object(Parts(
        renamed.map(|(member, name)| (name.map_or(member.key, Cow::Borrowed), Part::Raw(member.value))).collect(),
    ))
}

/// Lays the only product of an event into its properties; a property that is there already stands.
fn lay_flat(properties: &mut Parts<'_>) {
    let only = properties.0.iter().find_map(|(key, part)| match part {
        Part::List(items) if key == "products" && items.len() == 1 => items.first(),
        Part::List(_) | Part::Object(_) | Part::Raw(_) | Part::Text(_) | Part::Bool(_) => None,
    });
    let Some(Part::Object(product)) = only else { return };
    let missing: Vec<_> = product.0.iter().filter(|(key, _)| !properties.has(key)).cloned().collect();
    properties.0.extend(missing);
}

#[cfg(test)]
mod tests {
    use super::super::named;
    use super::*;

    fn translated(name: &str, params: &str) -> (String, Vec<(&'static str, String)>) {
        let params: Object<'_> = serde_json::from_str(params).expect("JSON");
        let translation = translate(named(name), &params);
        let page = translation.page.iter().map(|(key, value)| (*key, value.get().to_owned())).collect();
        (translation.properties.to_raw().expect("JSON").get().to_owned(), page)
    }

    #[test]
    fn parameters_get_segments_names_and_numbers_keep_their_digits() {
        let cases = [
            (
                "purchase",
                r#"{"transaction_id":"T-1","value":24.980,"currency":"EUR","tax":4.16,"coupon":"C","items":[
                    {"item_id":"S1","item_name":"Shirt","item_brand":"B","item_category":"Tops","item_category2":"Tees",
                     "item_variant":"red","price":10.00,"quantity":2,"index":0},{"item_id":12345678901234567890123}]}"#,
                r#"{"order_id":"T-1","revenue":24.980,"currency":"EUR","tax":4.16,"coupon":"C","products":[{"product_id":"S1","name":"Shirt","brand":"B","category":"Tops","item_category2":"Tees","variant":"red","price":10.00,"quantity":2,"position":0},{"product_id":12345678901234567890123}]}"#,
            ),
            ("refund", r#"{"transaction_id":"T-1","value":"5.00"}"#, r#"{"order_id":"T-1","revenue":"5.00"}"#),
            ("begin_checkout", r#"{"value":1,"currency":"EUR"}"#, r#"{"value":1,"currency":"EUR"}"#),
            ("search", r#"{"search_term":"x"}"#, r#"{"query":"x"}"#),
            ("add_payment_info", r#"{"payment_type":"card"}"#, r#"{"payment_method":"card"}"#),
            ("add_shipping_info", r#"{"shipping_tier":"air"}"#, r#"{"shipping_method":"air"}"#),
            ("view_item_list", r#"{"item_list_id":"l","item_list_name":"L"}"#, r#"{"list_id":"l","category":"L"}"#),
            (
                "view_promotion",
                r#"{"promotion_id":"p","promotion_name":"P","creative_name":"c","creative_slot":"s"}"#,
                r#"{"promotion_id":"p","name":"P","creative":"c","position":"s"}"#,
            ),
            ("my_event", r#"{"value":1,"creative_name":"c"}"#, r#"{"value":1,"creative_name":"c"}"#),
        ];
        for (name, params, expected) in cases {
            assert_eq!(translated(name, params).0, expected, "{name}");
        }
    }

    #[test]
    fn a_single_product_is_also_laid_flat_and_what_is_there_stands() {
        let (properties, _) =
            translated("add_to_cart", r#"{"value":9,"items":[{"item_id":"S1","price":9,"value":1}]}"#);
        assert_eq!(
            properties,
            r#"{"value":9,"products":[{"product_id":"S1","price":9,"value":1}],"product_id":"S1","price":9}"#
        );
        let (two, _) = translated("add_to_cart", r#"{"items":[{"item_id":"a"},{"item_id":"b"}]}"#);
        assert_eq!(two, r#"{"products":[{"product_id":"a"},{"product_id":"b"}]}"#);
    }

    #[test]
    fn where_both_vocabularies_were_sent_segments_stands() {
        let (properties, _) = translated("purchase", r#"{"transaction_id":"T","order_id":"O","revenue":1,"value":2}"#);
        assert_eq!(properties, r#"{"transaction_id":"T","order_id":"O","revenue":1,"value":2}"#);
    }

    #[test]
    fn the_page_goes_into_the_context_and_for_page_views_into_the_properties_too() {
        let params = r#"{"page_location":"https://s/p","page_title":"T","page_referrer":"r","x":1}"#;
        let page = vec![("url", "\"https://s/p\"".into()), ("title", "\"T\"".into()), ("referrer", "\"r\"".into())];
        assert_eq!(translated("view_item", params), (r#"{"x":1}"#.to_owned(), page.clone()));
        let properties = r#"{"url":"https://s/p","title":"T","referrer":"r","x":1}"#;
        assert_eq!(translated("page_view", params), (properties.to_owned(), page));
    }

    #[test]
    fn items_that_are_no_list_of_objects_stay_what_they_are() {
        assert_eq!(translated("purchase", r#"{"items":"none"}"#).0, r#"{"products":"none"}"#);
        assert_eq!(translated("purchase", r#"{"items":[1,{"item_id":1}]}"#).0, r#"{"products":[1,{"product_id":1}]}"#);
        assert_eq!(translated("purchase", r#"{"items":{"item_id":1}}"#).0, r#"{"products":[{"product_id":1}]}"#);
    }
}

//! CONVERSION.

use super::{Judge, optional_boolean, optional_nested, required_integer};
use crate::fields::{Fields, Got};
use crate::reason::Findings;

/// The SDKs type it as a 32-bit integer.
const GOAL_MAX: i64 = i32::MAX as i64;

pub(super) fn judge(fields: &Fields<'_>, judge: &Judge, found: &mut Findings) {
    if let Some(goal) = required_integer(fields, "goalId", found) {
        goal_is_known(goal, judge, found);
    }
    let revenue = revenue(fields, found);
    let negative = optional_boolean(fields, "negative", found).unwrap_or(false);
    if let Some(revenue) = revenue.filter(|revenue| *revenue < 0.0) {
        if negative {
            found.doubt("revenue_sign", "negative is true and the revenue has a minus sign as well");
        } else {
            found.doubt("revenue_sign", format!("the revenue {revenue} is below 0: a refund says negative:true"));
        }
    }
    if let Some(metadata) = optional_nested(fields, "metadata", found) {
        metadata_is_indexed(&metadata, judge, found);
    }
}

fn goal_is_known(goal: i64, judge: &Judge, found: &mut Findings) {
    if !(1..=GOAL_MAX).contains(&goal) {
        found.loss("goal_range", format!("goalId {goal} is not between 1 and {GOAL_MAX}"));
        return;
    }
    let Some(goals) = &judge.goals else { return };
    match goals.iter().find(|known| known.id == goal) {
        None => found.loss("goal_unknown", format!("the project has no goal {goal}")),
        Some(known) if !known.active => found.loss("goal_inactive", format!("goal {goal} is not active")),
        Some(known) if !known.custom => {
            found.loss("goal_type", format!("goal {goal} is not of type CUSTOM: Kameleoon's own tag counts it"));
        }
        Some(_) => {}
    }
}

fn revenue(fields: &Fields<'_>, found: &mut Findings) -> Option<f64> {
    match fields.number("revenue") {
        Got::Is(revenue) => Some(revenue),
        Got::Missing => None,
        Got::AsText(revenue) => {
            found.doubt("number_as_text", "revenue is text: send it as a JSON number");
            Some(revenue)
        }
        Got::Null => {
            found.doubt("field_type", "revenue is null: leave it out");
            None
        }
        Got::Wrong => {
            found.loss("revenue_form", "revenue must be a finite number");
            None
        }
    }
}

fn metadata_is_indexed(metadata: &serde_json::Value, judge: &Judge, found: &mut Findings) {
    let Some(entries) = metadata.as_object() else {
        found.loss("metadata_form", "metadata must be an object of index to list of texts");
        return;
    };
    for (index, values) in entries {
        let name = crate::fields::shortened(index);
        match index.parse::<i64>().ok().filter(|number| *number >= 0 && *index == number.to_string()) {
            None => found.loss(
                "metadata_index",
                format!("metadata has the key {}: keys are indices of custom data", name.escape_debug()),
            ),
            Some(number) if judge.custom_data.as_ref().is_some_and(|known| !known.contains(&number)) => {
                found.loss("index_unknown", format!("the project has no custom data with the index {number}"));
            }
            Some(_) => {}
        }
        if !values.as_array().is_some_and(|values| values.iter().all(serde_json::Value::is_string)) {
            found.loss("metadata_form", format!("metadata {} must be a list of texts", name.escape_debug()));
        }
    }
}

//! The folder of a cell.

use super::case::{Blueprint, Case, PROBE_EVERY};
use crate::Folder;
use crate::api::KEY;
use crate::vendor::AUTHORITY;

const KAMELEOON: &str = include_str!("../../../../blueprints/kameleoon.yaml");
const BATCH: &str = "batch: { events: 1000, bytes: 1MiB, wait: 1s }";
const SMALL: &str = "batch: { events: 20, bytes: 1MiB, wait: 100ms }";
const PLAIN: &str = r#"blueprint: plain
title: A vendor whose answers nobody has described
settings:
  base_url: { type: url, title: Address }
requests:
  events:
    url: "{{ settings.base_url }}/events"
    headers: { Content-Type: application/json }
    frame: array
    batch: { events: 20, bytes: 1MiB, wait: 100ms }
sends:
  order:
    request: events
    expires: 72h
    body:
      nonce: { from: message_id }
      visitorCode: { from: anonymous_id }
presets:
  default:
    Order Completed: { send: order }
"#;

/// A folder for a case, its vendor at this address.
pub(super) fn folder(case: &Case, url: &str) -> Folder {
    let settings = format!(
        "delivery: {{ allow_private_addresses: true, timeout: {}s, probe_every: {}s, ca_file: ./ca.pem }}",
        case.timeout,
        PROBE_EVERY.as_secs()
    );
    let folder = Folder::empty(&settings);
    folder.write("ca.pem", AUTHORITY);
    assert!(KAMELEOON.contains(BATCH), "the blueprint's batches are written otherwise");
    folder.write("blueprints/kameleoon.yaml", &KAMELEOON.replace(BATCH, SMALL));
    folder.write("blueprints/plain.yaml", PLAIN);
    point(&folder, case, url);
    folder
}

/// Lets the pipeline point at this address.
pub(super) fn point(folder: &Folder, case: &Case, url: &str) {
    let (blueprint, settings, rule) = match case.blueprint {
        Blueprint::Kameleoon => (
            "kameleoon",
            "site_code: f17c21u1ag, region: eu, ",
            "    events: { Order Completed: { set: { goalId: 36151 } } }\n",
        ),
        Blueprint::Plain => ("plain", "", ""),
    };
    folder.write(
        "pipelines/shop.yaml",
        &format!(
            "pipeline: shop\nkeys: [{{ key: {KEY} }}]\ndestinations:\n  - blueprint: {blueprint}\n    name: vendor\n    \
             settings: {{ {settings}base_url: \"{url}\" }}\n{rule}"
        ),
    );
}

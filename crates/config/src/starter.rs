//! The files that `anole init` writes.

/// The texts of a starter folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starter {
    /// `anole.yaml`.
    pub settings: String,
    /// `pipelines/shop.yaml`.
    pub pipeline: String,
}

/// A starter with a write key of the caller's making. What is known of the Kameleoon project is filled in; what is not stays
/// empty, and `anole check` asks for it at its line.
#[must_use]
pub fn starter(write_key: &str, site_code: Option<&str>, region: Option<&str>) -> Starter {
    let filled = |value: Option<&str>| value.map_or_else(|| "\"\"".to_owned(), str::to_owned);
    Starter {
        settings: SETTINGS.to_owned(),
        pipeline: PIPELINE
            .replace("WRITE_KEY", write_key)
            .replace("SITE_CODE", &filled(site_code))
            .replace("REGION", &filled(region)),
    }
}

const SETTINGS: &str = r#"# yaml-language-server: $schema=.anole/schemas/anole.schema.json
# anole: one process that takes events, keeps them, and delivers them.
# Every key has a default; an environment variable such as ANOLE_COLLECT__LISTEN overrides it.
data_dir: ./data
pipelines: ./pipelines

# Where events come in. Put it behind your proxy, on a host of your own site.
collect: { listen: "127.0.0.1:8080" }

# Console, API and metrics.
admin: { listen: "127.0.0.1:8081" }

# An event is acknowledged when it is on the disk; it is kept for replay for a week.
journal: { ack: fsync, keep: 7d, max_bytes: 20GiB, on_full: refuse }

# For the sandbox or another address of your own network:
# delivery: { allow_private_addresses: true }
"#;

const PIPELINE: &str = r#"# yaml-language-server: $schema=../.anole/schemas/pipeline.schema.json
pipeline: shop

# Clients send with this key. Limit it to your site before it goes live:
#   origins: ["https://shop.example.com"]
keys:
  - key: WRITE_KEY

destinations:
  - blueprint: kameleoon
    settings:
      site_code: SITE_CODE      # Kameleoon: Setup > Project
      region: REGION         # eu or na: where your account is hosted
    events:
      # The goal of an event is its property kameleoon_goal_id, or the one that is set here:
      # Order Completed: { set: { goalId: 36151 } }
      # Newsletter Joined: { send: conversion, set: { goalId: 40112 } }
      # The Kameleoon tag records page views already; without this line they would count twice.
      page: off

# Ask for consent before anything is sent, keep less, and leave robots out:
# consent: { from: [collector, cookie:OptanonConsent], unknown: deny }
# privacy: { drop: [context.ip], hash: [traits.email, traits.phone] }
# bots: drop
"#;

/// A commented blueprint of this name to begin with. It can be loaded as it is, and sends to an address that nobody has.
#[must_use]
pub fn starter_blueprint(name: &str) -> String {
    BLUEPRINT.replace("NAME", name)
}

const BLUEPRINT: &str = r#"# yaml-language-server: $schema=../.anole/schemas/blueprint.schema.json
#
# A blueprint: what a vendor must be told, what can be sent to it, and how its answers are read.
# `anole check` says what is wrong with it, `anole test EVENT-FILE --explain` what it makes of an event.
blueprint: NAME
title: NAME

# What a destination fills in. A secret is written as "${VARIABLE}" there, and is never shown.
settings:
  base_url:
    type: url
    title: Address of the API
    default: https://api.example.com
  api_key:
    type: secret
    title: API key
    help: where a person finds it

# How requests look. A text takes values in double braces, here and everywhere.
requests:
  events:
    url: "{{ settings.base_url }}/v1/events"
    frame: { list: events }              # {"events":[ … ]}; `array` for [ … ], `single` for one send a request
    batch: { events: 100, bytes: 1MiB, wait: 1s }
    auth:
      bearer: "{{ settings.api_key }}"

# How answers are read. What is not named: 2xx is delivered; 408, 425, 429 and 5xx are tried again; another 4xx splits
# the batch until the send at fault is found.
answers:
  401: { then: pause, hint: the API key is refused }

# What can be sent: the payload's fields, in the order in which they are sent.
sends:
  event:
    request: events
    body:
      id: { from: message_id, required: true }
      user: { first_of: [user_id, anonymous_id], required: true }
      name: { from: event }
      time: { from: timestamp }
      amount: { type: number, min: 0 }   # without a source: a rule may set it

# Which events give which sends. A pipeline's own `events` lie over these.
presets:
  default:
    Order Completed:
      send: event
      set:
        amount: { first_of: [properties.revenue, properties.total] }
    page: { send: event, set: { name: Page Viewed } }
"#;

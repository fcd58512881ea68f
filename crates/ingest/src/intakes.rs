//! The pipelines that take events, and how a request finds its own.

use std::collections::HashMap;
use std::sync::Arc;

use anole_pipeline::{Intake, Secret};
use subtle::ConstantTimeEq;

/// All pipelines that take events. Immutable: a reload makes a new one.
#[derive(Debug, Default)]
pub(crate) struct Intakes {
    keys: Vec<Keyed>,
    measurements: HashMap<String, Arc<Intake>>,
}

/// A pipeline as one of its write keys opens it.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    key: Secret,
    origins: Vec<String>,
    pub(crate) intake: Arc<Intake>,
}

// === impl Intakes ===

impl Intakes {
    pub(crate) fn new(intakes: impl IntoIterator<Item = Arc<Intake>>) -> Self {
        let mut all = Self::default();
        for intake in intakes {
            for key in &intake.keys {
                all.keys.push(Keyed {
                    key: key.key.clone(),
                    origins: key.origins.clone(),
                    intake: Arc::clone(&intake),
                });
            }
            for id in intake.ga4.iter().flat_map(|ga4| &ga4.measurement_ids) {
                all.measurements.insert(id.clone(), Arc::clone(&intake));
            }
        }
        all
    }

    /// The pipeline of a write key. Every key is compared, in constant time, so that the time taken says nothing of how
    /// much of a guess was right. A hash map was rejected for that reason; with a hundred keys this costs 3 us.
    pub(crate) fn by_key(&self, key: &str) -> Option<&Keyed> {
        let mut found = None;
        for keyed in &self.keys {
            if is_equal(&keyed.key, key) {
                found = Some(keyed);
            }
        }
        found
    }

    /// The pipeline of a measurement id (`G-...`). These are public, so they are merely looked up.
    pub(crate) fn by_measurement(&self, id: &str) -> Option<&Arc<Intake>> {
        self.measurements.get(id)
    }
}

/// Compares in constant time, but for the length.
pub(crate) fn is_equal(secret: &Secret, guess: &str) -> bool {
    secret.reveal().as_bytes().ct_eq(guess.as_bytes()).into()
}

/// Whether a list of origins has this one; an empty list has all. Who names no origin is no page, or one of our own origin.
pub(crate) fn allows(origins: &[String], origin: Option<&str>) -> bool {
    let Some(origin) = origin.filter(|_| !origins.is_empty()) else { return true };
    origins.iter().any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

// === impl Keyed ===

impl Keyed {
    /// The key itself, for what is counted by key.
    pub(crate) fn key(&self) -> &str {
        self.key.reveal()
    }

    /// Whether a page of this origin may use the key. Who names no origin is no browser, or a page of our own origin.
    pub(crate) fn allows(&self, origin: Option<&str>) -> bool {
        allows(&self.origins, origin)
    }
}

#[cfg(test)]
mod tests {
    use anole_pipeline::{Ga4, WriteKey};

    use super::*;

    fn intakes() -> Intakes {
        let key = |key: &str, origins: &[&str]| WriteKey {
            key: Secret::new(key),
            origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
        };
        let shop = Intake {
            keys: vec![key("shop-1", &["https://shop.test/"]), key("shop-2", &[])],
            ga4: Some(Ga4 { measurement_ids: vec!["G-1".into()], api_secret: None, origins: vec![] }),
            ..Intake::new("shop")
        };
        let blog = Intake { keys: vec![key("blog", &[])], ..Intake::new("blog") };
        Intakes::new([shop.into(), blog.into()])
    }

    #[test]
    fn a_key_opens_its_own_pipeline_and_no_other() {
        let intakes = intakes();
        let pipeline = |key| intakes.by_key(key).map(|keyed| keyed.intake.pipeline.to_string());
        assert_eq!(pipeline("shop-2").as_deref(), Some("shop"));
        assert_eq!(pipeline("blog").as_deref(), Some("blog"));
        for wrong in ["", "shop", "shop-", "shop-22", "BLOG"] {
            assert_eq!(pipeline(wrong), None, "{wrong}");
        }
        assert_eq!(intakes.by_measurement("G-1").map(|intake| &*intake.pipeline), Some("shop"));
        assert!(intakes.by_measurement("G-2").is_none());
    }

    #[test]
    fn a_key_may_be_limited_to_pages_of_some_origins() {
        let intakes = intakes();
        let limited = intakes.by_key("shop-1").expect("a key");
        assert!(limited.allows(Some("https://shop.test")) && limited.allows(Some("https://SHOP.test")));
        assert!(limited.allows(None), "a back end names no origin");
        for other in
            ["https://evil.test", "http://shop.test", "https://shop.test:8443", "https://shop.test.evil", "null"]
        {
            assert!(!limited.allows(Some(other)), "{other}");
        }
        assert!(intakes.by_key("blog").expect("a key").allows(Some("https://evil.test")));
    }
}

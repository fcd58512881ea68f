//! Consent: what a destination needs, what is known of a visitor, and what follows.
//!
//! Five categories are known, whatever a consent platform calls them; each source's own words are translated when an event
//! comes in, so that rules and blueprints survive a change of platform. `essential` is never asked for: what a site cannot
//! do without needs no consent, so a need of it is always met.
//!
//! Within one source several words may mean one category (Google's `ad_storage` and `ad_user_data` both mean marketing).
//! Then one denial denies. Taking the most generous word instead was rejected: who denied a part did not consent to all.
//!
//! Consent is judged as the event carried it. A lane that is not granted what it needs ends the event as `no_consent`, and
//! says which category and what was known of it.

use std::sync::Arc;

use anole_event::{Outcome, Reason, State};

use crate::{Path, Paths, Slot, Values};

/// What consent is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Category {
    /// What the site cannot do without. Always granted.
    Essential = 1,
    /// What makes the site more comfortable: preferences, chat, videos.
    Functional = 2,
    /// Measuring: page views, conversions, experiments.
    Analytics = 4,
    /// Advertising.
    Marketing = 8,
    /// Showing each visitor something else.
    Personalization = 16,
}

/// A set of categories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Categories(u8);

/// What a category counts as of which nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// As denied.
    #[default]
    Deny,
    /// As granted.
    Allow,
}

/// How a pipeline knows what a visitor consented to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentPlan {
    /// Who is asked. The first that says something of a category wins.
    pub from: Vec<ConsentSource>,
    /// What sources' own words mean, before the words that are built in.
    pub words: Vec<(Box<str>, Categories)>,
    /// What a category counts as of which nothing is known.
    pub unknown: Unknown,
    /// What the visitor's cookie of our own needs.
    pub visitor_cookie: Categories,
}

/// Somebody who says what a visitor consented to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentSource {
    /// `consent` at the root of an event, as our own collector sends it.
    Collector,
    /// `context.consent.categoryPreferences`, as Segment's clients send it.
    Segment,
    /// Google's consent mode: `gcd` and `gcs` of the query, `consent` of a Measurement Protocol body.
    Ga4,
    /// A cookie in the form of OneTrust's `OptanonConsent`.
    OneTrust {
        /// Its name.
        cookie: Arc<str>,
    },
    /// A cookie whose values are declared. A value grants its categories and denies those that other values grant.
    Cookie {
        /// Its name.
        cookie: Arc<str>,
        /// What each value grants.
        values: Vec<(Box<str>, Categories)>,
    },
}

/// What a lane needs before it sends. Its parts are in a lane's hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gate {
    unknown: Unknown,
    needs: Categories,
    /// The rules that need something else, by their names.
    rules: Vec<(Arc<str>, Categories)>,
    slots: Vec<(Category, Slot)>,
}

/// The words that are known without being declared, beside the categories' own names.
///
/// OneTrust's groups as its platform numbers them from the start; C0005, social media, is left out, as sites use it for
/// advertising and for embedded videos alike. Google's types as consent mode names them.
const WORDS: [(&str, Category); 11] = [
    ("C0001", Category::Essential),
    ("C0002", Category::Analytics),
    ("C0003", Category::Functional),
    ("C0004", Category::Marketing),
    ("security_storage", Category::Essential),
    ("functionality_storage", Category::Functional),
    ("analytics_storage", Category::Analytics),
    ("ad_storage", Category::Marketing),
    ("ad_user_data", Category::Marketing),
    ("ad_personalization", Category::Personalization),
    ("personalization_storage", Category::Personalization),
];

// === impl Category ===

impl Category {
    /// All, in the order in which they are written.
    pub const ALL: [Self; 5] =
        [Self::Essential, Self::Functional, Self::Analytics, Self::Marketing, Self::Personalization];

    /// The name in events, files and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Essential => "essential",
            Self::Functional => "functional",
            Self::Analytics => "analytics",
            Self::Marketing => "marketing",
            Self::Personalization => "personalization",
        }
    }

    /// The category of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.as_str() == name)
    }
}

// === impl Categories ===

impl Categories {
    /// No category.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub const fn with(self, category: Category) -> Self {
        Self(self.0 | category as u8)
    }

    /// All of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one is among them.
    #[must_use]
    pub const fn contains(self, category: Category) -> bool {
        self.0 & category as u8 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Category> {
        Category::ALL.into_iter().filter(move |category| self.contains(*category))
    }
}

impl FromIterator<Category> for Categories {
    fn from_iter<I: IntoIterator<Item = Category>>(categories: I) -> Self {
        categories.into_iter().fold(Self::NONE, Self::with)
    }
}

// === impl Unknown ===

impl Unknown {
    /// Whether a category of which this is known is granted.
    #[must_use]
    pub fn grants(self, category: Category, known: Option<bool>) -> bool {
        category == Category::Essential || known.unwrap_or(self == Self::Allow)
    }
}

// === impl ConsentPlan ===

impl ConsentPlan {
    /// What a source's own word means.
    #[must_use]
    pub fn means(&self, word: &str) -> Categories {
        if let Some((_, categories)) = self.words.iter().find(|(own, _)| **own == *word) {
            return *categories;
        }
        let built_in = || WORDS.iter().find(|(known, _)| *known == word).map(|(_, category)| *category);
        Category::from_name(word).or_else(built_in).into_iter().collect()
    }

    /// Whether the visitor's cookie may be set.
    pub fn allows_cookie(&self, known: impl Fn(Category) -> Option<bool>) -> bool {
        self.visitor_cookie.iter().all(|category| self.unknown.grants(category, known(category)))
    }
}

// === impl Gate ===

impl Gate {
    /// The gate of a lane that needs this; `rules` are those of its rules that need something else.
    #[must_use]
    pub fn new(unknown: Unknown, needs: Categories, rules: Vec<(Arc<str>, Categories)>, paths: &mut Paths) -> Self {
        let all = rules.iter().fold(needs, |all, (_, needs)| all.and(*needs));
        let path = |category: Category| Path::parse(&format!("consent.{}", category.as_str())).ok();
        let asked = all.iter().filter(|category| *category != Category::Essential);
        let slots = asked.filter_map(|category| Some((category, paths.slot(&path(category)?)))).collect();
        Self { unknown, needs, rules, slots }
    }

    /// Where an event ends that may not be sent by this rule; `None` when it may.
    pub(crate) fn shut(&self, rule: &str, values: &Values) -> Option<Outcome> {
        let own = self.rules.iter().find(|(name, _)| **name == *rule).map(|(_, needs)| *needs);
        let needs = own.unwrap_or(self.needs);
        let missing: Vec<(Category, Option<bool>)> = self
            .slots
            .iter()
            .filter(|(category, _)| needs.contains(*category))
            .map(|(category, slot)| (*category, known(values, slot)))
            .filter(|(category, known)| !self.unknown.grants(*category, *known))
            .collect();
        if missing.is_empty() {
            return None;
        }
        let denied = missing.iter().any(|(_, known)| known.is_some());
        let each = missing.iter().map(|(category, known)| match known {
            Some(_) => format!("{} was denied", category.as_str()),
            None => format!("nothing is known of {}, which counts as denied here", category.as_str()),
        });
        let detail = format!("consent is needed: {}", each.collect::<Vec<_>>().join("; "));
        let reason = if denied { Reason::Denied } else { Reason::Unknown };
        Some(Outcome::new(State::NoConsent, reason).with_detail(detail))
    }
}

fn known(values: &Values, slot: &Slot) -> Option<bool> {
    match values.get(slot)? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Intake, PipelinePlan};

    fn shut(gate: impl FnOnce(&mut Paths) -> Gate, rule: &str, consent: &str) -> Option<(Reason, String)> {
        let mut paths = Paths::new();
        let gate = gate(&mut paths);
        let plan = PipelinePlan::new(Intake::new("shop"), Vec::new(), &[], paths);
        let values = plan.read(format!(r#"{{"message_id":"m"{consent}}}"#).into()).expect("an event");
        let outcome = gate.shut(rule, &values)?;
        assert_eq!(outcome.state, State::NoConsent);
        Some((outcome.reason, outcome.detail.expect("a detail")))
    }

    fn needs(categories: &[Category]) -> Categories {
        categories.iter().copied().collect()
    }

    #[test]
    fn what_is_needed_must_be_granted_and_the_detail_says_what_was_known() {
        use Category::{Analytics, Essential, Marketing};
        let gate = |unknown| move |paths: &mut Paths| Gate::new(unknown, needs(&[Analytics, Marketing]), vec![], paths);
        let both = r#","consent":{"analytics":true,"marketing":true}"#;
        assert_eq!(shut(gate(Unknown::Deny), "r", both), None);
        let denied = shut(gate(Unknown::Deny), "r", r#","consent":{"analytics":false}"#);
        let text =
            "consent is needed: analytics was denied; nothing is known of marketing, which counts as denied here";
        assert_eq!(denied, Some((Reason::Denied, text.to_owned())));
        let nothing = shut(gate(Unknown::Deny), "r", "").expect("nothing is known");
        assert_eq!(nothing.0, Reason::Unknown);
        assert_eq!(shut(gate(Unknown::Allow), "r", ""), None);
        let denied = shut(gate(Unknown::Allow), "r", r#","consent":{"marketing":false}"#);
        assert_eq!(denied, Some((Reason::Denied, "consent is needed: marketing was denied".to_owned())));
        // What is no word of consent says nothing, and what is essential is not asked for.
        let odd = shut(gate(Unknown::Deny), "r", r#","consent":{"analytics":"yes","marketing":true}"#);
        assert_eq!(odd.expect("unknown").0, Reason::Unknown);
        let essential = |paths: &mut Paths| Gate::new(Unknown::Deny, needs(&[Essential]), vec![], paths);
        assert_eq!(shut(essential, "r", r#","consent":{"essential":false}"#), None);
    }

    #[test]
    fn a_rule_may_need_more_or_less_than_its_destination() {
        use Category::{Analytics, Marketing};
        let gate = |paths: &mut Paths| {
            let rules = vec![("more".into(), needs(&[Marketing])), ("less".into(), Categories::NONE)];
            Gate::new(Unknown::Deny, needs(&[Analytics]), rules, paths)
        };
        let analytics = r#","consent":{"analytics":true}"#;
        assert_eq!(shut(gate, "other", analytics), None);
        assert_eq!(shut(gate, "more", analytics).expect("it needs more").0, Reason::Unknown);
        assert_eq!(shut(gate, "less", ""), None);
    }

    #[test]
    fn words_mean_what_is_built_in_unless_the_pipeline_says_otherwise() {
        use Category::{Analytics, Essential, Marketing, Personalization};
        let plan = ConsentPlan {
            from: vec![],
            words: vec![
                ("C0004".into(), needs(&[Marketing, Personalization])),
                ("ad_storage".into(), Categories::NONE),
            ],
            unknown: Unknown::Deny,
            visitor_cookie: needs(&[Analytics]),
        };
        assert_eq!(plan.means("C0004"), needs(&[Marketing, Personalization]));
        assert_eq!(plan.means("C0001"), needs(&[Essential]));
        assert_eq!(plan.means("analytics"), needs(&[Analytics]));
        assert_eq!(plan.means("ad_storage"), Categories::NONE);
        assert_eq!(plan.means("ad_user_data"), needs(&[Marketing]));
        for word in ["C0005", "c0002", "Advertising", ""] {
            assert_eq!(plan.means(word), Categories::NONE, "{word}");
        }
        assert!(plan.allows_cookie(|_| Some(true)) && !plan.allows_cookie(|_| None));
    }
}

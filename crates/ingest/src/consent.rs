//! What a client and the cookies it brings say of a visitor's consent, told in the five canonical categories.
//!
//! A pipeline names its sources in order, and the first that says something of a category wins. Within one source a denial
//! wins, as `anole_pipeline` explains. What a client's source says in words of its own (`ad_user_data`) is kept behind the
//! categories, as a destination may need that very word; what a source says that the pipeline does not ask is not kept.
//!
//! The cookies that are read here are not kept with the event: for that a blueprint must ask for them.
//!
//! `OptanonConsent`, OneTrust's cookie, is a list of `key=value` joined by `&`; its `groups` hold `C0001:1,C0002:0`, where 1
//! is granted and 0 denied, percent-encoded once or not at all. Seen on sites that use it; the vendor publishes no grammar.

use std::borrow::Cow;

use anole_pipeline::{Categories, Category, ConsentPlan, ConsentSource};
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use crate::cookie::Cookies;
use crate::json::{Object, Text};

/// What a source says, in its words.
pub(crate) type Said<'a> = Vec<(Cow<'a, str>, bool)>;

/// What the sources say that a client can be.
#[derive(Debug, Default)]
pub(crate) struct Words<'a> {
    /// `consent` of the root.
    pub(crate) collector: Said<'a>,
    /// `context.consent.categoryPreferences`.
    pub(crate) segment: Said<'a>,
    /// Google's consent mode.
    pub(crate) ga4: Said<'a>,
}

/// A pipeline's question for consent, with what the cookies of a request answer to it.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    plan: &'a ConsentPlan,
    /// For each source of the plan: what it says, when it is a cookie.
    cookies: Vec<Known>,
}

/// What is known, by category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known([Option<bool>; Category::ALL.len()]);

/// What an event carries of consent: the canonical categories of which something is known, then the words of the clients
/// that were asked. Without a question it is what the client says, in its words.
pub(crate) fn resolve<'a>(asked: Option<&Asked<'_>>, words: Words<'a>) -> Said<'a> {
    let Some(Asked { plan, cookies }) = asked else {
        let Words { collector, segment, ga4 } = words;
        return [collector, segment, ga4].into_iter().find(|said| !said.is_empty()).unwrap_or_default();
    };
    let mut known = Known::default();
    let mut own: Said<'a> = Vec::new();
    for (source, cookie) in plan.from.iter().zip(cookies) {
        let said = match source {
            ConsentSource::Collector => &words.collector,
            ConsentSource::Segment => &words.segment,
            ConsentSource::Ga4 => &words.ga4,
            ConsentSource::OneTrust { .. } | ConsentSource::Cookie { .. } => {
                known.fill(cookie);
                continue;
            }
        };
        known.fill(&Known::of(plan, said));
        for (word, granted) in said {
            if Category::from_name(word).is_none() && !own.iter().any(|(known, _)| known == word) {
                own.push((word.clone(), *granted));
            }
        }
    }
    let categories = Category::ALL.into_iter().zip(known.0);
    let mut all: Said<'a> =
        categories.filter_map(|(category, known)| Some((Cow::Borrowed(category.as_str()), known?))).collect();
    all.append(&mut own);
    all
}

/// The words of an object such as `{"analytics": true, "marketing": "denied"}`.
pub(crate) fn words<'a>(said: &Object<'a>) -> Said<'a> {
    said.members().iter().filter_map(|member| Some((member.key.clone(), granted(member.value)?))).collect()
}

/// Whether a value says yes or no.
fn granted(raw: &RawValue) -> Option<bool> {
    match raw.get() {
        "true" => Some(true),
        "false" => Some(false),
        _ => match Text::of(raw) {
            Text::Is(text) if text.eq_ignore_ascii_case("granted") => Some(true),
            Text::Is(text) if text.eq_ignore_ascii_case("denied") => Some(false),
            Text::Is(_) | Text::Absent | Text::Wrong => None,
        },
    }
}

// === impl Asked ===

impl<'a> Asked<'a> {
    /// The question of a pipeline, asked of a request's cookies.
    pub(crate) fn of(plan: &'a ConsentPlan, cookies: &Cookies<'_>) -> Self {
        let answer = |source: &ConsentSource| match source {
            ConsentSource::Collector | ConsentSource::Segment | ConsentSource::Ga4 => Known::default(),
            ConsentSource::OneTrust { cookie } => {
                cookies.get(cookie).map_or_else(Known::default, |value| Known::of(plan, &groups(value)))
            }
            ConsentSource::Cookie { cookie, values } => {
                cookies.get(cookie).map_or_else(Known::default, |value| Known::declared(values, value))
            }
        };
        Self { plan, cookies: plan.from.iter().map(answer).collect() }
    }

    /// Whether the visitor's cookie may be set, by what an event carries of consent.
    pub(crate) fn allows_cookie(&self, consent: &[(Cow<'_, str>, bool)]) -> bool {
        let known = |category: Category| consent.iter().find(|(word, _)| word == category.as_str()).map(|it| it.1);
        self.plan.allows_cookie(known)
    }
}

// === impl Known ===

impl Known {
    fn of(plan: &ConsentPlan, said: &[(Cow<'_, str>, bool)]) -> Self {
        let mut known = Self::default();
        for (word, granted) in said {
            known.say(plan.means(word), *granted);
        }
        known
    }

    /// What a cookie says by its declared values. One that is not declared says nothing.
    fn declared(values: &[(Box<str>, Categories)], value: &str) -> Self {
        let mut known = Self::default();
        let decoded = percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value));
        let declared = values.iter().find(|(declared, _)| **declared == *value || **declared == *decoded);
        if let Some((_, granted)) = declared {
            let all = values.iter().fold(Categories::NONE, |all, (_, granted)| all.and(*granted));
            known.say(all.iter().filter(|category| !granted.contains(*category)).collect(), false);
            known.say(*granted, true);
        }
        known
    }

    /// One denial denies.
    fn say(&mut self, categories: Categories, granted: bool) {
        for (category, known) in Category::ALL.into_iter().zip(&mut self.0) {
            if categories.contains(category) {
                *known = Some(granted && known.unwrap_or(true));
            }
        }
    }

    /// Adds what another source says of categories of which nothing is known yet.
    fn fill(&mut self, other: &Self) {
        for (known, other) in self.0.iter_mut().zip(other.0) {
            *known = known.or(other);
        }
    }
}

/// The groups of OneTrust's cookie.
fn groups(cookie: &str) -> Said<'static> {
    let find = |text: &str| text.split('&').find_map(|pair| pair.trim().strip_prefix("groups=").map(str::to_owned));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some(groups) = find(cookie).or_else(|| find(&decoded(cookie))) else { return Vec::new() };
    let groups = decoded(&groups);
    let one = |group: &str| {
        let (name, state) = group.trim().split_once(':')?;
        let granted = match state.trim() {
            "1" => true,
            "0" => false,
            _ => return None,
        };
        Some((Cow::Owned(name.trim().to_owned()), granted))
    };
    groups.split(',').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use anole_pipeline::Unknown;
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn plan(from: Vec<ConsentSource>) -> ConsentPlan {
        ConsentPlan { from, words: vec![], unknown: Unknown::Deny, visitor_cookie: Categories::NONE }
    }

    fn cookie_header(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookies).expect("a header"))])
    }

    fn said<'a>(words: &[(&'a str, bool)]) -> Said<'a> {
        words.iter().map(|(word, granted)| (Cow::Borrowed(*word), *granted)).collect()
    }

    fn resolved(plan: &ConsentPlan, cookies: &str, words: Words<'_>) -> String {
        let headers = cookie_header(cookies);
        let asked = Asked::of(plan, &Cookies::of(&headers));
        let all = resolve(Some(&asked), words);
        all.iter().map(|(word, granted)| format!("{word}={granted} ")).collect::<String>().trim_end().to_owned()
    }

    #[test]
    fn the_first_source_that_says_something_of_a_category_wins() {
        let one_trust = ConsentSource::OneTrust { cookie: "OptanonConsent".into() };
        let plan = plan(vec![ConsentSource::Collector, one_trust, ConsentSource::Ga4]);
        let words = || Words {
            collector: said(&[("analytics", false)]),
            segment: said(&[("functional", true)]),
            ga4: said(&[("ad_user_data", true), ("analytics_storage", true), ("ad_personalization", false)]),
        };
        let cookies = "OptanonConsent=isGpc=0&datestamp=x&groups=C0001%3A1%2CC0002%3A1%2CC0004%3A0";
        let expected = "essential=true analytics=false marketing=false personalization=false \
                        ad_user_data=true analytics_storage=true ad_personalization=false";
        assert_eq!(resolved(&plan, cookies, words()), expected, "and a source that is not asked says nothing");
        assert_eq!(resolved(&plan, "other=1", Words::default()), "");
    }

    #[test]
    fn one_trusts_groups_are_read_however_they_are_encoded() {
        let expected = said(&[("C0001", true), ("C0003", false), ("BG7", true)]);
        for cookie in [
            "groups=C0001:1,C0003:0,BG7:1",
            "isGpcEnabled=0&datestamp=Mon+Nov&groups=C0001%3A1%2CC0003%3A0%2CBG7%3A1&geolocation=FR",
            "isGpcEnabled%3D0%26groups%3DC0001%3A1%2CC0003%3A0%2CBG7%3A1",
            "groups=C0001:1, C0003:0 ,BG7:1,C0009:2,C0010,:",
        ] {
            assert_eq!(groups(cookie), expected, "{cookie}");
        }
        for cookie in ["", "groups=", "group=C0001:1", "C0001:1", "groups=%FF"] {
            assert!(groups(cookie).is_empty(), "{cookie}");
        }
    }

    #[test]
    fn a_declared_cookies_value_grants_its_categories_and_denies_the_others_it_could_grant() {
        use Category::{Analytics, Functional, Marketing};
        let values = vec![
            ("all".into(), [Functional, Analytics, Marketing].into_iter().collect()),
            ("some, but few".into(), [Functional].into_iter().collect()),
            ("none".into(), Categories::NONE),
        ];
        let plan = plan(vec![ConsentSource::Cookie { cookie: "choice".into(), values }]);
        let of = |cookies: &str| resolved(&plan, cookies, Words::default());
        assert_eq!(of("choice=all"), "functional=true analytics=true marketing=true");
        assert_eq!(of("choice=some%2C%20but%20few"), "functional=true analytics=false marketing=false");
        assert_eq!(of("choice=none"), "functional=false analytics=false marketing=false");
        assert_eq!(of("choice=later"), "");
    }

    #[test]
    fn one_denial_of_a_source_denies_and_a_word_that_means_nothing_says_nothing() {
        let plan = plan(vec![ConsentSource::Ga4]);
        let ga4 = |words: &[(&'static str, bool)]| Words { ga4: said(words), ..Words::default() };
        let mixed = resolved(&plan, "a=b", ga4(&[("ad_storage", false), ("ad_user_data", true), ("odd", true)]));
        assert_eq!(mixed, "marketing=false ad_storage=false ad_user_data=true odd=true");
    }

    #[test]
    fn yes_and_no_have_few_forms() {
        let object: Object<'_> =
            serde_json::from_str(r#"{"a":true,"b":"GRANTED","c":"denied","d":1,"e":"yes","f":null}"#).expect("JSON");
        assert_eq!(words(&object), said(&[("a", true), ("b", true), ("c", false)]));
    }

    #[test]
    fn without_a_question_a_clients_words_are_kept_as_they_are() {
        let words = Words { segment: said(&[("Advertising", true)]), ..Words::default() };
        assert_eq!(resolve(None, words), said(&[("Advertising", true)]));
    }
}

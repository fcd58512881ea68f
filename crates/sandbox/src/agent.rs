//! Which User-Agent is refused.
//!
//! The vendor refuses bots by the IAB/ABC list, which is licensed and not public, and asks clients that are no browsers
//! to replace their HTTP library's default. So this is our reading: words that such lists hold, and the product tokens
//! of common libraries. It is stricter than the vendor, whose own PHP client goes out as curl.

/// Words of bots, wherever they stand.
const WORDS: [&str; 10] =
    ["bot", "spider", "crawl", "slurp", "scrap", "monitor", "http-client", "httpclient", "python", "headless"];

/// Products that are libraries: what stands before the first slash.
const LIBRARIES: [&str; 20] = [
    "curl",
    "wget",
    "aiohttp",
    "go-http-client",
    "fasthttp",
    "reqwest",
    "hyper",
    "ureq",
    "node",
    "node-fetch",
    "undici",
    "axios",
    "got",
    "okhttp",
    "java",
    "libwww-perl",
    "ruby",
    "faraday",
    "guzzlehttp",
    "postmanruntime",
];

/// Why this User-Agent is refused; `None` when it is not.
pub(crate) fn refused(agent: Option<&str>) -> Option<String> {
    let agent = agent.unwrap_or_default().trim().to_ascii_lowercase();
    if agent.is_empty() {
        return Some("the User-Agent is missing: send a product token of your own".to_owned());
    }
    if let Some(word) = WORDS.iter().find(|word| agent.contains(**word)) {
        return Some(format!("the User-Agent has the word \"{word}\", as bots have: send a product token without it"));
    }
    let product = agent.split(['/', ' ']).next().unwrap_or_default();
    LIBRARIES.contains(&product).then(|| {
        format!("the User-Agent is the default of the library \"{product}\": send a product token of your own")
    })
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn bots_and_libraries_are_refused_and_products_and_browsers_are_not() {
        let bad = [
            "",
            "  ",
            "curl/8.0",
            "python-requests/2.32",
            "Go-http-client/2.0",
            "reqwest/0.12",
            "node-fetch",
            "node",
            "okhttp/4.12.0",
            "Java/17.0.1",
            "Mozilla/5.0 (compatible; Googlebot/2.1)",
            "Uptime-Monitor/1",
        ];
        for agent in bad {
            assert!(refused(Some(agent)).is_some(), "{agent}");
        }
        assert!(refused(None).is_some());
        for agent in ["anole/0.1.0", "AcmeForwarder/0.1 (+https://acme.example)", "Mozilla/5.0 Firefox/130.0"] {
            assert_eq!(refused(Some(agent)), None, "{agent}");
        }
    }
}

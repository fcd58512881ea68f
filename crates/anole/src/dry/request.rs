//! A request as a person reads it, and as a shell takes it. Secrets are masked in both.

use anole_pipeline::{Auth, LanePlan, Secret, Send};
use serde::Serialize;
use serde_json::value::RawValue;

/// Headers whose values are shown. A header of a vendor's own may hold a secret; what it holds is in the blueprint.
const PLAIN: [&str; 2] = ["content-type", "accept"];

/// A request with one send alone.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
    /// Header by header, in their order.
    pub(super) headers: Vec<String>,
    /// JSON as it is sent; another body as a text.
    pub(super) body: Box<RawValue>,
}

// === impl Request ===

impl Request {
    /// The request of a send that a masked plan made.
    pub(super) fn of(lane: &LanePlan, send: &Send) -> Result<Self, serde_json::Error> {
        let plan = &lane.requests[send.address.request];
        // The frame around the item may hold a key of the account.
        let body = lane.without_secrets(plan.assemble(std::slice::from_ref(&send.item)));
        let body = String::from_utf8_lossy(&body).into_owned();
        let headers = send.address.headers.iter().map(|(name, value)| {
            let is_plain = PLAIN.iter().any(|plain| name.eq_ignore_ascii_case(plain));
            format!("{name}: {}", if is_plain { value } else { Secret::MASK })
        });
        let mut headers: Vec<String> = headers.collect();
        headers.extend(authorization(&plan.auth));
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
        let body = if is_json { RawValue::from_string(body)? } else { serde_json::value::to_raw_value(&body)? };
        Ok(Self { method: send.address.method.to_string(), url: send.address.masked_url.clone(), headers, body })
    }

    /// The body as it is sent.
    fn bytes(&self) -> String {
        // A text stands for a body that is no JSON, as no payload is a bare text.
        serde_json::from_str::<String>(self.body.get()).unwrap_or_else(|_| self.body.get().to_owned())
    }

    /// Whether something in it is masked.
    pub(super) fn has_secrets(&self) -> bool {
        let masked = |text: &str| text.contains(Secret::MASK);
        masked(&self.url) || self.headers.iter().any(|header| masked(header)) || masked(self.body.get())
    }

    /// Line by line, as it goes over the wire.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {}", self.method, self.url)];
        lines.extend(self.headers.iter().cloned());
        lines.push(format!("User-Agent: {}", anole_delivery::USER_AGENT));
        lines.push(String::new());
        lines.extend(self.bytes().lines().map(str::to_owned));
        lines
    }

    /// A command that makes the request.
    pub(super) fn curl(&self) -> String {
        let mut text = format!("curl -X {} {}", self.method, quoted(&self.url));
        if self.url.contains(['[', ']', '{', '}']) {
            // Without it curl takes them for a range of addresses.
            text.push_str(" --globoff");
        }
        let is_typed = |header: &String| header.to_ascii_lowercase().starts_with("content-type:");
        if !self.headers.iter().any(is_typed) {
            // Without it curl calls every body a form.
            text.push_str(" \\\n  -H 'Content-Type:'");
        }
        for header in &self.headers {
            text.push_str(&format!(" \\\n  -H {}", quoted(header)));
        }
        text.push_str(&format!(" \\\n  -A {}", quoted(anole_delivery::USER_AGENT)));
        // Not --data, which would read a file where a body begins with an at sign.
        text.push_str(&format!(" \\\n  --data-raw {}", quoted(&self.bytes())));
        text
    }
}

/// The header that authenticates, masked.
fn authorization(auth: &Auth) -> Option<String> {
    let mask = Secret::MASK;
    match auth {
        Auth::None => None,
        Auth::Basic { .. } => Some(format!("Authorization: Basic {mask}")),
        Auth::Bearer(_) | Auth::OAuth2(_) => Some(format!("Authorization: Bearer {mask}")),
        Auth::Header { name, .. } => Some(format!("{name}: {mask}")),
        // The signature is over the exact body: a masked secret can make none.
        Auth::Hmac(hmac) => Some(format!("{}: {mask}", hmac.header)),
        other => Some(format!("Authorization: {mask} ({other:?})")),
    }
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str, headers: &[&str]) -> Request {
        Request {
            method: "POST".to_owned(),
            url: "https://a.example/x?a=1&b=[2]".to_owned(),
            headers: headers.iter().map(|&header| header.to_owned()).collect(),
            body: RawValue::from_string(body.to_owned()).unwrap(),
        }
    }

    #[test]
    fn a_command_gives_the_shell_exactly_what_is_sent() {
        let body = r#"{"a":"it's $HOME `x` \"q\" \\ é"}"#;
        let curl = request(body, &["Content-Type: application/json", "X-Key: ***"]).curl();
        let words = format!("set -- {}; printf '%s\\n' \"$@\"", curl.strip_prefix("curl ").unwrap());
        let shell = std::process::Command::new("sh").args(["-c", &words]).output().unwrap();
        let words = String::from_utf8(shell.stdout).unwrap();
        let words: Vec<&str> = words.lines().collect();
        let agent = anole_delivery::USER_AGENT;
        let expected =
            ["-X", "POST", "https://a.example/x?a=1&b=[2]", "--globoff", "-H", "Content-Type: application/json"];
        assert_eq!(words[..6], expected);
        assert_eq!(words[6..], ["-H", "X-Key: ***", "-A", agent, "--data-raw", body]);
    }

    #[test]
    fn curl_is_kept_from_adding_a_type_that_is_not_sent() {
        assert!(request("{}", &[]).curl().contains("-H 'Content-Type:'"));
    }

    #[test]
    fn a_body_that_is_no_json_is_shown_as_it_is_sent() {
        let request = request(r#""a=1&b=2""#, &[]);
        assert_eq!(request.lines().last().map(String::as_str), Some("a=1&b=2"));
        assert!(request.curl().ends_with("--data-raw 'a=1&b=2'"));
    }
}

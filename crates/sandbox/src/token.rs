//! Tokens of the client-credentials flow.

use std::collections::VecDeque;
use std::time::Duration;

use anole_http::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use crate::options::Client;
use crate::query::pairs;

/// Tokens that are remembered; the oldest stop working beyond it.
const MOST: usize = 1000;

/// The tokens that were issued.
#[derive(Debug)]
pub(crate) struct Tokens {
    client: Option<Client>,
    life: Duration,
    issued: VecDeque<(String, Timestamp)>,
    count: u64,
}

/// Why no token is issued: the error code of RFC 6749, and a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) code: &'static str,
    pub(crate) text: &'static str,
}

// === impl Tokens ===

impl Tokens {
    pub(crate) const fn new(client: Option<Client>, life: Duration) -> Self {
        Self { client, life, issued: VecDeque::new(), count: 0 }
    }

    /// Issues a token for a form, with the credentials in it or in a Basic header. The token is no secret and needs
    /// no chance: it guards nothing but a stand-in.
    pub(crate) fn issue(&mut self, form: &str, basic: Option<&str>, now: Timestamp) -> Result<String, Denied> {
        let invalid = |text| Denied { code: "invalid_request", text };
        let form = pairs(form).map_err(|_| invalid("the form is not percent-encoded UTF-8"))?;
        let field = |name: &str| form.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        match field("grant_type").as_deref() {
            Some("client_credentials") => {}
            Some(_) => {
                let text = "grant_type must be client_credentials";
                return Err(Denied { code: "unsupported_grant_type", text });
            }
            None => return Err(invalid("grant_type is missing: send a form, not JSON")),
        }
        let given = match basic {
            Some(header) => decoded(header),
            None => field("client_id").zip(field("client_secret")),
        };
        let refused = Denied { code: "invalid_client", text: "the client id or the secret is wrong" };
        let Some((id, secret)) = given else { return Err(refused) };
        if let Some(client) = &self.client {
            let right = id.as_bytes().ct_eq(client.id.as_bytes()) & secret.as_bytes().ct_eq(client.secret.as_bytes());
            if !bool::from(right) {
                return Err(refused);
            }
        }
        self.count += 1;
        let token = format!("sandbox-token-{}", self.count);
        self.issued.push_back((token.clone(), now.after(self.life)));
        if self.issued.len() > MOST {
            self.issued.pop_front();
        }
        Ok(token)
    }

    /// Whether this token is good now.
    pub(crate) fn accepts(&self, token: &str, now: Timestamp) -> bool {
        self.issued.iter().any(|(issued, end)| issued == token && now < *end)
    }

    /// Makes all tokens invalid, as a vendor does when credentials change.
    pub(crate) fn revoke(&mut self) {
        self.issued.clear();
    }

    pub(crate) const fn life(&self) -> Duration {
        self.life
    }
}

fn decoded(basic: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(basic.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "grant_type=client_credentials&client_id=anole&client_secret=s%26t";

    fn tokens() -> Tokens {
        let client = Client { id: "anole".to_owned(), secret: "s&t".to_owned() };
        Tokens::new(Some(client), Duration::from_secs(60))
    }

    #[test]
    fn a_token_is_issued_for_a_form_or_a_basic_header_and_expires() {
        let (mut tokens, now) = (tokens(), Timestamp::from_millis(0));
        let first = tokens.issue(FORM, None, now).unwrap();
        let basic = STANDARD.encode("anole:s&t");
        let second = tokens.issue("grant_type=client_credentials", Some(&basic), now).unwrap();
        assert_ne!(first, second);
        assert!(tokens.accepts(&first, now.after(Duration::from_secs(59))));
        assert!(!tokens.accepts(&first, now.after(Duration::from_secs(60))));
        assert!(!tokens.accepts("else", now));
        tokens.revoke();
        assert!(!tokens.accepts(&second, now));
    }

    #[test]
    fn wrong_credentials_and_wrong_forms_are_denied() {
        let (mut tokens, now) = (tokens(), Timestamp::from_millis(0));
        let code = |tokens: &mut Tokens, form| tokens.issue(form, None, now).unwrap_err().code;
        let wrong = "grant_type=client_credentials&client_id=anole&client_secret=x";
        assert_eq!(code(&mut tokens, wrong), "invalid_client");
        assert_eq!(code(&mut tokens, "grant_type=client_credentials"), "invalid_client");
        assert_eq!(code(&mut tokens, "grant_type=password"), "unsupported_grant_type");
        assert_eq!(code(&mut tokens, "{\"grant_type\":\"client_credentials\"}"), "invalid_request");
    }
}

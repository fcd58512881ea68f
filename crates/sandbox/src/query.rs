//! The query of a request to the events endpoint.

use percent_encoding::percent_decode_str;

/// What the query says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) site: Option<String>,
    /// Holds for all events, whose own is then ignored.
    pub(crate) visitor: Option<String>,
    pub(crate) json: bool,
    /// The visitor's user agent is in the body.
    pub(crate) body_agent: bool,
    /// An alternative to the visitor code that is no longer documented.
    pub(crate) mapping: bool,
    /// A documented-once mode of late events, gone from the documents.
    pub(crate) delayed: bool,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        let mut json = None;
        for (name, value) in pairs(text)? {
            match name.as_str() {
                "siteCode" if query.site.is_some() => return Err("siteCode is given twice".to_owned()),
                "siteCode" => query.site = Some(value),
                "visitorCode" => query.visitor = Some(value),
                "json" if json.is_some() => return Err("json is given twice".to_owned()),
                "json" => {
                    json = Some(match value.as_str() {
                        "true" => true,
                        "false" => false,
                        other => return Err(format!("json must be true or false, not \"{}\"", other.escape_debug())),
                    });
                }
                "bodyUa" => query.body_agent = value == "true",
                "mappingValue" => query.mapping = true,
                "delayed" => query.delayed = value == "true",
                // sdkName, sdkVersion and itp are sent by the vendor's own clients; others are ignored as they do.
                _ => {}
            }
        }
        query.json = json.unwrap_or(false);
        Ok(query)
    }
}

/// The names and values of a query or a form, decoded.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let decoded = |part: &str| {
        // Forms write a blank as a plus.
        let part = part.replace('+', " ");
        percent_decode_str(&part)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| format!("\"{}\" is not percent-encoded UTF-8", part.escape_debug()))
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_its_mistakes_are_named() {
        let query = Query::parse("siteCode=f17c21u1ag&json=true&visitorCode=a%20b").unwrap();
        assert_eq!(query.site.as_deref(), Some("f17c21u1ag"));
        assert_eq!(query.visitor.as_deref(), Some("a b"));
        assert!(query.json);
        assert!(!Query::parse("siteCode=x").unwrap().json, "absent means the line format");
        assert!(Query::parse("json=yes").unwrap_err().contains("\"yes\""));
        assert!(Query::parse("siteCode=a&siteCode=b").is_err());
        assert!(Query::parse("siteCode=%ff").is_err());
    }
}

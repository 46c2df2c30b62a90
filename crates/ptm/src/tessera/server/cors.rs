//! Which web pages may ask (cross-origin resource sharing).

use crate::tessera::reply::{Call, Reply};
use hyper::Method;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};

/// Seconds for which a browser need not ask again whether it may.
const MAX_AGE: &str = "600";

/// What there is to ask with.
const METHODS: &str = "GET, POST, OPTIONS";

/// Which web pages may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Origins such as `https://app.example`; a `*` in one stands for anything.
    pub origins: Vec<String>,
    /// Headers that pages may send; those they ask for where there are none.
    pub headers: Vec<String>,
    /// Whether browsers send what they are logged in with.
    pub credentials: bool,
}

impl Cors {
    fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|pattern| fits(pattern, origin))
    }

    fn origin<'a>(&self, call: &'a Call) -> Option<&'a HeaderValue> {
        let origin = call.headers.get(ORIGIN)?;
        origin.to_str().is_ok_and(|text| self.allows(text)).then_some(origin)
    }

    /// The answer to a browser that asks whether it may ask.
    pub(super) fn preflight(&self, call: &Call) -> Option<Reply> {
        let wanted = call.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if call.method != Method::OPTIONS || !wanted {
            return None;
        }
        let reply = self.allow(Reply::status(200), call);
        if self.origin(call).is_none() {
            return Some(reply);
        }
        let mut reply = reply
            .with(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS))
            .with(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        let listed =
            HeaderValue::from_str(&self.headers.join(", ")).ok().filter(|_| !self.headers.is_empty());
        if let Some(headers) = listed.or_else(|| call.headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned()) {
            reply = reply.with(ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
        Some(reply)
    }

    /// Lets the page read an answer, if it is one of those that may.
    pub(super) fn allow(&self, reply: Reply, call: &Call) -> Reply {
        let reply = reply.with(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.origin(call) else { return reply };
        let reply = reply.with(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let yes: (HeaderName, _) = (ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if self.credentials { reply.with(yes.0, yes.1) } else { reply }
    }
}

/// Whether a text is as a pattern says, in which each `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_with_stars() {
        for (pattern, origin, expected) in [
            ("*", "https://a", true),
            ("https://a", "https://a", true),
            ("https://a", "https://a:1", false),
            ("https://a", "https://ab", false),
            ("https://*.a", "https://x.y.a", true),
            ("https://*.a", "https://x.b", false),
            ("http://localhost:*", "http://localhost:3000", true),
            ("http://*.a:*", "http://x.a:1", true),
            ("http://*.a:*", "http://x.b:1", false),
            ("", "https://a", false),
        ] {
            assert_eq!(fits(pattern, origin), expected, "{pattern} {origin}");
        }
    }
}

//! The media types by which Tessera tells the versions of its JSON apart.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Media {
    /// JSON of the first version: answers to sends have the hash alone.
    Json,
    /// JSON since API 2.1: with managed parties and sender.
    V21,
    /// JSON since API 3.0.
    V30,
    /// JSON since API 4.0: with mandatory recipients. Only for the two ways to send.
    V40,
    /// Bytes.
    Octets,
    /// Text.
    Text,
}

/// All of them, the plainest first: where a client takes anything, it gets that.
const ALL: [Media; 6] = [Media::Json, Media::V21, Media::V30, Media::V40, Media::Octets, Media::Text];

/// The types in which the first version's JSON is offered, and nothing newer.
pub(crate) const PLAIN_JSON: &[Media] = &[Media::Json];
/// The types of those services that have a version 2.1.
pub(crate) const JSON_TO_21: &[Media] = &[Media::Json, Media::V21];
/// The types in which a payload is read.
pub(crate) const JSON_TO_30: &[Media] = &[Media::Json, Media::V21, Media::V30];
/// The types in which a payload is sent.
pub(crate) const JSON_TO_40: &[Media] = &[Media::Json, Media::V21, Media::V30, Media::V40];

impl Media {
    /// Its name in headers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::V21 => "application/vnd.tessera-2.1+json",
            Self::V30 => "application/vnd.tessera-3.0+json",
            Self::V40 => "application/vnd.tessera-4.0+json",
            Self::Octets => "application/octet-stream",
            Self::Text => "text/plain",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let name = name.split(';').next().unwrap_or_default().trim();
        ALL.into_iter().find(|media| media.name().eq_ignore_ascii_case(name))
    }

    /// What the body of a request is; `None` where the header is missing or names something else.
    pub(crate) fn of_body(headers: &HeaderMap) -> Option<Self> {
        Self::from_name(headers.get(CONTENT_TYPE)?.to_str().ok()?)
    }

    /// The first of these that a client takes; `None` where it takes none of them. In whatever order a client names types: what
    /// it names by name goes before what a `*` leaves open.
    pub(crate) fn accepted(headers: &HeaderMap, offered: &[Self]) -> Option<Self> {
        let values: Vec<&str> =
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let names = values.iter().flat_map(|value| value.split(',')).map(str::trim);
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return offered.first().copied();
        }
        let by_name = |name: &&str| Self::from_name(name).filter(|media| offered.contains(media));
        names.iter().find_map(by_name).or_else(|| {
            let open = |media: &&Self| names.iter().any(|name| leaves_open(name, **media));
            offered.iter().find(open).copied()
        })
    }
}

/// Whether this is a type with a star that this one falls under.
fn leaves_open(name: &str, media: Media) -> bool {
    let name = name.split(';').next().unwrap_or_default().trim();
    let kind = media.name().split('/').next().unwrap_or_default();
    name == "*/*"
        || name == "*"
        || name.strip_suffix("/*").is_some_and(|wanted| wanted.eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (ACCEPT, value.parse().unwrap())).collect()
    }

    #[test]
    fn what_a_body_is() {
        let of =
            |value: &str| Media::of_body(&HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]));
        for media in ALL {
            assert_eq!(of(media.name()), Some(media));
        }
        assert_eq!(of("Application/JSON; charset=utf-8"), Some(Media::Json));
        assert_eq!(of("application/vnd.tessera-9.0+json"), None);
        assert_eq!(of("*/*"), None);
        assert_eq!(Media::of_body(&HeaderMap::new()), None);
    }

    #[test]
    fn what_a_client_takes() {
        let cases: [(&[&'static str], Option<Media>); 9] = [
            (&[], Some(Media::Json)),
            (&["*/*"], Some(Media::Json)),
            (&["application/vnd.tessera-2.1+json"], Some(Media::V21)),
            (&["application/vnd.tessera-3.0+json, application/json"], Some(Media::V30)),
            (&["text/html", "application/vnd.tessera-2.1+json;q=0.5"], Some(Media::V21)),
            (&["application/json, text/plain, */*"], Some(Media::Json)),
            (&["application/*"], Some(Media::Json)),
            (&["text/*"], None),
            (&["application/vnd.tessera-4.0+json"], None),
        ];
        for (values, taken) in cases {
            assert_eq!(Media::accepted(&accepting(values), JSON_TO_30), taken, "{values:?}");
        }
    }
}

//! What a manager elsewhere can do, found out as GoQuorum does it at its start.

use super::{MAX_ANSWER_BYTES, Question, away, question_request};
use crate::PtmError;
use crate::tessera::address::Address;
use crate::tessera::http::{Answer, HttpClient};
use crate::tessera::media::Media;

/// The oldest API that tells who sent a payload and which of its parties the manager holds.
const OLDEST_API: (u32, u32) = (2, 1);

/// The API that has mandatory recipients, and a media type for sends.
const MANDATORY_API: (u32, u32) = (4, 0);

/// Versions that a manager may list. Six are known.
const MAX_VERSIONS: usize = 256;

/// What a manager elsewhere can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteFeatures {
    /// The highest version of its API.
    pub api: (u32, u32),
}

impl RemoteFeatures {
    /// Whether it knows mandatory recipients.
    pub fn mandatory_recipients(self) -> bool {
        self.api >= MANDATORY_API
    }

    /// The media type of both ways to send.
    pub(super) fn send_media(self) -> Media {
        if self.api >= MANDATORY_API { Media::V40 } else { Media::V21 }
    }
}

async fn get(http: &HttpClient, address: &Address, path: &str) -> Result<Answer, PtmError> {
    let question = Question { limit: MAX_ANSWER_BYTES, ..Question::get(path.into(), Media::Json) };
    let accept = if path == "/version/api" { Media::Json } else { Media::Text };
    let (request, limit) = question_request(Question { accept, ..question }, address)?;
    http.ask(request, limit).await.map_err(|error| away(address, error))
}

/// Asks whether it is up, whether it is a Tessera, and for its versions.
pub(super) async fn ask(http: &HttpClient, address: &Address) -> Result<RemoteFeatures, PtmError> {
    for path in ["/upcheck", "/version"] {
        let answer = get(http, address, path).await?;
        if answer.status != 200 {
            let text = format!("this is no Tessera that is up: {path} answers {}", answer.error());
            return Err(away(address, text));
        }
    }
    let answer = get(http, address, "/version/api").await?;
    let versions = match answer.status {
        200 => {
            highest(&answer.body).ok_or_else(|| away(address, "its list of API versions cannot be read"))?
        }
        _ => (1, 0),
    };
    if versions < OLDEST_API {
        let ((major, minor), (oldest, from)) = (versions, OLDEST_API);
        let text = format!("its API is version {major}.{minor}, and {oldest}.{from} or newer is needed");
        return Err(away(address, text));
    }
    Ok(RemoteFeatures { api: versions })
}

/// The highest of the versions in a JSON array. Those that are not two numbers are skipped.
fn highest(body: &[u8]) -> Option<(u32, u32)> {
    let versions: Vec<String> = serde_json::from_slice(body).ok()?;
    let numbers = |version: &String| {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    versions.iter().take(MAX_VERSIONS).filter_map(numbers).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_counts() {
        assert_eq!(highest(br#"["1.0","2.0","2.1","3.0","4.0","5.0"]"#), Some((5, 0)));
        assert_eq!(highest(br#"["2.1","10.0","9.9","v2","x.y"]"#), Some((10, 0)));
        assert_eq!(highest(b"[]"), None);
        assert_eq!(highest(b"{}"), None);
        let media = |api| RemoteFeatures { api }.send_media();
        assert_eq!(
            (media((2, 1)), media((3, 0)), media((4, 0)), media((5, 0))),
            (Media::V21, Media::V21, Media::V40, Media::V40)
        );
        assert!(!RemoteFeatures { api: (3, 9) }.mandatory_recipients());
    }
}

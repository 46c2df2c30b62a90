//! Whether a manager holds the keys that it announces: it is sent a riddle that only the key opens.

use super::{DIAL_TIME, Lines, Peers};
use crate::codec::legacy;
use crate::crypto::random_bytes;
use crate::tessera::http::HttpError;
use crate::tessera::media::Media;
use crate::{Addressing, Codec, EncodedPayload, Keyring, Metadata, PeerUrl, PtmError, PublicKey};
use alloy_primitives::Bytes;
use futures::StreamExt;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// For how long a key counts as shown. Peers announce themselves every few seconds.
const VALID_TIME: Duration = Duration::from_secs(600);

/// Keys that are remembered as shown. With more than these, all are asked for anew.
const MAX_REMEMBERED: usize = 65_536;

/// Keys of one announcement that are asked for; the others' turn comes with the next one. A made-up announcement must not make us
/// flood the one it names.
const MAX_ASKED: usize = 64;

/// Riddles that are under way at the same time, whoever is asked.
pub(super) const VALIDATIONS_AT_ONCE: usize = 32;

/// Riddles to one manager at a time.
pub(super) const TO_ONE_AT_ONCE: usize = 8;

/// Announcements at a time whose keys are being asked for. Each keeps one of the server's places for as long as the manager that it
/// names takes: most places stay for those who push.
pub(super) const HEARINGS_AT_ONCE: usize = 16;

/// Keys that were shown to be where they are said to be, and when.
#[derive(Default)]
pub(super) struct Validated(HashMap<(PeerUrl, PublicKey), Instant>);

impl Validated {
    fn holds(&self, url: &PeerUrl, key: &PublicKey, now: Instant) -> bool {
        let shown = self.0.get(&(url.clone(), *key));
        shown.is_some_and(|shown| now.saturating_duration_since(*shown) < VALID_TIME)
    }

    fn remember(&mut self, url: &PeerUrl, key: PublicKey, now: Instant) {
        if self.0.len() >= MAX_REMEMBERED {
            self.0.retain(|_, shown| now.saturating_duration_since(*shown) < VALID_TIME);
        }
        if self.0.len() >= MAX_REMEMBERED {
            self.0.clear();
        }
        self.0.insert((url.clone(), key), now);
    }
}

impl Peers {
    /// Those of these keys that the manager at this URL holds. Where it leaves one riddle without an answer it is not asked for
    /// more. `None` where too many others are being asked.
    pub(super) async fn valid_keys(&self, url: &PeerUrl, claimed: Vec<PublicKey>) -> Option<Vec<PublicKey>> {
        let now = Instant::now();
        let (mut valid, unknown): (Vec<_>, Vec<_>) = {
            let validated = self.validated.lock();
            claimed.into_iter().partition(|key| validated.holds(url, key, now))
        };
        if unknown.is_empty() {
            return Some(valid);
        }
        let _hearing = self.hearings.try_acquire().ok()?;
        let asked = unknown.into_iter().take(MAX_ASKED).map(|key| async move {
            let _place = self.validations.acquire().await.ok()?;
            match self.lines.solves(self.manager.keyring(), url, key).await {
                Ok(solved) => Some((key, solved)),
                Err(error) => {
                    tracing::debug!(%url, %key, %error, "a peer did not show that it holds its key");
                    None
                }
            }
        });
        let mut answers = futures::stream::iter(asked).buffered(TO_ONE_AT_ONCE);
        while let Some(Some((key, solved))) = answers.next().await {
            if solved {
                self.validated.lock().remember(url, key, now);
                valid.push(key);
            }
        }
        Some(valid)
    }
}

impl Lines {
    /// Whether the manager at this URL opens what is sealed for this key.
    async fn solves(&self, keyring: &Keyring, url: &PeerUrl, key: PublicKey) -> Result<bool, HttpError> {
        let Ok((riddle, solution)) = riddle(keyring, key) else { return Ok(false) };
        let time = DIAL_TIME.saturating_mul(2);
        let answer = self.post(url, "/partyinfo/validate", Media::Octets.name(), riddle, time).await?;
        Ok(answer.is_success() && answer.body == solution.as_bytes())
    }
}

/// A random UUID, sealed for a key, and the UUID.
fn riddle(keyring: &Keyring, key: PublicKey) -> Result<(Vec<u8>, String), PtmError> {
    let random = random_bytes::<16>().map_err(|error| PtmError::Unavailable(error.to_string()))?;
    let uuid = uuid(random);
    let sender = keyring.default_key();
    let metadata = Metadata::default();
    let addressing = Addressing { recipients: &[key], metadata: &metadata, affected: &[] };
    let envelope = EncodedPayload::encrypt(keyring, sender, uuid.as_bytes(), &addressing)?;
    Ok((envelope.encode(Codec::Legacy), uuid))
}

/// The text of a random UUID (RFC 9562, version 4).
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = alloy_primitives::hex::encode(bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part).unwrap_or_default());
    parts.join("-")
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// The solution of somebody's riddle. Nothing but a UUID is ever given away: whoever asks may have taken the envelope from
/// elsewhere.
pub(crate) fn solve(keyring: &Keyring, body: &Bytes) -> Option<String> {
    // Enough for a UUID: what is longer is no riddle.
    const MAX_CIPHER_TEXT: usize = 256;
    let wire = legacy::decode(body).ok()?;
    let envelope = EncodedPayload::try_from(wire).ok()?;
    if envelope.cipher_text.len() > MAX_CIPHER_TEXT {
        return None;
    }
    let (_, text) = envelope.decrypt(keyring).ok()?;
    let text = String::from_utf8(text.to_vec()).ok()?;
    is_uuid(&text).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyPair;

    fn keyring(secret: u8) -> Keyring {
        Keyring::new(vec![KeyPair::from_secret(&[secret; 32])]).unwrap()
    }

    #[test]
    fn only_the_key_solves_it() {
        let (asker, asked, other) = (keyring(1), keyring(2), keyring(3));
        let (body, solution) = riddle(&asker, asked.default_key()).unwrap();
        assert!(is_uuid(&solution));
        assert_eq!(solve(&asked, &body.clone().into()), Some(solution));
        assert_eq!(solve(&other, &body.clone().into()), None);
        assert_eq!(solve(&asked, &body[1..].to_vec().into()), None);
    }

    #[test]
    fn nothing_but_a_uuid_is_given_away() {
        let (asker, asked) = (keyring(1), keyring(2));
        for payload in
            ["secret".into(), "0".repeat(36), format!("{}x", uuid([7; 16])), uuid([7; 16]).replace('4', "g")]
        {
            let metadata = Metadata::default();
            let addressing = Addressing { recipients: asked.keys(), metadata: &metadata, affected: &[] };
            let envelope =
                EncodedPayload::encrypt(&asker, asker.default_key(), payload.as_bytes(), &addressing);
            assert_eq!(solve(&asked, &envelope.unwrap().encode(Codec::Legacy).into()), None, "{payload}");
        }
    }

    #[test]
    fn what_was_shown_is_forgotten_in_time_and_bounded() {
        let mut validated = Validated::default();
        let (url, key, now) = ("http://a".parse().unwrap(), PublicKey([1; 32]), Instant::now());
        validated.remember(&url, key, now);
        assert!(validated.holds(&url, &key, now) && !validated.holds(&url, &key, now + VALID_TIME));
        assert!(!validated.holds(&"http://b".parse().unwrap(), &key, now));
        for number in 0..=MAX_REMEMBERED as u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_be_bytes());
            validated.remember(&url, PublicKey(key), now);
            assert!(validated.0.len() <= MAX_REMEMBERED);
        }
    }
}

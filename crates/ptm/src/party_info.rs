//! What managers tell each other about who is where.

use crate::PublicKey;
use crate::codec::{CodecError, Reader, put_array, put_count, put_field};
use crate::limits::{MAX_ANNOUNCED, MAX_URL_BYTES};
use crate::url::PeerUrl;
use alloy_primitives::Bytes;

/// One manager's view: its own URL, whose keys are where, and which other managers there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyInfo {
    /// Who says this.
    pub url: PeerUrl,
    /// Keys and the managers that hold them. Managers since 0.10 tell only their own.
    pub recipients: Vec<(PublicKey, PeerUrl)>,
    /// All managers that the speaker knows, itself included.
    pub parties: Vec<PeerUrl>,
}

impl PartyInfo {
    /// What says no more than who speaks: the answer to somebody else's.
    pub fn of(url: PeerUrl) -> Self {
        Self { url, recipients: Vec::new(), parties: Vec::new() }
    }

    /// The keys that the speaker claims for itself. What it says of others is not to be believed.
    pub fn own_keys(&self) -> impl Iterator<Item = PublicKey> {
        self.recipients.iter().filter(|(_, url)| *url == self.url).map(|(key, _)| *key)
    }

    /// Reads it. What is no URL among others' is left out: a peer of a peer with a wrong configuration does no harm. The
    /// speaker's own has to be one.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let what = "the speaker's URL";
        let url = reader.text(MAX_URL_BYTES, what)?;
        let url = url.parse().map_err(|_| CodecError::WrongType { what, want: "the URL of a manager" })?;
        let mut info = Self::of(url);
        for _ in 0..reader.count(MAX_ANNOUNCED, "the keys")? {
            let key = reader.field(MAX_URL_BYTES, "a key")?;
            let wrong = CodecError::WrongLength { what: "a key", got: key.len(), want: PublicKey::LENGTH };
            let key = PublicKey::try_from(key.as_ref()).map_err(|_| wrong)?;
            if let Ok(url) = reader.text(MAX_URL_BYTES, "the URL of a key")?.parse() {
                info.recipients.push((key, url));
            }
        }
        for _ in 0..reader.count(MAX_ANNOUNCED, "the parties")? {
            if let Ok(url) = reader.text(MAX_URL_BYTES, "the URL of a party")?.parse() {
                info.parties.push(url);
            }
        }
        Ok(info)
    }

    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_field(&mut out, self.url.as_str().as_bytes());
        put_count(&mut out, self.recipients.len());
        for (key, url) in &self.recipients {
            put_field(&mut out, &key.0);
            put_field(&mut out, url.as_str().as_bytes());
        }
        let parties: Vec<_> = self.parties.iter().map(PeerUrl::as_str).collect();
        put_array(&mut out, &parties);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, key, text, vectors};
    use proptest::prelude::*;
    use serde_json::Value;

    fn url(text: &str) -> PeerUrl {
        text.parse().unwrap()
    }

    fn of_vector(vector: &Value) -> PartyInfo {
        let list = |field: &str| vector[field].as_array().unwrap().clone();
        PartyInfo {
            url: url(text(vector, "url")),
            recipients: list("recipients").iter().map(|r| (key(r, "key"), url(text(r, "url")))).collect(),
            parties: list("parties").iter().map(|party| url(party.as_str().unwrap())).collect(),
        }
    }

    #[test]
    fn as_tessera_writes_it() {
        for vector in vectors!("party_info.json") {
            let info = of_vector(&vector);
            let encoded = bytes(&vector, "encodedHex");
            assert_eq!(info.encode(), encoded);
            assert_eq!(PartyInfo::decode(&encoded), Ok(info));
            for end in 0..encoded.len() {
                assert!(PartyInfo::decode(&encoded.slice(..end)).is_err(), "{end}");
            }
        }
    }

    /// The same layout with any text and key.
    fn encoded(own: &[u8], keys: &[(&[u8], &str)], parties: &[&str]) -> Bytes {
        let mut out = Vec::new();
        put_field(&mut out, own);
        put_count(&mut out, keys.len());
        for (key, url) in keys {
            put_field(&mut out, key);
            put_field(&mut out, url.as_bytes());
        }
        put_array(&mut out, parties);
        out.into()
    }

    #[test]
    fn own_keys_are_those_at_the_own_url() {
        let (own, other) = ([1; 32], [2; 32]);
        let keys: [(&[u8], &str); 3] =
            [(&own, "http://tm:1"), (&other, "http://other:1/"), (&other, "nonsense")];
        let info = PartyInfo::decode(&encoded(b"http://tm:1/", &keys, &["nonsense", "http://c"])).unwrap();
        assert_eq!(info.own_keys().collect::<Vec<_>>(), [PublicKey(own)]);
        assert_eq!(info.recipients.len(), 2);
        assert_eq!(info.parties, [url("http://c")]);
    }

    #[test]
    fn nonsense_is_refused() {
        let what = |bytes: Bytes| PartyInfo::decode(&bytes).unwrap_err().to_string();
        assert_eq!(what(encoded(b"tm", &[], &[])), "the speaker's URL is not the URL of a manager");
        assert_eq!(what(encoded(&[0xff], &[], &[])), "the speaker's URL is not UTF-8 text");
        assert_eq!(
            what(encoded(b"http://tm", &[(&[1; 91], "http://tm")], &[])),
            "a key has 91 bytes, 32 are expected"
        );
        let mut many = Vec::new();
        put_field(&mut many, b"http://tm");
        many.extend_from_slice(&u64::MAX.to_be_bytes());
        assert!(what(many.clone().into()).starts_with("the keys: "));
        many.truncate(many.len() - 8);
        put_count(&mut many, 3);
        many.extend_from_slice(&[0; 16]);
        assert_eq!(what(many.into()), "the bytes end inside the keys");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            keys in proptest::collection::vec((any::<[u8; 32]>(), "[a-z]{1,9}"), 0..5),
            parties in proptest::collection::vec("[a-z]{1,9}", 0..5),
        ) {
            let info = PartyInfo {
                url: url("http://tm"),
                recipients: keys.iter().map(|(key, host)| (PublicKey(*key), url(&format!("http://{host}")))).collect(),
                parties: parties.iter().map(|host| url(&format!("https://{host}/x"))).collect(),
            };
            prop_assert_eq!(PartyInfo::decode(&info.encode().into()), Ok(info));
        }

        #[test]
        fn no_bytes_are_a_trap(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..100usize, with in any::<u8>()) {
            let _ = PartyInfo::decode(&bytes.into());
            let keys: [(&[u8], &str); 1] = [(&[3; 32], "http://tm/")];
            let mut almost = encoded(b"http://tm", &keys, &["http://a"]).to_vec();
            let at = at % almost.len();
            almost[at] = with;
            let _ = PartyInfo::decode(&almost.into());
        }
    }
}

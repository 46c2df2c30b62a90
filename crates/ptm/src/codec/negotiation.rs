//! Which API versions a peer understands, and so which encoding and which privacy modes it can take.
//!
//! Every request between managers carries the sender's versions in a header. A sender encodes with the best encoding that
//! the *recipient* announced; a recipient decodes with the best one named in *that request's* header. So whoever announces
//! 5.0 must also write CBOR to those who announced it.

use super::Codec;
use crate::{PrivacyMode, PtmError, PublicKey};

/// The header that carries the versions.
pub const VERSIONS_HEADER: &str = "tesseraSupportedApiVersions";

/// What the header says of a manager that reads and writes both encodings.
pub const VERSIONS: &str = "2.1,3.0,4.0,5.0,v1,v2";

/// The same for one that was told to keep to the legacy encoding.
pub const VERSIONS_WITHOUT_CBOR: &str = "2.1,3.0,4.0,v1,v2";

/// What `GET /version/api` says, in numeric order.
pub const API_VERSIONS: [&str; 6] = ["1.0", "2.0", "2.1", "3.0", "4.0", "5.0"];

/// How much of a header is looked at. All names known today take a few dozen bytes.
const MAX_HEADER_BYTES: usize = 1_024;

/// The versions that a peer announced, as far as they matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerVersions {
    /// `5.0`: reads CBOR.
    pub cbor: bool,
    /// `v2`: knows the privacy modes.
    pub enhancements: bool,
    /// `4.0`: knows mandatory recipients.
    pub mandatory: bool,
    /// `3.0`: knows privacy groups.
    pub groups: bool,
}

impl PeerVersions {
    /// Reads the header's value; `None` where a request has none. Names are split at commas and not trimmed, as Tessera
    /// does it; unknown ones are skipped.
    pub fn from_header(value: Option<&str>) -> Self {
        let mut versions = Self::default();
        let value = value.filter(|value| value.len() <= MAX_HEADER_BYTES).unwrap_or_default();
        for name in value.split(',') {
            match name {
                "5.0" => versions.cbor = true,
                "v2" => versions.enhancements = true,
                "4.0" => versions.mandatory = true,
                "3.0" => versions.groups = true,
                _ => {}
            }
        }
        versions
    }

    /// The best encoding that this peer reads.
    pub fn codec(self) -> Codec {
        if self.cbor { Codec::Cbor } else { Codec::Legacy }
    }

    /// Refuses to send what the recipient's manager would not understand.
    pub fn check(self, recipient: &PublicKey, mode: PrivacyMode, group: bool) -> Result<(), PtmError> {
        let refusal = |what: &str| Err(PtmError::Violation(format!("{what} on recipient {recipient}")));
        if mode != PrivacyMode::Standard && !self.enhancements {
            return refusal("Transactions with enhanced privacy is not currently supported");
        }
        if mode == PrivacyMode::MandatoryRecipients && !self.mandatory {
            return refusal("Transactions with mandatory recipients are not currently supported");
        }
        if group && !self.groups {
            return refusal("Transactions with privacy groups are not currently supported");
        }
        Ok(())
    }
}

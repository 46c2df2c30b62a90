//! The JSON of private keys.

use super::{ArgonOptions, ArgonVariant, KeyFileError, LockedKey, Password, PrivateKeyFile, SALT_BYTES};
use crate::base64;
use crate::crypto::KeyPair;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The names in the file. All of them optional, so that what is missing can be named, and serde never quotes a secret.
#[derive(Deserialize, Serialize)]
struct Outer {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Default, Deserialize, Serialize)]
struct Data {
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aopts: Option<Options>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asalt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sbox: Option<String>,
    #[serde(skip_serializing)]
    password: Option<Zeroizing<String>>,
}

#[derive(Deserialize, Serialize)]
struct Options {
    variant: Option<String>,
    memory: Option<u32>,
    iterations: Option<u32>,
    parallelism: Option<u32>,
}

/// A field's `N` bytes.
fn fixed<const N: usize>(
    text: Option<&str>,
    field: &'static str,
    want: &'static str,
) -> Result<Zeroizing<[u8; N]>, KeyFileError> {
    let text = text.ok_or(KeyFileError::Missing(field))?;
    // The bytes of a private key are among these: no copy stays behind.
    let bytes = Zeroizing::new(base64::decode(text).ok_or(KeyFileError::BadField { field, want })?);
    let mut array = Zeroizing::new([0; N]);
    if bytes.len() != N {
        return Err(KeyFileError::BadField { field, want });
    }
    array.copy_from_slice(&bytes);
    Ok(array)
}

impl Options {
    /// Where the variant is missing, Tessera reads Argon2id.
    fn parse(&self) -> Result<ArgonOptions, KeyFileError> {
        let variant = match self.variant.as_deref() {
            Some("i") => ArgonVariant::I,
            Some("d") => ArgonVariant::D,
            Some("id") | None => ArgonVariant::Id,
            Some(_) => return Err(KeyFileError::BadField { field: "aopts.variant", want: "i, d or id" }),
        };
        Ok(ArgonOptions {
            variant,
            memory_kib: self.memory.ok_or(KeyFileError::Missing("aopts.memory"))?,
            iterations: self.iterations.ok_or(KeyFileError::Missing("aopts.iterations"))?,
            parallelism: self.parallelism.ok_or(KeyFileError::Missing("aopts.parallelism"))?,
        })
    }
}

impl From<ArgonOptions> for Options {
    fn from(options: ArgonOptions) -> Self {
        let variant = match options.variant {
            ArgonVariant::I => "i",
            ArgonVariant::D => "d",
            ArgonVariant::Id => "id",
        };
        Self {
            variant: Some(variant.into()),
            memory: Some(options.memory_kib),
            iterations: Some(options.iterations),
            parallelism: Some(options.parallelism),
        }
    }
}

impl Data {
    fn locked(&self) -> Result<LockedKey, KeyFileError> {
        let want = "8 to 128 bytes in base64";
        let asalt = self.asalt.as_deref().ok_or(KeyFileError::Missing("asalt"))?;
        let salt = base64::decode(asalt).filter(|salt| SALT_BYTES.contains(&salt.len()));
        let options = self.aopts.as_ref().map_or(Ok(ArgonOptions::TESSERA), Options::parse)?;
        // What cannot be opened anyway is said at once, and not after somebody typed a password.
        options.argon()?;
        Ok(LockedKey {
            options,
            salt: salt.ok_or(KeyFileError::BadField { field: "asalt", want })?,
            nonce: *fixed(self.snonce.as_deref(), "snonce", "24 bytes in base64")?,
            sealed: *fixed(self.sbox.as_deref(), "sbox", "48 bytes in base64")?,
            password: self.password.as_ref().map(|password| Password(password.clone())),
        })
    }
}

impl PrivateKeyFile {
    /// Reads the JSON of a private key. Fields that it does not know are skipped.
    pub fn parse(json: &str) -> Result<Self, KeyFileError> {
        let outer: Outer = serde_json::from_str(json)
            .map_err(|error| KeyFileError::NotJson { line: error.line(), column: error.column() })?;
        let data = outer.data.ok_or(KeyFileError::Missing("data"))?;
        match outer.kind.as_deref() {
            Some("unlocked") => {
                let bytes = data.bytes.as_ref().map(|bytes| bytes.as_str());
                let secret = fixed(bytes, "bytes", "32 bytes in base64")?;
                Ok(Self::Unlocked(KeyPair::from_secret(&secret)))
            }
            Some("argon2sbox") => data.locked().map(Self::Locked),
            Some(_) => Err(KeyFileError::BadField { field: "type", want: "unlocked or argon2sbox" }),
            None => Err(KeyFileError::Missing("type")),
        }
    }

    /// Writes the JSON, in one line. A password that stood inside is left out.
    pub fn to_json(&self) -> Zeroizing<String> {
        let (kind, data) = match self {
            Self::Unlocked(pair) => {
                let bytes = Zeroizing::new(base64::encode(pair.secret()));
                ("unlocked", Data { bytes: Some(bytes), ..Data::default() })
            }
            Self::Locked(locked) => (
                "argon2sbox",
                Data {
                    aopts: Some(locked.options.into()),
                    snonce: Some(base64::encode(&locked.nonce)),
                    asalt: Some(base64::encode(&locked.salt)),
                    sbox: Some(base64::encode(&locked.sealed)),
                    ..Data::default()
                },
            ),
        };
        let outer = Outer { kind: Some(kind.into()), data: Some(data) };
        Zeroizing::new(serde_json::to_string(&outer).expect("text and numbers are always JSON"))
    }
}

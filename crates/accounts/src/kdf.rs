//! From a password to a key: scrypt (RFC 7914) and PBKDF2 with HMAC-SHA-256 (RFC 8018), within bounds.
//!
//! The file says how dear the derivation is, and whoever hands us a file may mean harm. So its numbers are looked at
//! before anything is allocated or computed.

use crate::{AccountError, Password};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes that are derived: half of them encrypt, the others go into the sum.
pub(crate) const DERIVED_BYTES: usize = 32;

/// Most memory that a derivation may take, bytes: twice what geth's standard takes, an eighth of a small machine.
const SCRYPT_MEMORY_MAX: u128 = 512 << 20;
/// Most work of one scrypt, as `n · r · p`: eight times geth's standard, some seconds.
const SCRYPT_WORK_MAX: u128 = 1 << 24;
/// Most rounds of PBKDF2: forty times what files are written with, some seconds.
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;
/// Longest salt that is read, bytes: all writers use 32.
const SALT_BYTES_MAX: usize = 1_024;

/// Block size of scrypt in files that we write, as all wallets use it.
const R: u32 = 8;

/// How dear the derivation in new files is: what it costs to open one, and to guess its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strength {
    log_n: u8,
    p: u32,
}

impl Strength {
    /// geth's standard: 256 MiB and about a second.
    pub const STANDARD: Self = Self { log_n: 18, p: 1 };
    /// geth's light form: 4 MiB and a tenth of a second, for machines that are short of memory.
    pub const LIGHT: Self = Self { log_n: 12, p: 6 };
    /// Next to nothing, for tests.
    #[doc(hidden)]
    pub const NONE: Self = Self { log_n: 1, p: 1 };
}

/// A derivation whose cost is within the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kdf {
    Scrypt { log_n: u8, r: u32, p: u32, salt: Vec<u8> },
    Pbkdf2 { rounds: u32, salt: Vec<u8> },
}

/// The parameters of scrypt, as files have them.
#[derive(Deserialize)]
struct ScryptFields {
    dklen: u64,
    n: u64,
    p: u32,
    r: u32,
    salt: String,
}

/// The parameters of PBKDF2, as files have them.
#[derive(Deserialize)]
struct Pbkdf2Fields {
    c: u64,
    dklen: u64,
    prf: String,
    salt: String,
}

impl Kdf {
    /// A derivation for a new file.
    pub(crate) fn new(strength: Strength, salt: [u8; 32]) -> Self {
        Self::Scrypt { log_n: strength.log_n, r: R, p: strength.p, salt: salt.to_vec() }
    }

    /// Reads `kdf` and `kdfparams` of a file.
    pub(crate) fn read(name: &str, fields: Value) -> Result<Self, AccountError> {
        let refuse = |error: serde_json::Error| AccountError::Malformed(format!("kdfparams: {error}"));
        match name {
            "scrypt" => Self::scrypt(serde_json::from_value(fields).map_err(refuse)?),
            "pbkdf2" => Self::pbkdf2(serde_json::from_value(fields).map_err(refuse)?),
            other => Err(AccountError::Malformed(format!(
                "the key derivation {:?} is not known; scrypt and pbkdf2 are",
                other.chars().take(40).collect::<String>()
            ))),
        }
    }

    /// `kdf` and `kdfparams` for a file.
    pub(crate) fn write(&self) -> (&'static str, Value) {
        match self {
            Self::Scrypt { log_n, r, p, salt } => {
                let n = 1_u64 << log_n;
                let salt = alloy_primitives::hex::encode(salt);
                (
                    "scrypt",
                    serde_json::json!({ "dklen": DERIVED_BYTES, "n": n, "p": p, "r": r, "salt": salt }),
                )
            }
            Self::Pbkdf2 { rounds, salt } => {
                let salt = alloy_primitives::hex::encode(salt);
                let fields = serde_json::json!({
                    "c": rounds, "dklen": DERIVED_BYTES, "prf": "hmac-sha256", "salt": salt
                });
                ("pbkdf2", fields)
            }
        }
    }

    fn scrypt(fields: ScryptFields) -> Result<Self, AccountError> {
        let ScryptFields { dklen, n, p, r, salt } = fields;
        check_length(dklen)?;
        if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
            return Err(AccountError::Malformed(format!("scrypt with n={n}, r={r}, p={p} does not exist")));
        }
        let (wide_n, wide_r, wide_p) = (u128::from(n), u128::from(r), u128::from(p));
        // Every factor is below 2^64 and two of them below 2^32: nothing overflows.
        let (memory, work) = (128 * wide_r * (wide_n + wide_p), wide_n * wide_r * wide_p);
        if memory > SCRYPT_MEMORY_MAX || work > SCRYPT_WORK_MAX {
            return Err(AccountError::Malformed(format!(
                "scrypt with n={n}, r={r}, p={p} would take {} MiB and {} times the usual work; {} MiB and {} times \
                 are the most",
                memory >> 20,
                work >> 21,
                SCRYPT_MEMORY_MAX >> 20,
                SCRYPT_WORK_MAX >> 21
            )));
        }
        let log_n = u8::try_from(n.trailing_zeros()).expect("a 64-bit number has less than 64 zeros");
        Ok(Self::Scrypt { log_n, r, p, salt: read_salt(&salt)? })
    }

    fn pbkdf2(fields: Pbkdf2Fields) -> Result<Self, AccountError> {
        let Pbkdf2Fields { c, dklen, prf, salt } = fields;
        check_length(dklen)?;
        if prf != "hmac-sha256" {
            return Err(AccountError::Malformed("pbkdf2 with another prf than hmac-sha256".into()));
        }
        let rounds = u32::try_from(c).ok().filter(|rounds| (1..=PBKDF2_ROUNDS_MAX).contains(rounds));
        let rounds = rounds.ok_or_else(|| {
            AccountError::Malformed(format!("pbkdf2 with {c} rounds; 1 to {PBKDF2_ROUNDS_MAX} are taken"))
        })?;
        Ok(Self::Pbkdf2 { rounds, salt: read_salt(&salt)? })
    }

    /// Takes its time, and the memory that the bounds allow.
    pub(crate) fn derive(&self, password: &Password) -> Zeroizing<[u8; DERIVED_BYTES]> {
        let mut derived = Zeroizing::new([0; DERIVED_BYTES]);
        match self {
            Self::Scrypt { log_n, r, p, salt } => {
                let params =
                    scrypt::Params::new(*log_n, *r, *p).expect("the bounds are narrower than scrypt's");
                scrypt::scrypt(password.as_bytes(), salt, &params, derived.as_mut())
                    .expect("32 bytes can be derived");
            }
            Self::Pbkdf2 { rounds, salt } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, *rounds, derived.as_mut());
            }
        }
        derived
    }
}

/// The format uses the first 32 derived bytes. They are the same whatever length is asked for, so a longer one costs us
/// nothing.
fn check_length(dklen: u64) -> Result<(), AccountError> {
    match dklen < DERIVED_BYTES as u64 {
        true => Err(AccountError::Malformed(format!("dklen is {dklen}, at least {DERIVED_BYTES} is needed"))),
        false => Ok(()),
    }
}

fn read_salt(text: &str) -> Result<Vec<u8>, AccountError> {
    let salt = alloy_primitives::hex::decode(text)
        .map_err(|_| AccountError::Malformed("the salt is not hex".into()))?;
    match salt.len() > SALT_BYTES_MAX {
        true => Err(AccountError::Malformed(format!("the salt is longer than {SALT_BYTES_MAX} bytes"))),
        false => Ok(salt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scrypt(n: u64, r: u64, p: u64) -> Result<Kdf, AccountError> {
        Kdf::read("scrypt", json!({ "dklen": 32, "n": n, "r": r, "p": p, "salt": "00" }))
    }

    fn refusal(result: Result<Kdf, AccountError>) -> String {
        result.unwrap_err().to_string()
    }

    /// RFC 7914, section 12: the first 32 of 64 bytes.
    #[test]
    fn scrypt_is_that_of_the_rfc() {
        let salt = alloy_primitives::hex::encode("NaCl");
        let kdf =
            Kdf::read("scrypt", json!({ "dklen": 64, "n": 1024, "r": 8, "p": 16, "salt": salt })).unwrap();
        let expected =
            alloy_primitives::hex!("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162");
        assert_eq!(*kdf.derive(&"password".into()), expected);
    }

    /// RFC 7914, section 11: the first 32 of 64 bytes.
    #[test]
    fn pbkdf2_is_that_of_the_rfc() {
        let salt = alloy_primitives::hex::encode("salt");
        let fields = json!({ "dklen": 64, "c": 1, "prf": "hmac-sha256", "salt": salt });
        let expected =
            alloy_primitives::hex!("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
        assert_eq!(*Kdf::read("pbkdf2", fields).unwrap().derive(&"passwd".into()), expected);
    }

    #[test]
    fn what_wallets_write_is_within_the_bounds() {
        for (n, r, p) in [(1 << 18, 8, 1), (1 << 18, 1, 8), (1 << 17, 8, 1), (4_096, 8, 6), (2, 8, 1)] {
            assert!(scrypt(n, r, p).is_ok(), "n={n} r={r} p={p}");
        }
        for rounds in [1, 10_240, 262_144, 1_000_000] {
            let fields = json!({ "dklen": 32, "c": rounds, "prf": "hmac-sha256", "salt": "" });
            assert!(Kdf::read("pbkdf2", fields).is_ok(), "{rounds}");
        }
    }

    #[test]
    fn hostile_parameters_are_refused_before_anything_is_done() {
        for (n, r, p) in [
            (1 << 62, 8, 1),
            (1 << 63, u64::from(u32::MAX), u64::from(u32::MAX)),
            (1 << 20, 8, 1),
            (2, u64::from(u32::MAX), 1),
            (2, 1, u64::from(u32::MAX)),
            (1 << 18, 8, 64),
        ] {
            assert!(refusal(scrypt(n, r, p)).contains("the most"), "n={n} r={r} p={p}");
        }
        for (n, r, p) in [(0, 8, 1), (1, 8, 1), (1_000, 8, 1), (4_096, 0, 1), (4_096, 8, 0)] {
            assert!(refusal(scrypt(n, r, p)).contains("does not exist"), "n={n} r={r} p={p}");
        }
        assert!(refusal(scrypt(2, 1 << 40, 1)).contains("kdfparams"));
        for rounds in [json!(0), json!(u64::MAX), json!(10_000_001)] {
            let fields = json!({ "dklen": 32, "c": rounds, "prf": "hmac-sha256", "salt": "" });
            assert!(refusal(Kdf::read("pbkdf2", fields)).contains("rounds"), "{rounds}");
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let fields = json!({ "dklen": 16, "n": 2, "r": 8, "p": 1, "salt": "" });
        assert!(refusal(Kdf::read("scrypt", fields)).contains("dklen is 16"));
        let fields = json!({ "dklen": 32, "c": 1, "prf": "hmac-sha512", "salt": "" });
        assert!(refusal(Kdf::read("pbkdf2", fields)).contains("hmac-sha256"));
        assert!(refusal(Kdf::read("argon2", json!({}))).contains("argon2"));
        assert!(refusal(Kdf::read("scrypt", json!({ "n": 2 }))).contains("dklen"));
        let fields = json!({ "dklen": 32, "n": 2, "r": 8, "p": 1, "salt": "zz" });
        assert!(refusal(Kdf::read("scrypt", fields)).contains("salt is not hex"));
        let fields = json!({ "dklen": 32, "n": 2, "r": 8, "p": 1, "salt": "00".repeat(2_000) });
        assert!(refusal(Kdf::read("scrypt", fields)).contains("salt is longer"));
    }
}

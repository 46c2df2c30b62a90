//! Records in a byte stream: `length (4) | crc32c (4) | payload`, numbers big-endian. Pure, so that the
//! simulator's disk and the real one share it.
//!
//! The checksum covers length and payload: a stretch of zeros, which a file system may leave after a power
//! cut, is not a record.

/// The longest payload. A consensus record may hold a whole block with its justification.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

const HEAD_BYTES: usize = 8;

/// What a disk writes whole or not at all, bytes.
const SECTOR_BYTES: usize = 512;

/// Appends one record. A payload above [`MAX_RECORD_BYTES`] would not be read back; callers write far less.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(length, payload).to_be_bytes());
    out.extend_from_slice(payload);
}

/// The records from the start up to the first bytes that are none, and how many bytes they fill.
pub fn decode_all(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let mut records = Vec::new();
    let mut valid = 0;
    while let Some(payload) = bytes.get(valid..).and_then(decode_one) {
        records.push(payload.to_vec());
        valid += HEAD_BYTES + payload.len();
    }
    (records, valid)
}

/// Whether a whole record begins anywhere in `bytes`. After a place that cannot be read it tells damage in
/// the middle from a torn end.
pub fn contains_record(bytes: &[u8]) -> bool {
    (0..bytes.len())
        .any(|start| bytes.get(start..).and_then(decode_one).is_some_and(|payload| !payload.is_empty()))
}

/// All records of damaged bytes, and how many bytes are none.
pub fn decode_around(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut records, mut lost, mut place) = (Vec::new(), 0, 0);
    while let Some(rest) = bytes.get(place..).filter(|rest| !rest.is_empty()) {
        match decode_one(rest).filter(|payload| !payload.is_empty()) {
            Some(payload) => {
                records.push(payload.to_vec());
                place += HEAD_BYTES + payload.len();
            }
            None => {
                lost += 1;
                place += 1;
            }
        }
    }
    (records, lost)
}

/// Whether `bytes`, which begin at the place `at` of a file and are no record, are all of one: such a one was written
/// whole, and damaged later. One that a crash cut short ends too early, or with sectors that were never written.
pub fn is_damaged_whole(bytes: &[u8], at: usize) -> bool {
    let Some((head, payload)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return false };
    let [a, b, c, d, sum @ ..] = *head;
    let Ok(length) = u32::try_from(payload.len()) else { return false };
    if u32::from_be_bytes([a, b, c, d]) == length {
        return !has_unwritten_end(bytes, at);
    }
    checksum(length.to_be_bytes(), payload) == u32::from_be_bytes(sum)
}

fn has_unwritten_end(bytes: &[u8], at: usize) -> bool {
    let last_sector = (at + bytes.len()).saturating_sub(1) / SECTOR_BYTES * SECTOR_BYTES;
    let unwritten = bytes.get(last_sector.saturating_sub(at)..).unwrap_or_default();
    unwritten.iter().all(|byte| *byte == 0)
}

fn decode_one(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let payload_length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let payload = rest.get(..payload_length).filter(|_| payload_length <= MAX_RECORD_BYTES)?;
    (checksum(*length, payload) == u32::from_be_bytes(*sum)).then_some(payload)
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    !crc32c_update(crc32c_update(!0, &length), payload)
}

/// CRC-32C of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    !crc32c_update(!0, bytes)
}

/// CRC-32C (Castagnoli): polynomial 0x1EDC6F41, reflected (RFC 3720, appendix B.4).
fn crc32c_update(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| CRC_TABLE[usize::from(sum as u8 ^ byte)] ^ (sum >> 8))
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = index as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Check values of RFC 3720, appendix B.4, and of the CRC catalogue.
    #[test]
    fn crc32c_vectors() {
        for (bytes, sum) in [
            (&b"123456789"[..], 0xe306_9283),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&b""[..], 0),
        ] {
            assert_eq!(crc32c(bytes), sum);
        }
    }

    #[test]
    fn zeros_are_not_a_record() {
        assert_eq!(decode_all(&[0; 64]), (vec![], 0));
        assert!(!contains_record(&[0; 64]));
    }

    #[test]
    fn an_empty_payload_is_a_record() {
        let mut bytes = Vec::new();
        encode(b"", &mut bytes);
        assert_eq!(decode_all(&bytes), (vec![vec![]], 8));
    }

    proptest! {
        #[test]
        fn any_cut_keeps_the_whole_records(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for payload in &payloads {
                encode(payload, &mut bytes);
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().rposition(|end| *end <= cut).unwrap();
            let (records, valid) = decode_all(&bytes[..cut]);
            prop_assert_eq!(records, &payloads[..whole]);
            prop_assert_eq!(valid, ends[whole]);
        }

        #[test]
        fn a_flipped_bit_stops_there(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8),
            place in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for payload in &payloads {
                encode(payload, &mut bytes);
                ends.push(bytes.len());
            }
            let place = place.index(bytes.len());
            bytes[place] ^= 1u8 << bit;
            let whole = ends.iter().rposition(|end| *end <= place).unwrap();
            prop_assert_eq!(decode_all(&bytes).0, &payloads[..whole]);
        }

        /// A flip is no torn end, and a torn end no flip.
        #[test]
        fn a_damaged_last_record_is_told_from_a_torn_one(
            payload in prop::collection::vec(any::<u8>(), 1..700),
            at in 0..2_000usize,
            place in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let mut bytes = Vec::new();
            encode(&payload, &mut bytes);
            let place = place.index(bytes.len());
            prop_assert!(!is_damaged_whole(&bytes[..place], at));
            let sector = (at + bytes.len() - 1) / SECTOR_BYTES * SECTOR_BYTES;
            let mut unwritten = bytes.clone();
            unwritten[sector.saturating_sub(at)..].fill(0);
            prop_assert!(!is_damaged_whole(&unwritten, at));
            let end_is_zero = bytes[sector.saturating_sub(at)..].iter().filter(|byte| **byte != 0).count() < 2;
            bytes[place] ^= 1u8 << bit;
            prop_assert!(end_is_zero || is_damaged_whole(&bytes, at));
        }

        #[test]
        fn the_other_records_are_read_around_damage(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..8),
            damaged in any::<prop::sample::Index>(),
        ) {
            let damaged = damaged.index(payloads.len());
            let mut bytes = Vec::new();
            for (index, payload) in payloads.iter().enumerate() {
                encode(payload, &mut bytes);
                if index == damaged {
                    *bytes.last_mut().unwrap() ^= 1;
                }
            }
            let mut left = payloads.clone();
            left.remove(damaged);
            prop_assert_eq!(decode_around(&bytes), (left, HEAD_BYTES + payloads[damaged].len()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            is_damaged_whole(&bytes, 3);
            decode_around(&bytes);
            let (_, valid) = decode_all(&bytes);
            prop_assert!(valid <= bytes.len());
            contains_record(&bytes);
        }
    }
}

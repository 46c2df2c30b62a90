//! Names of key files: `UTC--2025-01-31T09-05-00.000000001Z--ADDRESS`, as geth writes them, so that they sort by age.

use alloy_primitives::{Address, hex};
use std::time::Duration;
use time::OffsetDateTime;

/// The name of a file made so long after 1970.
pub(crate) fn file_name(since_1970: Duration, address: &Address) -> String {
    let since_1970 = since_1970.try_into().unwrap_or(time::Duration::MAX);
    let time = OffsetDateTime::UNIX_EPOCH.saturating_add(since_1970);
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second, nanos) = time.to_hms_nano();
    let address = hex::encode(address);
    format!("UTC--{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{nanos:09}Z--{address}")
}

/// The address that a file's name ends with.
pub(crate) fn address_in(name: &str) -> Option<Address> {
    name.strip_prefix("UTC--")?.rsplit_once("--")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00-00-00"),
            (951_868_799, "2000-02-29T23-59-59"),
            (1_735_689_600, "2025-01-01T00-00-00"),
            (4_107_542_400, "2100-03-01T00-00-00"),
            (u64::MAX, "9999-12-31T23-59-59"),
        ] {
            let name = file_name(Duration::from_secs(seconds), &Address::ZERO);
            assert!(name.starts_with(&format!("UTC--{expected}.")), "{name}");
        }
    }

    #[test]
    fn a_name_has_time_and_address() {
        let address = Address::repeat_byte(0xab);
        let name = file_name(Duration::new(1_738_314_300, 7), &address);
        assert_eq!(name, format!("UTC--2025-01-31T09-05-00.000000007Z--{}", "ab".repeat(20)));
        assert_eq!(address_in(&name), Some(address));
        for other in ["README", "UTC--", "UTC--2025--xyz", "key--0xabababababababababababababababababababab"]
        {
            assert_eq!(address_in(other), None, "{other}");
        }
    }
}

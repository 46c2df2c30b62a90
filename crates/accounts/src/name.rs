//! Names of key files: `UTC--2025-01-31T09-05-00.000000001Z--ADDRESS`, as geth writes them, so that they sort by age.

use alloy_primitives::{Address, hex};
use std::time::Duration;

/// The name of a file made so long after 1970.
pub(crate) fn file_name(since_1970: Duration, address: &Address) -> String {
    let seconds = since_1970.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let nanos = since_1970.subsec_nanos();
    let address = hex::encode(address);
    format!("UTC--{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{nanos:09}Z--{address}")
}

/// The address that a file's name ends with.
pub(crate) fn address_in(name: &str) -> Option<Address> {
    name.strip_prefix("UTC--")?.rsplit_once("--")?.1.parse().ok()
}

/// Year, month and day of a number of days after 1970-01-01, in the Gregorian calendar. Counts from the first of March
/// of a year that 400 divides, so that the leap day is the last of a year.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_BEFORE_1970: u64 = 719_468;
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days.saturating_add(DAYS_BEFORE_1970);
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_088, (2024, 12, 31)),
            (20_089, (2025, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }

    /// Every day follows the one before.
    #[test]
    fn no_day_is_missing() {
        let mut before = date(0);
        for days in 1..100_000 {
            let now = date(days);
            let (year, month, day) = before;
            let follows = [(year, month, day + 1), (year, month + 1, 1), (year + 1, 1, 1)].contains(&now);
            assert!(follows && (1..=31).contains(&now.2) && (1..=12).contains(&now.1), "{before:?} {now:?}");
            before = now;
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

//! Points in time: nanoseconds since 1970, written as RFC 3339 in UTC.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400;
/// The year in which the nanoseconds of a `u64` end.
const LAST_YEAR: u64 = 2554;

impl Timestamp {
    /// A point on the boot clock; `offset` is the wall clock minus the boot clock, both in nanoseconds.
    #[must_use]
    pub fn from_boot(boot: u64, offset: i64) -> Self {
        Self(boot.saturating_add_signed(offset))
    }

    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The wall clock minus the boot clock (suspended time included), in nanoseconds.
    #[must_use]
    pub fn boot_offset() -> i64 {
        let mut boot = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `clock_gettime` writes one `timespec` to the pointer, and `boot` outlives the call.
        if unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut boot) } != 0 {
            return 0;
        }
        let boot = i128::from(boot.tv_sec) * i128::from(SECOND) + i128::from(boot.tv_nsec);
        i64::try_from(i128::from(Self::now().0) - boot).unwrap_or(0)
    }

    /// Reads `YYYY-MM-DDTHH:MM:SS[.fraction]Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('Z')?;
        let (date, clock) = text.split_once('T')?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(clock, ':')?;
        if !(1970..=LAST_YEAR).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 || fraction.is_empty() || fraction.len() > 9 {
            return None;
        }
        let digits: u64 =
            fraction.bytes().all(|byte| byte.is_ascii_digit()).then(|| fraction.parse().ok())??;
        let nanoseconds = digits * 10_u64.pow(9 - fraction.len() as u32);
        let days = days_from_civil(year, month, day);
        let seconds = days * DAY + hour * 3600 + minute * 60 + second;
        seconds.checked_mul(SECOND)?.checked_add(nanoseconds).map(Self)
    }
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse::<u64>().ok()).flatten()
    });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970-01-01 in the Gregorian calendar; the year is counted from March so that leap days come last.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0 / SECOND, self.0 % SECOND);
        let (year, month, day) = civil_from_days(seconds / DAY);
        let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is no time in UTC such as 2026-01-31T23:59:59Z"))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_points_are_written_as_rfc_3339() {
        for (nanoseconds, written) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400 * SECOND, "2000-02-29T00:00:00.000000000Z"),
            (1_795_132_799 * SECOND + 5, "2026-11-19T23:59:59.000000005Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            assert_eq!(Timestamp(nanoseconds).to_string(), written);
            assert_eq!(Timestamp::parse(written), Some(Timestamp(nanoseconds)));
        }
    }

    #[test]
    fn the_boot_clock_plus_its_offset_is_now() {
        let mut uptime = String::new();
        std::io::Read::read_to_string(&mut std::fs::File::open("/proc/uptime").unwrap(), &mut uptime)
            .unwrap();
        let boot: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let now = Timestamp::from_boot((boot * 1e9) as u64, Timestamp::boot_offset());
        assert!(now.0.abs_diff(Timestamp::now().0) < 60 * SECOND, "{now}");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "2026-11-20",
            "2026-13-01T00:00:00Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T00:00:00+01:00",
            "+026-11-20T00:00:00Z",
            "2026-11-20T00:00:00.Z",
            "2026-11-20T00:00:00.0000000000Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_boot_clock_is_shifted_and_never_wraps() {
        assert_eq!(Timestamp::from_boot(5, 10), Timestamp(15));
        assert_eq!(Timestamp::from_boot(5, -10), Timestamp(0));
        assert_eq!(Timestamp::from_boot(u64::MAX, 10), Timestamp(u64::MAX));
    }

    proptest! {
        #[test]
        fn every_time_survives(nanoseconds in any::<u64>()) {
            let time = Timestamp(nanoseconds);
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }
    }
}

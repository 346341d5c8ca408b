//! The day that partitions a table.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A day in UTC: the value of the partition column `date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PartitionDate {
    days: i32,
}

/// Why a text is not a day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a day: expected YYYY-MM-DD")]
pub struct DateError(pub String);

impl PartitionDate {
    /// The day of a time in microseconds since 1970, UTC. Days that a text of ten
    /// characters cannot name (before year 0, after 9999) are held at the last that it can.
    #[must_use]
    pub fn of_micros(micros: i64) -> Self {
        /// 9999-12-31 and 0000-01-01.
        const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;
        let days = micros
            .div_euclid(MICROS_PER_DAY)
            .clamp(*DAYS.start(), *DAYS.end());
        Self { days: days as i32 }
    }

    /// Days since 1970-01-01: Arrow's `Date32`.
    #[must_use]
    pub fn days(self) -> i32 {
        self.days
    }

    /// Year, month and day of the proleptic Gregorian calendar, by Howard Hinnant's
    /// `civil_from_days`.
    fn civil(self) -> (i32, u32, u32) {
        let z = self.days + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + i32::from(month <= 2);
        (year, month as u32, day as u32)
    }

    /// The inverse, by `days_from_civil`.
    fn from_civil(year: i32, month: u32, day: u32) -> Self {
        let year = year - i32::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = (month as i32 + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + day as i32 - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self {
            days: era * 146_097 + day_of_era - 719_468,
        }
    }
}

impl fmt::Display for PartitionDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for PartitionDate {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let refused = || DateError(text.into());
        let number = |range| -> Result<u32, DateError> {
            let digits: &str = text.get(range).ok_or_else(refused)?;
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(refused());
            }
            digits.parse().map_err(|_| refused())
        };
        let dashes = text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
        if text.len() != 10 || !dashes {
            return Err(refused());
        }
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(refused());
        }
        let date = Self::from_civil(year as i32, month, day);
        // The thirtieth of February is some other day: it does not come back the same.
        if date.to_string() == text {
            Ok(date)
        } else {
            Err(refused())
        }
    }
}

impl From<PartitionDate> for String {
    fn from(date: PartitionDate) -> Self {
        date.to_string()
    }
}

impl TryFrom<String> for PartitionDate {
    type Error = DateError;

    fn try_from(text: String) -> Result<Self, DateError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_known_days() {
        for (micros, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400_000_000, "2000-02-29"),
            (1_795_305_600_000_000, "2026-11-22"),
            (i64::MAX, "9999-12-31"),
            (i64::MIN, "0000-01-01"),
        ] {
            assert_eq!(PartitionDate::of_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_day() {
        for text in [
            "",
            "2026-11-2",
            "2026-13-01",
            "2026-02-30",
            "2026/11/22",
            "2026-11-22 ",
            "+026-11-22",
            "２０",
        ] {
            assert_eq!(
                text.parse::<PartitionDate>(),
                Err(DateError(text.into())),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_day_survives_its_text(days in -719_528i32..=2_932_896) {
            let date = PartitionDate { days };
            prop_assert_eq!(date.to_string().parse::<PartitionDate>(), Ok(date));
        }
    }
}

//! Civil time in UTC from Unix seconds (proleptic Gregorian calendar).

/// A part of a date or time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CalendarPart {
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Hour,
    Minute,
    Month,
    Year,
}

impl CalendarPart {
    /// The part at `seconds` since 1970; fractions are cut off towards zero, as Prometheus does. What fits no 64 bits, and
    /// NaN, is the time that Prometheus makes of it on amd64.
    pub(crate) fn of(self, seconds: f64) -> f64 {
        let (days, second_of_day) = days_and_seconds(seconds);
        let date = Date::from_days(days);
        let part = match self {
            Self::DayOfMonth => date.day,
            // 1970-01-01 was a Thursday; Sunday is 0.
            Self::DayOfWeek => (days + 4).rem_euclid(7),
            Self::DayOfYear => days - Date { month: 1, day: 1, ..date }.to_days() + 1,
            Self::DaysInMonth => date.next_month().to_days() - Date { day: 1, ..date }.to_days(),
            Self::Hour => second_of_day / 3600,
            Self::Minute => second_of_day / 60 % 60,
            Self::Month => date.month,
            Self::Year => date.year,
        };
        part as f64
    }
}

fn days_and_seconds(seconds: f64) -> (i64, i64) {
    let fits = (-INT64_BOUND..INT64_BOUND).contains(&seconds);
    let seconds = if fits { seconds as i64 } else { i64::MIN };
    if seconds >= GO_SECONDS_MIN {
        return (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    }
    // Go counts seconds from the year -292277022399 on, in 64 bits without a sign: what is before is after all others.
    let (seconds, day) = (i128::from(seconds) + (1 << 64), i128::from(DAY_SECONDS));
    ((seconds / day) as i64, (seconds % day) as i64)
}

/// The second as RFC 3339 writes it.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let seconds = seconds.clamp(-SECONDS_MAX, SECONDS_MAX);
    let Date { year, month, day } = Date::from_days(seconds.div_euclid(DAY_SECONDS));
    let second_of_day = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[derive(Clone, Copy)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// Days are counted from 0000-03-01, so that a leap day ends its year: 400 years are 146,097 days.
    fn from_days(days_since_1970: i64) -> Self {
        let days = days_since_1970 + DAYS_TO_1970;
        let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months from March have 31, 30, 31, 30, 31 days, repeating: 153 days in five of them.
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self { year: 400 * era + year_of_era + i64::from(month <= 2), month, day }
    }

    fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let march_month = (self.month + 9) % 12;
        let day_of_year = (153 * march_month + 2) / 5 + self.day - 1;
        era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_TO_1970
    }

    fn next_month(self) -> Self {
        match self.month {
            12 => Self { year: self.year + 1, month: 1, day: 1 },
            month => Self { year: self.year, month: month + 1, day: 1 },
        }
    }
}

const DAY_SECONDS: i64 = 86_400;
const ERA_DAYS: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
/// 2^63.
const INT64_BOUND: f64 = 9_223_372_036_854_775_808.0;
/// The first second of the year -292277022399.
const GO_SECONDS_MIN: i64 = -9_223_372_028_715_321_600;
/// Far beyond any calendar, and far below where the arithmetic would overflow.
const SECONDS_MAX: i64 = 1 << 55;

#[cfg(test)]
mod tests {
    use super::CalendarPart::*;

    #[test]
    fn parts_of_known_times() {
        let cases = [
            (0.0, DayOfWeek, 4.0),
            (0.0, Year, 1970.0),
            (-1.0, Year, 1969.0),
            (-1.0, Minute, 59.0),
            (951_782_400.0, DayOfMonth, 29.0), // 2000-02-29
            (951_782_400.0, DayOfYear, 60.0),
            (951_782_400.0, DaysInMonth, 29.0),
            (4_107_542_400.0, DayOfMonth, 1.0), // 2100-03-01: 2100 has no leap day
            (4_107_456_000.0, DaysInMonth, 28.0),
            (1_136_239_445.9, Hour, 22.0), // 2006-01-02 22:04:05
            (1_136_239_445.9, Minute, 4.0),
            (1_483_228_799.0, DayOfYear, 366.0), // last second of 2016
            (1_483_228_799.0, DaysInMonth, 31.0),
            (1_483_228_799.0, Month, 12.0),
        ];
        for (seconds, part, expected) in cases {
            assert_eq!(part.of(seconds), expected, "{part:?} of {seconds}");
        }
    }

    #[test]
    fn no_time_overflows() {
        for seconds in [f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY] {
            for part in [DayOfMonth, DayOfWeek, DayOfYear, DaysInMonth, Hour, Minute, Month, Year] {
                assert!(part.of(seconds).is_finite());
            }
        }
        for beyond in [f64::NAN, f64::INFINITY, 1e30] {
            let parts = [Year, Month, DayOfMonth, Hour, Minute].map(|part| part.of(beyond));
            assert_eq!(parts, [292_277_026_596.0, 12.0, 4.0, 15.0, 30.0], "{beyond}");
        }
        assert_eq!([Year, DayOfYear].map(|part| part.of(-9.2e18)), [-291_536_392_293.0, 123.0]);
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for days in -146_097..146_097 {
            assert_eq!(super::Date::from_days(days).to_days(), days);
        }
    }
}

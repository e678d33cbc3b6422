use serde::{Deserialize, Serialize};
use server::rollout;
use utoipa::ToSchema;

use crate::Problem;

/// A time of day, on some days of the week, in which devices are told of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// The days on which it begins; every day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<Day>>,
    /// When it begins, 00:00 to 23:59 on the clock where the device is.
    #[schema(example = "22:00")]
    pub from: String,
    /// When it ends, up to 24:00; before `from` it is on the next day.
    #[schema(example = "04:00")]
    pub to: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the day it begins like")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    /// The days in the order of the week.
    pub const ALL: [Day; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];
}

const EVERY_DAY: u8 = 0b111_1111;

impl From<rollout::Window> for Window {
    fn from(row: rollout::Window) -> Self {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let on = |day: &Day| row.days & (1 << *day as u8) != 0;
        let days = (row.days != EVERY_DAY).then(|| Day::ALL.into_iter().filter(on).collect());
        Self { days, from: time(row.from), to: time(row.to) }
    }
}

impl TryFrom<Window> for rollout::Window {
    type Error = Problem;

    fn try_from(window: Window) -> Result<Self, Problem> {
        let days =
            window.days.map_or(EVERY_DAY, |days| days.iter().fold(0, |all, day| all | 1 << *day as u8));
        Ok(Self { days, from: minute(&window.from)?, to: minute(&window.to)? })
    }
}

/// The minute of the day.
fn minute(text: &str) -> Result<u16, Problem> {
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    let parts = text.split_once(':').filter(|(hour, minute)| digits(hour) && digits(minute));
    let parts =
        parts.and_then(|(hour, minute)| Some((hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?)));
    match parts {
        Some((hour, minute)) if hour < 24 && minute < 60 || (hour, minute) == (24, 0) => {
            Ok(hour * 60 + minute)
        }
        _ => {
            let detail =
                format!("{text:?} is no time of day: write hours and minutes as 22:00, from 00:00 to 24:00");
            Err(Problem::unprocessable("windowsInvalid", detail).with("field", "windows").with("value", text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_comes_back_as_it_was_given() {
        let night = |days| Window { days, from: "22:00".into(), to: "04:30".into() };
        for (given, days) in
            [(None, 0b111_1111), (Some(vec![Day::Mon, Day::Sun]), 0b100_0001), (Some(vec![]), 0)]
        {
            let row = rollout::Window::try_from(night(given.clone())).unwrap();
            assert_eq!(row, rollout::Window { days, from: 1_320, to: 270 });
            assert_eq!(Window::from(row), night(given));
        }
        let whole = Window { days: None, from: "00:00".into(), to: "24:00".into() };
        assert_eq!(rollout::Window::try_from(whole).unwrap().to, 1_440);
    }

    #[test]
    fn what_is_no_time_of_day_is_refused() {
        for wrong in [
            "",
            "22",
            "22:0",
            "2:00",
            "22:60",
            "24:01",
            "25:00",
            "-1:00",
            "+1:00",
            "22:00 ",
            "ab:cd",
            "１２:00",
        ] {
            let window = Window { days: None, from: "00:00".into(), to: wrong.into() };
            assert_eq!(rollout::Window::try_from(window).unwrap_err().code, "windowsInvalid", "{wrong}");
        }
    }
}

use std::time::{Duration, UNIX_EPOCH};

use crate::Problem;

/// RFC 3339 in UTC with milliseconds. Times before 1970 do not occur.
pub(crate) fn text(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    // Beyond year 9999 the formatter refuses; nothing here lies there unless the clock is broken.
    let last = Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_millis(UNIX_EPOCH + since.min(last)).to_string()
}

/// Milliseconds of a time in RFC 3339 in UTC.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// The time in a field of a request, if that is given.
pub(crate) fn moment(field: &'static str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| {
        let detail =
            format!("{field} {text:?} is no time: write it as RFC 3339 in UTC, like 2026-11-23T01:00:00Z");
        Problem::unprocessable("timeInvalid", detail).with("field", field)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(super::text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(super::text(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(super::parse("2023-11-14T22:13:20.123Z"), Some(1_700_000_000_123));
        assert_eq!(super::parse("yesterday"), None);
        assert_eq!(super::text(-5), "1970-01-01T00:00:00.000Z");
        assert_eq!(super::text(i64::MAX), "9999-12-31T23:59:59.000Z");
    }
}

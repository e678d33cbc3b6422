//! What to log. The filter's own parser takes any word for the name of a part, and would log nothing but that part: a
//! misspelt level must not silence the platform.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

const ALLOWED: &str = "write error, warn, info, debug, trace, off, or a filter as info,otaru_door=debug";

/// Reads levels and `PART=LEVEL`, separated by commas. Without a level alone, the rest is logged as info.
pub(super) fn filter(text: &str) -> Result<EnvFilter, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    if !parts.iter().all(|part| is_level(part) || part.contains('=')) {
        return Err(ALLOWED.into());
    }
    let rest = if parts.iter().any(|part| is_level(part)) { "" } else { "info," };
    EnvFilter::try_new(format!("{rest}{}", parts.join(","))).map_err(|_| ALLOWED.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::filter;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for wrong in ["inof", "", "info,", "otaru_door", "info,otaru_door", "otaru_door=debg"] {
            let error = filter(wrong).unwrap_err();
            assert!(error.contains("write error, warn, info"), "{wrong}: {error}");
        }
    }

    #[test]
    fn parts_may_have_levels_of_their_own() {
        for (text, read) in [
            ("warn", "warn"),
            ("OFF", "off"),
            ("otaru_door=debug", "otaru_door=debug,info"),
            ("info, otaru_door=debug", "otaru_door=debug,info"),
            ("otaru_door=off,warn", "otaru_door=off,warn"),
        ] {
            assert_eq!(filter(text).unwrap().to_string(), read, "{text}");
        }
    }
}

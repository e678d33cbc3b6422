/// What of a file a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// All of it; also when the header is no single range of bytes, which is then ignored.
    Whole,
    /// `length` bytes from `first`, at least one, all within the file.
    Part { first: u64, length: u64 },
    /// Nothing of it: the range begins beyond the end.
    Unsatisfiable,
}

impl Range {
    /// Reads the header's value for a file of `total` bytes.
    pub(crate) fn parse(value: &str, total: u64) -> Self {
        let Some((unit, range)) = value.split_once('=') else { return Self::Whole };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        match range.trim().split_once('-') {
            Some(("", suffix)) => number(suffix).map_or(Self::Whole, |length| Self::suffix(length, total)),
            Some((first, "")) => {
                number(first).map_or(Self::Whole, |first| Self::between(first, u64::MAX, total))
            }
            Some((first, last)) => match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => Self::between(first, last, total),
                _ => Self::Whole,
            },
            None => Self::Whole,
        }
    }

    fn suffix(length: u64, total: u64) -> Self {
        match length.min(total) {
            0 => Self::Unsatisfiable,
            length => Self::Part { first: total - length, length },
        }
    }

    fn between(first: u64, last: u64, total: u64) -> Self {
        if first >= total {
            return Self::Unsatisfiable;
        }
        Self::Part { first, length: last.min(total - 1) - first + 1 }
    }
}

/// Decimal digits only; a number beyond 64 bits is beyond every file.
fn number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::Range::{self, Part, Unsatisfiable, Whole};

    #[test]
    fn every_form_for_a_file_of_ten_bytes() {
        for (value, range) in [
            ("bytes=0-", Part { first: 0, length: 10 }),
            ("bytes=3-", Part { first: 3, length: 7 }),
            ("bytes=9-", Part { first: 9, length: 1 }),
            ("bytes=10-", Unsatisfiable),
            ("bytes=0-0", Part { first: 0, length: 1 }),
            ("bytes=2-5", Part { first: 2, length: 4 }),
            ("bytes=2-99", Part { first: 2, length: 8 }),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=99999999999999999999-", Unsatisfiable),
            ("bytes=0-99999999999999999999", Part { first: 0, length: 10 }),
            ("bytes=-4", Part { first: 6, length: 4 }),
            ("bytes=-40", Part { first: 0, length: 10 }),
            ("bytes=-0", Unsatisfiable),
            ("Bytes = 1-2", Part { first: 1, length: 2 }),
            ("bytes=5-2", Whole),
            ("bytes=-", Whole),
            ("bytes=", Whole),
            ("bytes", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0-1,3-4", Whole),
            ("lines=0-1", Whole),
        ] {
            assert_eq!(Range::parse(value, 10), range, "{value}");
        }
    }

    #[test]
    fn an_empty_file_has_no_part() {
        assert_eq!(Range::parse("bytes=0-", 0), Unsatisfiable);
        assert_eq!(Range::parse("bytes=-1", 0), Unsatisfiable);
    }
}

//! A message that comes in several parts, as `esp-mqtt` hands over what is longer than its buffer.

/// What was collected. In the caller's buffer are the topic and the payload behind it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    topic: usize,
    total: usize,
    /// Bytes of the payload that are there; of a message that is not being collected, none.
    filled: usize,
}

impl Parts {
    /// Takes the next part; what there is of the message once it is whole. Topic and payload must fit. Only the first
    /// part needs to name the topic; a part that does not follow the one before ends the message.
    pub(crate) fn add<'b>(
        &mut self,
        topic: &str,
        total: usize,
        offset: usize,
        data: &[u8],
        buffer: &'b mut [u8],
    ) -> Option<(&'b str, &'b [u8])> {
        if offset == 0 {
            *self = Self { topic: topic.len(), total, filled: 0 };
            buffer[..topic.len()].copy_from_slice(topic.as_bytes());
        }
        let follows = offset == self.filled && total == self.total && data.len() <= total - self.filled;
        if !follows || data.is_empty() {
            *self = Self::default();
            return None;
        }
        let start = self.topic + offset;
        buffer[start..start + data.len()].copy_from_slice(data);
        self.filled += data.len();
        if self.filled < total {
            return None;
        }
        let (topic, payload) = buffer[..self.topic + total].split_at(self.topic);
        *self = Self::default();
        Some((core::str::from_utf8(topic).ok()?, payload))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_put_together() {
        let (mut parts, mut buffer) = (Parts::default(), [0; 16]);
        assert_eq!(parts.add("a/b", 6, 0, b"12", &mut buffer), None);
        assert_eq!(parts.add("", 6, 2, b"345", &mut buffer), None);
        assert_eq!(parts.add("", 6, 5, b"6", &mut buffer), Some(("a/b", &b"123456"[..])));
        assert_eq!(parts.add("", 6, 5, b"6", &mut buffer), None, "it is over");
    }

    proptest! {
        #[test]
        fn however_it_is_cut(
            payload in vec(any::<u8>(), 1..60),
            cuts in vec(1_usize..20, 60),
            before in vec((0_usize..80, 0_usize..80, vec(any::<u8>(), 0..20)), 0..8),
        ) {
            let (mut parts, mut buffer, topic, total) = (Parts::default(), [0; 64], "t/pc", payload.len());
            for (total, offset, data) in before.iter().filter(|(total, offset, _)| total + 4 <= 64 || *offset > 0) {
                parts.add(topic, *total, *offset, data, &mut buffer);
            }
            let mut offset = 0;
            for cut in cuts {
                let data = &payload[offset..total.min(offset + cut)];
                let whole = parts.add(topic, total, offset, data, &mut buffer);
                offset += data.len();
                prop_assert_eq!(whole, (offset == total).then_some((topic, &payload[..])));
                if offset == total {
                    break;
                }
            }
            prop_assert_eq!(offset, total);
        }
    }

    #[test]
    fn what_does_not_follow_ends_the_message() {
        let mut buffer = [0; 16];
        for (total, offset, data) in [(6, 3, &b"4"[..]), (7, 2, b"3"), (6, 2, b"34567"), (6, 2, b"")] {
            let mut parts = Parts::default();
            assert_eq!(parts.add("a/b", 6, 0, b"12", &mut buffer), None);
            assert_eq!(parts.add("", total, offset, data, &mut buffer), None);
            assert_eq!(parts.add("", 6, 2, b"3456", &mut buffer), None, "{offset}");
        }
    }
}

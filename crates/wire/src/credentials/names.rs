/// Longest device secret in bytes.
pub const MAX_DEVICE_SECRET: usize = 64;

/// 1–20 letters and digits.
pub fn valid_product_key(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// 4–32 letters, digits and `-_@.:`.
pub fn valid_device_name(text: &str) -> bool {
    (4..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_@.:".contains(&b))
}

/// 1–64 printable ASCII characters without blanks.
pub fn valid_device_secret(text: &str) -> bool {
    (1..=MAX_DEVICE_SECRET).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// 1–64 letters, digits and `.-_`.
pub fn valid_module(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
}

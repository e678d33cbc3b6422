use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use wire::block::{Frame, crc16};

use crate::output::{note, out};

/// Bytes of the data that are shown.
const SHOWN: usize = 64;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show a received block: the payload of a message on …/thing/file/download_reply
    Decode(Decode),
}

#[derive(Args)]
pub(crate) struct Decode {
    /// The payload as hex, with or without blanks and 0x; `-` reads it from standard input
    #[arg(value_name = "HEX", required = true, num_args = 1..)]
    hex: Vec<String>,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Decode(decode) = command;
    let mut text = decode.hex.join(" ");
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input as text")?;
    }
    let payload = bytes(&text)?;
    let parts = Parts::of(&payload);
    parts.show(&payload);
    match Frame::parse(&payload) {
        Ok(Frame::Block { .. }) => out!("a whole block"),
        Ok(Frame::Error { code, msg, .. }) => {
            out!("an error frame: the platform refuses the block, {code} {msg}")
        }
        Err(error) => {
            note(format_args!("error: {error}"));
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads hex digits; blanks, `0x`, commas and colons between bytes do not matter.
fn bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    let text = text.replace("0x", " ").replace("0X", " ");
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, ',' | ':')).collect();
    if let Some(wrong) = digits.iter().find(|c| !c.is_ascii_hexdigit()) {
        bail!("{wrong:?} is not a hex digit; in MQTTX choose Hex as the format of received messages");
    }
    if digits.len() % 2 == 1 {
        bail!("{} hex digits are half a byte too many or too few: was the text copied whole?", digits.len());
    }
    let value = |digit: &char| digit.to_digit(16).unwrap_or(0) as u8;
    Ok(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | value(digit))).collect())
}

/// A frame taken apart as far as it goes.
struct Parts<'a> {
    length: Option<u16>,
    head: &'a [u8],
    data: Option<&'a [u8]>,
    crc: Option<[u8; 2]>,
}

impl<'a> Parts<'a> {
    fn of(payload: &'a [u8]) -> Self {
        let Some((length, rest)) = payload.split_first_chunk::<2>() else {
            return Self { length: None, head: &[], data: None, crc: None };
        };
        let length = u16::from_be_bytes(*length);
        let (head, rest) = rest.split_at_checked(length.into()).unwrap_or((rest, &[]));
        let (data, crc) =
            rest.split_last_chunk::<2>().map_or((None, None), |(data, crc)| (Some(data), Some(*crc)));
        Self { length: Some(length), head, data, crc }
    }

    fn show(&self, payload: &[u8]) {
        out!("payload    {} bytes", payload.len());
        let Some(length) = self.length else { return };
        out!("head       {length} bytes by the first two bytes, {length:04x}");
        out!("JSON       {}", String::from_utf8_lossy(self.head));
        if let (Some(data), Some(crc)) = (self.data, self.crc) {
            out!("data       {} bytes", data.len());
            data.chunks(16).take(SHOWN / 16).enumerate().for_each(|(n, row)| dump(n * 16, row));
            if data.len() > SHOWN {
                out!("           …");
            }
            show_crc(data, crc);
        }
    }
}

fn show_crc(data: &[u8], crc: [u8; 2]) {
    let (told, computed) = (u16::from_le_bytes(crc), crc16(data));
    let verdict =
        if told == computed { "right".into() } else { format!("wrong: the data's is {computed:04x}") };
    out!("CRC        {told:04x} (sent low byte first: {:02x} {:02x}), {verdict}", crc[0], crc[1]);
}

fn dump(offset: usize, row: &[u8]) {
    let hex: String = row.iter().map(|byte| format!("{byte:02x} ")).collect();
    let visible = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
    let text: String = row.iter().map(visible).collect();
    out!("  {offset:6}   {hex:48} {text}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hex_is_read_however_it_was_copied() {
        for text in ["0001ff", "00 01 FF", "0x00 0x01 0xff", "0x0001ff", "00:01:ff", "00,\n01,\tff\n"] {
            assert_eq!(bytes(text).unwrap(), [0, 1, 255], "{text}");
        }
        assert!(bytes("0g").unwrap_err().to_string().contains("'g'"));
        assert!(bytes("123").unwrap_err().to_string().contains("half a byte"));
    }

    #[test]
    fn a_frame_is_taken_apart_as_far_as_it_goes() {
        assert_eq!(Parts::of(&[]).length, None);
        let cut = Parts::of(&[0, 9, b'{']);
        assert_eq!((cut.length, cut.head, cut.data), (Some(9), &b"{"[..], None));
        let whole = Parts::of(&[0, 2, b'{', b'}', 7, 8, 1, 2]);
        assert_eq!((whole.head, whole.data, whole.crc), (&b"{}"[..], Some(&[7, 8][..]), Some([1, 2])));
    }
}

//! Words, texts and signs.

use alloc::string::String;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::str::CharIndices;

use super::FilterError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Letters, digits and `._-:+*?@/`.
    Word(&'a str),
    /// In quotation marks.
    Text(String),
    Sign(&'static str),
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<'a> {
    pub(super) token: Token<'a>,
    /// In bytes.
    pub(super) start: usize,
    pub(super) end: usize,
}

const ESCAPES: &str = "\\\", \\', \\\\, \\n, \\r, \\t or \\u{…} after a backslash";

pub(super) fn lex(text: &str) -> Result<Vec<Placed<'_>>, FilterError> {
    let mut lexer = Lexer { text, chars: text.char_indices().peekable() };
    let mut out = Vec::new();
    while let Some(token) = lexer.next()? {
        out.push(token);
    }
    Ok(out)
}

struct Lexer<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<Placed<'a>>, FilterError> {
        while self.chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let Some((start, c)) = self.chars.next() else { return Ok(None) };
        let token = match c {
            '(' => Token::Sign("("),
            ')' => Token::Sign(")"),
            ',' => Token::Sign(","),
            '=' => Token::Sign("="),
            '!' if self.eats('=') => Token::Sign("!="),
            '<' if self.eats('=') => Token::Sign("<="),
            '>' if self.eats('=') => Token::Sign(">="),
            '<' => Token::Sign("<"),
            '>' => Token::Sign(">"),
            '"' | '\'' => Token::Text(self.quoted(start, c)?),
            c if is_letter(c) => {
                while self.chars.next_if(|(_, c)| is_letter(*c)).is_some() {}
                Token::Word(&self.text[start..self.place()])
            }
            _ => return Err(self.wrong(start, "a word, a text in quotation marks or a sign")),
        };
        Ok(Some(Placed { token, start, end: self.place() }))
    }

    fn eats(&mut self, c: char) -> bool {
        self.chars.next_if(|(_, next)| *next == c).is_some()
    }

    fn place(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(place, _)| *place)
    }

    fn wrong(&self, start: usize, expected: &'static str) -> FilterError {
        let end = self.text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
        FilterError::at(self.text, start..end, expected)
    }

    fn quoted(&mut self, start: usize, mark: char) -> Result<String, FilterError> {
        let mut out = String::new();
        loop {
            match self.chars.next() {
                None => return Err(self.wrong(start, "a second quotation mark for this one")),
                Some((_, c)) if c == mark => return Ok(out),
                Some((place, '\\')) => out.push(self.escaped(place)?),
                Some((place, '\0')) => return Err(self.wrong(place, "a text without the character NUL")),
                Some((_, c)) => out.push(c),
            }
        }
    }

    fn escaped(&mut self, place: usize) -> Result<char, FilterError> {
        let c = match self.chars.next().map(|(_, c)| c) {
            Some(c @ ('"' | '\'' | '\\')) => Some(c),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') if self.eats('{') => self.code_point(),
            _ => None,
        };
        c.filter(|c| *c != '\0').ok_or_else(|| self.wrong(place, ESCAPES))
    }

    fn code_point(&mut self) -> Option<char> {
        let start = self.place();
        while self.chars.next_if(|(_, c)| c.is_ascii_hexdigit()).is_some() {}
        let code = u32::from_str_radix(&self.text[start..self.place()], 16).ok()?;
        if self.eats('}') { char::from_u32(code) } else { None }
    }
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-:+*?@/".contains(c)
}

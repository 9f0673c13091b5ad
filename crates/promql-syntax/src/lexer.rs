//! Cuts a text into tokens.
//!
//! What a character means depends on where it stands: braces know no keywords, brackets know little besides durations.
//! States, and which state follows which token, are those of Prometheus' lexer, so that the same texts are refused with the
//! same words. The first error ends the stream.

use crate::quote::{code_point, quoted, quoted_char};
use crate::token::{Keyword, Token, TokenKind, keyword};
use crate::{BinaryOp, ParseError, PositionRange};

pub(crate) struct Lexer<'a> {
    input: &'a str,
    /// Where the token that is being read starts.
    start: usize,
    /// Where reading goes on.
    position: usize,
    state: State,
    paren_depth: usize,
    brace_open: bool,
    bracket_open: bool,
    /// Whether `:` was seen since the last `[`.
    got_colon: bool,
    /// Whether a number was seen inside any brackets.
    got_duration: bool,
}

#[derive(Clone, Copy)]
enum State {
    Statement,
    DurationExpr,
}

type Lexed<T> = Result<T, ParseError>;

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Self {
            input,
            start: 0,
            position: 0,
            state: State::Statement,
            paren_depth: 0,
            brace_open: false,
            bracket_open: false,
            got_colon: false,
            got_duration: false,
        }
    }

    /// The next token; at the end [`TokenKind::EndOfInput`], again and again.
    pub(crate) fn next_token(&mut self) -> Lexed<Token<'a>> {
        let kind = loop {
            self.skip_spaces();
            let in_durations = matches!(self.state, State::DurationExpr);
            if self.peek() == Some('#') && !in_durations {
                self.skip_comment();
                continue;
            }
            break if in_durations {
                self.in_durations()?
            } else if self.brace_open {
                self.in_braces()?
            } else {
                self.in_statement()?
            };
        };
        let token = Token { kind, text: &self.input[self.start..self.position], start: self.start as u32 };
        self.start = self.position;
        Ok(token)
    }

    fn in_statement(&mut self) -> Lexed<TokenKind> {
        let Some(character) = self.next() else {
            return self.end_of_input();
        };
        let kind = match character {
            ',' => TokenKind::Comma,
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            '=' if self.accept('=') => TokenKind::Operator(BinaryOp::Equal),
            '=' if self.peek() == Some('~') => return Err(self.error("unexpected character after '=': '~'")),
            '=' => TokenKind::Assign,
            '!' if self.accept('=') => TokenKind::Operator(BinaryOp::NotEqual),
            '!' => {
                let next = quoted_char(self.peek());
                return Err(self.error(format!("unexpected character after '!': {next}")));
            }
            '<' if self.accept('=') => TokenKind::Operator(BinaryOp::LessOrEqual),
            '<' if self.accept('/') => TokenKind::Operator(BinaryOp::TrimUpper),
            '<' => TokenKind::Operator(BinaryOp::Less),
            '>' if self.accept('=') => TokenKind::Operator(BinaryOp::GreaterOrEqual),
            '>' if self.accept('/') => TokenKind::Operator(BinaryOp::TrimLower),
            '>' => TokenKind::Operator(BinaryOp::Greater),
            '@' => TokenKind::At,
            '"' | '\'' | '`' => self.string(character)?,
            '(' => self.left_paren(),
            ')' => self.right_paren()?,
            '{' => {
                self.brace_open = true;
                TokenKind::LeftBrace
            }
            '[' => self.left_bracket()?,
            ']' if !self.bracket_open => return Err(self.error("unexpected right bracket ']'")),
            ']' => {
                self.bracket_open = false;
                TokenKind::RightBracket
            }
            _ if self.is_number_start(character) => self.number_or_duration(character)?,
            ':' if self.bracket_open => self.colon_after_duration()?,
            _ if self.bracket_open && is_alpha(character) => match self.duration_keyword(character) {
                Some(kind) => kind,
                None => {
                    let found = quoted_char(Some(character));
                    return Err(self.error(format!("unexpected character: {found}, expected ':'")));
                }
            },
            _ if is_alpha(character) || character == ':' => self.word(),
            _ => return Err(self.error(format!("unexpected character: {}", quoted_char(Some(character))))),
        };
        Ok(kind)
    }

    /// Inside `{}`: keywords are plain identifiers.
    fn in_braces(&mut self) -> Lexed<TokenKind> {
        let Some(character) = self.next() else {
            return Err(self.error("unexpected end of input inside braces"));
        };
        let kind = match character {
            ',' => TokenKind::Comma,
            '"' | '\'' | '`' => self.string(character)?,
            '=' if self.accept('~') => TokenKind::RegexMatch,
            '=' => TokenKind::Assign,
            '!' if self.accept('~') => TokenKind::RegexNoMatch,
            '!' if self.accept('=') => TokenKind::Operator(BinaryOp::NotEqual),
            '!' => {
                let next = quoted_char(self.peek());
                return Err(self.error(format!("unexpected character after '!' inside braces: {next}")));
            }
            '{' => return Err(self.error("unexpected left brace '{'")),
            '}' => {
                self.brace_open = false;
                TokenKind::RightBrace
            }
            _ if is_alpha(character) => {
                self.accept_while(is_alphanumeric);
                TokenKind::Identifier
            }
            _ => {
                return Err(self.error(format!("unexpected character inside braces: {}", quoted_char(Some(character)))));
            }
        };
        Ok(kind)
    }

    /// Inside `[]`, up to the first number: from there on brackets are read as statements, which know them open.
    fn in_durations(&mut self) -> Lexed<TokenKind> {
        let Some(character) = self.next() else {
            return Err(self.error("unexpected end of input in duration expression"));
        };
        let kind = match character {
            ']' => {
                self.bracket_open = false;
                self.got_colon = false;
                self.state = State::Statement;
                TokenKind::RightBracket
            }
            ':' => {
                self.start = self.position;
                if !self.got_duration {
                    return Err(self.error("unexpected colon before duration in duration expression"));
                }
                if self.got_colon {
                    return Err(self.error("unexpected repeated colon in duration expression"));
                }
                self.start = self.position - 1;
                self.got_colon = true;
                TokenKind::Colon
            }
            '(' => self.left_paren(),
            ')' => self.right_paren()?,
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            ',' => TokenKind::Comma,
            _ if self.is_number_start(character) => {
                self.got_duration = true;
                self.state = State::Statement;
                self.number_or_duration(character)?
            }
            _ => match self.duration_keyword(character) {
                Some(kind) => kind,
                None => {
                    let found = quoted_char(Some(character));
                    return Err(self.error(format!("unexpected character in duration expression: {found}")));
                }
            },
        };
        Ok(kind)
    }

    fn end_of_input(&self) -> Lexed<TokenKind> {
        if self.paren_depth != 0 {
            return Err(self.error("unclosed left parenthesis"));
        }
        if self.bracket_open {
            return Err(self.error("unclosed left bracket"));
        }
        Ok(TokenKind::EndOfInput)
    }

    fn left_paren(&mut self) -> TokenKind {
        self.paren_depth += 1;
        TokenKind::LeftParen
    }

    fn right_paren(&mut self) -> Lexed<TokenKind> {
        let Some(depth) = self.paren_depth.checked_sub(1) else {
            self.start = self.position;
            return Err(self.error("unexpected right parenthesis ')'"));
        };
        self.paren_depth = depth;
        Ok(TokenKind::RightParen)
    }

    fn left_bracket(&mut self) -> Lexed<TokenKind> {
        if self.bracket_open {
            return Err(self.error("unexpected left bracket '['"));
        }
        self.got_colon = false;
        self.bracket_open = true;
        self.state = State::DurationExpr;
        Ok(TokenKind::LeftBracket)
    }

    fn colon_after_duration(&mut self) -> Lexed<TokenKind> {
        if self.got_colon {
            return Err(self.error("unexpected colon ':'"));
        }
        self.got_colon = true;
        Ok(TokenKind::Colon)
    }

    /// `step`, `range`, `max_of`, `min_of`, after their first letter. What else starts like one is read too.
    fn duration_keyword(&mut self, first: char) -> Option<TokenKind> {
        if !matches!(first.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        self.accept_while(is_alpha);
        keyword(&self.input[self.start..self.position]).filter(|kind| {
            use Keyword::{MaxOf, MinOf, Range, Step};
            matches!(kind, TokenKind::Keyword(Step | Range | MaxOf | MinOf))
        })
    }

    fn word(&mut self) -> TokenKind {
        self.accept_while(|character| is_alphanumeric(character) || character == ':');
        let word = &self.input[self.start..self.position];
        match keyword(word) {
            // So that metrics of these names go on working, they are keywords only where a value follows.
            Some(TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight))
                if !self.input[self.position..].trim_start_matches(is_space).starts_with('(') =>
            {
                TokenKind::Identifier
            }
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        }
    }

    fn string(&mut self, quote: char) -> Lexed<TokenKind> {
        loop {
            match self.next() {
                Some(character) if character == quote => return Ok(TokenKind::String),
                Some(char::REPLACEMENT_CHARACTER) => return Err(self.error("invalid UTF-8 rune")),
                Some('\\') if quote != '`' => self.escape(quote)?,
                Some('\n') | None if quote != '`' => return Err(self.error("unterminated quoted string")),
                None => return Err(self.error("unterminated raw string")),
                Some(_) => {}
            }
        }
    }

    /// An escape sequence after its backslash.
    fn escape(&mut self, quote: char) -> Lexed<()> {
        let (digits, base, value_max) = match self.next() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(character) if character == quote => return Ok(()),
            Some('0'..='7') => {
                self.position -= 1;
                (3, 8, 255)
            }
            Some('x') => (2, 16, 255),
            Some('u') => (4, 16, u32::from(char::MAX)),
            Some('U') => (8, 16, u32::from(char::MAX)),
            Some(other) => return Err(self.error(format!("unknown escape sequence {}", code_point(other)))),
            None => return Err(self.error("escape sequence not terminated")),
        };
        let mut value: u32 = 0;
        for _ in 0..digits {
            let Some(character) = self.next() else {
                return Err(self.error("escape sequence not terminated"));
            };
            let Some(digit) = character.to_digit(base) else {
                let found = code_point(character);
                return Err(self.error(format!("illegal character {found} in escape sequence")));
            };
            // Eight hexadecimal digits fill 32 bits exactly.
            value = value * base + digit;
        }
        if value > value_max || (0xd800..0xe000).contains(&value) {
            return Err(self.error("escape sequence is an invalid Unicode code point"));
        }
        Ok(())
    }

    fn is_number_start(&self, character: char) -> bool {
        character.is_ascii_digit() || (character == '.' && self.peek().is_some_and(|next| next.is_ascii_digit()))
    }

    fn number_or_duration(&mut self, first: char) -> Lexed<TokenKind> {
        self.position -= first.len_utf8();
        if self.number() {
            return Ok(TokenKind::Number);
        }
        if self.rest_of_duration() {
            return Ok(TokenKind::Duration);
        }
        let read = quoted(&self.input[self.start..self.position]);
        Err(self.error(format!("bad number or duration syntax: {read}")))
    }

    /// Reads what looks like a number of any form. It may still not be one: the parser finds out.
    fn number(&mut self) -> bool {
        let mut is_digit: fn(char) -> bool = |character| character.is_ascii_digit();
        let mut is_hex = false;
        if self.accept('0') && self.accept_if(|character| matches!(character, 'x' | 'X')) {
            self.accept('_');
            is_digit = |character| character.is_ascii_hexdigit();
            is_hex = true;
        }
        self.accept('.');
        self.accept_if(is_digit);
        let (mut dot_seen, mut exponent_seen) = (false, false);
        while let Some(character) = self.peek() {
            match character {
                '.' => {
                    self.next();
                    if dot_seen || self.accept_if(|next| matches!(next, '_' | '.')) || is_hex {
                        return false;
                    }
                    dot_seen = true;
                }
                'e' | 'E' => {
                    self.next();
                    if exponent_seen {
                        return false;
                    }
                    exponent_seen = true;
                    self.accept_if(|sign| matches!(sign, '+' | '-'));
                    if self.accept_if(|next| matches!(next, '.' | '_' | 'e' | 'E')) || self.peek().is_none() {
                        return false;
                    }
                }
                '_' => {
                    self.next();
                    if self.accept_if(|next| matches!(next, '.' | '_' | 'e' | 'E')) || self.peek().is_none() {
                        return false;
                    }
                }
                _ if is_digit(character) => self.accept_while(is_digit),
                _ => break,
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    /// Reads on after the first number of a duration. Reads one character too many when it is none, which the error shows.
    fn rest_of_duration(&mut self) -> bool {
        if !self.accept_if(|unit| matches!(unit, 's' | 'm' | 'h' | 'd' | 'w' | 'y')) {
            return false;
        }
        self.accept('s');
        while self.peek().is_some_and(|next| next.is_ascii_digit()) {
            self.accept_while(|digit| digit.is_ascii_digit());
            // Years always come first.
            if !self.accept_if(|unit| matches!(unit, 's' | 'm' | 'h' | 'd' | 'w')) {
                return false;
            }
            self.accept('s');
        }
        !self.accept_if(is_alphanumeric)
    }

    fn skip_spaces(&mut self) {
        self.accept_while(is_space);
        self.start = self.position;
    }

    fn skip_comment(&mut self) {
        self.accept_while(|character| !matches!(character, '\r' | '\n'));
        self.start = self.position;
    }

    fn peek(&self) -> Option<char> {
        self.input[self.position..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.position += character.len_utf8();
        Some(character)
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.accept_if(|character| character == wanted)
    }

    fn accept_if(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        match self.peek() {
            Some(character) if wanted(character) => {
                self.position += character.len_utf8();
                true
            }
            _ => false,
        }
    }

    fn accept_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.accept_if(&wanted) {}
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        let position = PositionRange { start: self.start as u32, end: self.input.len() as u32 };
        ParseError::new(self.input, position, message)
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(character: char) -> bool {
    character == '_' || character.is_ascii_alphabetic()
}

fn is_alphanumeric(character: char) -> bool {
    is_alpha(character) || character.is_ascii_digit()
}

//! The serialising algorithm of RFC 9651 section 4.1.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::parse::is_key_char;
use super::{BareItem, Dictionary, InnerList, Item, List, MAX_INTEGER, Member, Parameters};
use crate::message::is_tchar;

/// Why RFC 9651 cannot express a value. Values from the parser can be written, unless a key is
/// repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// A key has other characters than lower-case letters, digits and `_-.*` (section 4.1.1.3).
    #[error("a key that is not lower-case letters, digits and _-.*")]
    Key,
    /// An integer or date has more than fifteen digits (section 4.1.4).
    #[error("an integer of more than 15 digits")]
    Integer,
    /// A string has a character that is not printable ASCII (section 4.1.6).
    #[error("a string with a character outside printable ascii")]
    String,
    /// A token has a character that is not allowed in tokens (section 4.1.7).
    #[error("a token with a character that tokens do not have")]
    Token,
    /// A dictionary has the same key twice.
    #[error("a repeated key")]
    DuplicateKey,
}

impl BareItem<'_> {
    /// Appends the value to `out`.
    ///
    /// # Errors
    /// [`Unwritable`]; `out` then holds a part of the value.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        match self {
            BareItem::Integer(number) => integer(*number, out),
            BareItem::Decimal(number) => {
                decimal(number.thousandths(), out);
                Ok(())
            }
            BareItem::String(text) => string(text, out),
            BareItem::Token(text) => {
                let mut bytes = text.bytes();
                let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'*');
                if !starts || !bytes.all(|b| is_tchar(b) || matches!(b, b':' | b'/')) {
                    return Err(Unwritable::Token);
                }
                out.push_str(text);
                Ok(())
            }
            BareItem::Bytes(bytes) => {
                out.push(':');
                STANDARD.encode_string(bytes, out);
                out.push(':');
                Ok(())
            }
            BareItem::Boolean(value) => {
                out.push_str(if *value { "?1" } else { "?0" });
                Ok(())
            }
            BareItem::Date(seconds) => {
                out.push('@');
                integer(*seconds, out)
            }
            BareItem::DisplayString(text) => {
                display_string(text, out);
                Ok(())
            }
        }
    }
}

impl Parameters<'_> {
    /// Appends the parameters to `out`, each after a semicolon.
    ///
    /// # Errors
    /// [`Unwritable`]; `out` then holds a part of the value.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        for (name, value) in self.iter() {
            out.push(';');
            write_key(name, out)?;
            // The value true is left out (section 4.1.1.2).
            if *value != BareItem::Boolean(true) {
                out.push('=');
                value.write_to(out)?;
            }
        }
        Ok(())
    }
}

impl Item<'_> {
    /// Appends the item to `out`.
    ///
    /// # Errors
    /// [`Unwritable`]; `out` then holds a part of the value.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        self.value.write_to(out)?;
        self.params.write_to(out)
    }
}

impl InnerList<'_> {
    /// Appends the inner list to `out`.
    ///
    /// # Errors
    /// [`Unwritable`]; `out` then holds a part of the value.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        out.push('(');
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            item.write_to(out)?;
        }
        out.push(')');
        self.params.write_to(out)
    }
}

impl Member<'_> {
    /// Appends the member to `out`.
    ///
    /// # Errors
    /// [`Unwritable`]; `out` then holds a part of the value.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        match self {
            Member::Item(item) => item.write_to(out),
            Member::InnerList(list) => list.write_to(out),
        }
    }

    /// Appends the member to `out` as a dictionary member with the key `name` (section 4.1.2).
    ///
    /// # Errors
    /// [`Unwritable`]; `out` then holds a part of the value.
    pub fn write_under(&self, name: &str, out: &mut String) -> Result<(), Unwritable> {
        write_key(name, out)?;
        match self {
            Member::Item(Item { value: BareItem::Boolean(true), params }) => params.write_to(out),
            member => {
                out.push('=');
                member.write_to(out)
            }
        }
    }
}

impl List<'_> {
    /// Appends the list to `out`. An empty list is an empty string, which means that the field must
    /// not be sent.
    ///
    /// # Errors
    /// [`Unwritable`]; `out` then holds a part of the value.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        for (index, member) in self.members.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            member.value.write_to(out)?;
        }
        Ok(())
    }
}

impl Dictionary<'_> {
    /// Appends the dictionary to `out`. An empty dictionary is an empty string, which means that
    /// the field must not be sent.
    ///
    /// # Errors
    /// [`Unwritable`], also for a repeated key; `out` then holds a part of the value.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        if self.duplicate.is_some() {
            return Err(Unwritable::DuplicateKey);
        }
        for (index, (name, member)) in self.members.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            member.value.write_under(name, out)?;
        }
        Ok(())
    }
}

/// Appends the key of a dictionary member or parameter to `out` (section 4.1.1.3).
///
/// # Errors
/// [`Unwritable::Key`] if the key has characters that are not allowed.
pub fn write_key(name: &str, out: &mut String) -> Result<(), Unwritable> {
    let starts = matches!(name.as_bytes().first(), Some(b'a'..=b'z' | b'*'));
    if !starts || !name.bytes().all(is_key_char) {
        return Err(Unwritable::Key);
    }
    out.push_str(name);
    Ok(())
}

fn integer(number: i64, out: &mut String) -> Result<(), Unwritable> {
    if !(-MAX_INTEGER..=MAX_INTEGER).contains(&number) {
        return Err(Unwritable::Integer);
    }
    // Writing to a string cannot fail.
    let _ = write!(out, "{number}");
    Ok(())
}

/// Writes a decimal (section 4.1.5): at least one digit after the point, and no unneeded zeros at
/// the end.
fn decimal(thousandths: i64, out: &mut String) {
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, fraction) = (thousandths.unsigned_abs() / 1000, thousandths.unsigned_abs() % 1000);
    let fraction = format!("{fraction:03}");
    let fraction = match fraction.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let _ = write!(out, "{sign}{whole}.{fraction}");
}

fn string(text: &str, out: &mut String) -> Result<(), Unwritable> {
    // The loop always runs to the end, so that the compiler can compare many bytes at once.
    let (mut printable, mut plain) = (true, true);
    for byte in text.bytes() {
        printable &= matches!(byte, b' '..=b'~');
        plain &= byte != b'"' && byte != b'\\';
    }
    if !printable {
        return Err(Unwritable::String);
    }
    out.push('"');
    if plain {
        out.push_str(text);
    } else {
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                out.push('\\');
            }
            out.push(character);
        }
    }
    out.push('"');
    Ok(())
}

fn display_string(text: &str, out: &mut String) {
    out.push_str("%\"");
    for byte in text.bytes() {
        match byte {
            b'%' | b'"' | 0..=0x1f | 0x7f..=0xff => {
                let _ = write!(out, "%{byte:02x}");
            }
            plain => out.push(char::from(plain)),
        }
    }
    out.push('"');
}

//! Text that becomes markup: escaping, base64, and drawings that are known to be well-formed.

use std::borrow::Cow;

/// A drawing made by [`crate::plot`], to be put into a page as it is. There is no way to make one from a string, so
/// that whatever else goes into a page is escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg(String);

impl Svg {
    /// The document, an `svg` element.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Every part of the text that is not ours must be escaped already.
    pub(crate) fn trusted(text: String) -> Self {
        Self(text)
    }
}

/// Text as it may stand between tags and in quoted attributes. Control characters, which neither XML nor HTML takes,
/// become the replacement character.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !"&<>\"'".contains(c) && !forbidden(c);
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if forbidden(c) => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn forbidden(c: char) -> bool {
    c.is_control() && !"\n\t".contains(c) || "\u{fffe}\u{ffff}".contains(c)
}

/// Base64 with padding (RFC 4648, section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            if place <= group.len() {
                out.push(char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, encoded) in cases {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn what_could_be_markup_is_escaped() {
        assert_eq!(escape("a plain name, 1e-3"), "a plain name, 1e-3");
        assert_eq!(
            escape("<script>&\"'\u{0}\u{1b}\n"),
            "&lt;script&gt;&amp;&quot;&#39;\u{fffd}\u{fffd}\n"
        );
    }
}

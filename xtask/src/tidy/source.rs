//! Rust source with everything that is not code blanked out.

/// A Rust file: its lines, the code alone, and the code outside tests.
pub struct Source<'a> {
    /// Path relative to the workspace.
    pub path: &'a str,
    /// The text as it stands.
    pub text: &'a str,
    /// The text with comments and the content of strings blanked; lines and columns are kept.
    pub code: String,
    /// As `code`, with items under `#[cfg(test)]` blanked as well.
    pub product: String,
}

impl<'a> Source<'a> {
    /// Reads a file.
    pub fn new(path: &'a str, text: &'a str) -> Self {
        let code = blank_non_code(text);
        let product = blank_tests(&code);
        Self {
            path,
            text,
            code,
            product,
        }
    }

    /// Whether the file belongs to the library or program itself, not to its tests, benches or examples.
    pub fn is_product(&self) -> bool {
        !["/tests/", "/benches/", "/examples/"]
            .iter()
            .any(|part| self.path.contains(part))
            && !self.path.ends_with("/tests.rs")
            && !self.path.ends_with("build.rs")
    }

    /// The crate's folder name, `xtask` for the program of that name.
    pub fn crate_name(&self) -> &str {
        let below = self.path.strip_prefix("crates/").unwrap_or(self.path);
        below.split('/').next().unwrap_or_default()
    }
}

/// The lines (from 1) in which `word` stands as a whole word or path.
pub fn lines_with<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    code.lines()
        .enumerate()
        .filter(move |(_, line)| contains_word(line, word))
        .map(|(index, _)| index + 1)
}

/// Whether `word` stands in `line` without a letter, digit or underscore beside it.
pub fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_part)
            && !line[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

fn blank_non_code(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let (length, keep) = match rest {
            ['/', '/', ..] => (rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()), 0),
            ['/', '*', ..] => (block_comment(rest), 0),
            ['r', '"' | '#', ..] | ['b', 'r', '"' | '#', ..]
                if !follows_word(&code) && raw_string(rest).is_some() =>
            {
                (raw_string(rest).unwrap_or(1), 1)
            }
            ['"', ..] => (plain_string(rest), 1),
            // A character literal, not a lifetime.
            ['\'', '\\', ..] => (
                rest[2..]
                    .iter()
                    .skip(1)
                    .position(|&c| c == '\'')
                    .map_or(rest.len(), |end| end + 4),
                1,
            ),
            ['\'', _, '\'', ..] => (3, 1),
            _ => (1, 1),
        };
        for (offset, &character) in rest[..length].iter().enumerate() {
            let shown = length == 1 || offset < keep && character != 'r' && character != 'b';
            code.push(if character == '\n' || shown {
                character
            } else {
                ' '
            });
        }
        at += length;
    }
    code
}

fn follows_word(code: &str) -> bool {
    code.chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn plain_string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of the raw string that starts here, if one does.
fn raw_string(rest: &[char]) -> Option<usize> {
    let start = rest.iter().position(|&c| c == 'r')? + 1;
    let hashes = rest[start..].iter().take_while(|&&c| c == '#').count();
    if rest.get(start + hashes) != Some(&'"') {
        return None;
    }
    let body = start + hashes + 1;
    let is_end =
        |at: usize| rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
    Some(
        (body..rest.len())
            .find(|&at| is_end(at))
            .map_or(rest.len(), |at| at + 1 + hashes),
    )
}

/// Blanks each item that follows `#[cfg(test)]`, to its closing brace or semicolon.
fn blank_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut product = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        product.push_str(&rest[..at]);
        let end = item_end(&rest[at..]);
        product.extend(
            rest[at..at + end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[at + end..];
    }
    product.push_str(rest);
    product
}

fn item_end(item: &str) -> usize {
    let mut depth = 0usize;
    for (at, character) in item.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked_in_place() {
        let text = "let a = \"tch // x\"; // tch\n/* tch /* nested */ tch */ let c = 'x'; let q = '\"'; let e = '\\''; fn f<'a>() {} r#\"tch \" tch\"# end";
        let code = blank_non_code(text);
        assert_eq!(code.chars().count(), text.chars().count());
        assert_eq!(code.lines().count(), 2);
        assert!(!code.contains("tch"), "{code}");
        for kept in ["let a", "let c", "let q", "let e", "fn f<'a>() {}", "end"] {
            assert!(code.contains(kept), "{kept} is lost in {code}");
        }
    }

    #[test]
    fn tests_are_blanked() {
        let code = "use a;\n#[cfg(test)]\nmod tests {\n fn f() { b }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}\n";
        let product = blank_tests(code);
        assert_eq!(product.lines().count(), code.lines().count());
        assert!(product.contains("fn c()") && product.contains("fn d()"));
        assert!(!product.contains("fn f") && !product.contains("more"));
    }

    #[test]
    fn words_are_whole() {
        assert!(contains_word("use tch::Tensor;", "tch"));
        assert!(!contains_word("let stretch = batch;", "tch"));
        assert!(!contains_word("tch_like", "tch"));
        assert_eq!(
            lines_with("a\nstd::fs::read\nb", "std::fs").collect::<Vec<_>>(),
            [2]
        );
    }
}

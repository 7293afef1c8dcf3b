//! Every configuration of the repository parses, resolves to itself and builds.

use std::path::PathBuf;

use tch::{Device, nn};
use train::config::{DataConfig, load_file, load_text};
use train::{Dataset, data};

fn configs() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder configs")
        .map(|e| e.expect("an entry").path())
        .collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    files.sort();
    files
}

/// Shape and number of rows of a configuration's data; those of fetched sets are known beforehand.
fn data_of(config: &DataConfig) -> (Vec<i64>, u64) {
    match config {
        DataConfig::Mnist(_) | DataConfig::FashionMnist(_) => (vec![1, 28, 28], 60_000),
        DataConfig::Emoji(c) => (vec![3, i64::from(c.size), i64::from(c.size)], 3786),
        DataConfig::Ucr(_) => (vec![1, 24], 1096),
        other => {
            let data: Box<dyn Dataset> = data::open(other).expect("data of the repository");
            (data.shape().to_vec(), data.len() as u64)
        }
    }
}

#[test]
fn all_configurations_build() {
    tch::set_num_threads(1);
    let files = configs();
    assert!(files.len() >= 11, "{files:?}");
    for file in files {
        let loaded = load_file(&file, &[]).unwrap_or_else(|e| panic!("{e}"));
        assert!(loaded.notes.is_empty(), "{}: {:?}", file.display(), loaded.notes);
        let config = loaded.config;
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned());
        assert_eq!(
            Some(&config.name),
            stem.as_ref(),
            "the name of a run is that of its file"
        );
        let text = config.to_toml().unwrap_or_else(|e| panic!("{e}"));
        let again = load_text(&text, &file, &[]).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert_eq!(again.config, config, "{}", file.display());

        let (shape, rows) = data_of(&config.data);
        assert!(
            config.train.batch <= rows,
            "{}: the batch is larger than the data",
            file.display()
        );
        let vs = nn::VarStore::new(Device::Cpu);
        config
            .net
            .build(&vs.root(), &shape)
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(!vs.is_empty());
    }
}

#[test]
fn digits_edm_states_the_spread_of_its_data() {
    // sigma_data = 0.75 in the file, measured here on the scaled values.
    let data = data::open(&DataConfig::default()).expect("embedded");
    let rows: Vec<u64> = (0..data.len() as u64).collect();
    let mut values = vec![0.0; data.len() * data.row_len()];
    data.read(&rows, train::Visit { seed: 0, epoch: 0 }, &mut values)
        .expect("all rows");
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let std = (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt();
    assert!((std - 0.75).abs() < 0.005, "{std}");
}

//! The networks of score_sde against that code.

mod common;

use std::path::{Path, PathBuf};

use common::fixture::{self, Fixture};
use score_nets::NetConfig;
use score_nets::score_sde::{EmbeddingType, ModelConfigFile};

fn check(fixture: &Fixture) {
    let file = ModelConfigFile::from_value(fixture.facts.config.clone())
        .unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
    // The list of noise levels is f64 in the reference and f32 in a store of f32 tensors.
    let numbered = match &file.net {
        NetConfig::Ncsnpp(config) | NetConfig::Ddpmpp(config) => {
            config.scale_by_sigma && config.embedding_type == EmbeddingType::Positional
        }
        NetConfig::Ddpm(config) => config.scale_by_sigma,
        _ => false,
    };
    fixture.check(&file.net, "in.time_cond", if numbered { 6 } else { 12 });
}

/// Made by `fixtures/score_sde/make.py`; `SCORE_SDE_FIXTURES` names a folder of more of them.
#[test]
fn networks_of_the_reference() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/score_sde");
    let more = std::env::var_os("SCORE_SDE_FIXTURES").map(PathBuf::from);
    for folder in [Some(own), more].into_iter().flatten() {
        let names = fixture::names(&folder);
        assert!(names.len() >= 8, "{}: {} fixtures", folder.display(), names.len());
        for name in names {
            check(&fixture::read(&folder, &name));
        }
    }
}

#[test]
fn networks_of_the_shared_folder() {
    let Some(folder) = fixture::shared("nets") else {
        return;
    };
    for name in ["ddpmpp_vp", "ncsnpp_ve_fir_residual"] {
        check(&fixture::read(&folder, name));
    }
}

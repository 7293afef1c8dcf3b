//! Starting the program, and tensors in and out of files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use score_nets::card::{DataCard, Origin, OriginKind, WeightsKind};
use score_nets::{ModelCard, NetConfig, ScoreNet, named_parameters, named_tensors, seeded, weights};
use sde_core::precond::PrecondConfig;
use tch::{Device, Kind, Tensor, nn};

/// What a command did.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// `sde` with arguments, on one thread, in a folder.
pub fn sde(folder: &Path, args: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sde"));
    command
        .args(args)
        .current_dir(folder)
        .env("OMP_NUM_THREADS", "1")
        .stdin(Stdio::null());
    let output = command.output().expect("the program starts");
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The same; it must succeed.
#[track_caller]
pub fn done(folder: &Path, args: &[&str]) -> Done {
    let done = sde(folder, args);
    assert_eq!(done.code, 0, "{args:?}\n{}", done.err);
    done
}

/// The same; it must fail with this code, and the first error line must say all of this.
#[track_caller]
pub fn refused(folder: &Path, args: &[&str], code: i32, says: &[&str]) {
    let done = sde(folder, args);
    assert_eq!(done.code, code, "{args:?}\n{}{}", done.out, done.err);
    let line = done.err.lines().find(|line| line.starts_with("error: "));
    let line = line.unwrap_or_else(|| panic!("{args:?}: no error line in\n{}", done.err));
    for text in says {
        assert!(line.contains(text), "{args:?}: {text} is not in\n{line}");
    }
}

/// A fixture of score-nets.
pub fn fixture(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../score-nets/tests/fixtures/pytorch");
    root.join(name).to_string_lossy().into_owned()
}

/// The folder of larger fixtures beside the repository, if it is there.
#[allow(clippy::print_stdout, reason = "says what was not tested")]
pub fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/nets");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no {}", folder.display());
    None
}

pub fn write(path: &Path, tensors: &[(&str, &Tensor)]) {
    let named: Vec<(String, Tensor)> = tensors
        .iter()
        .map(|(name, tensor)| (name.to_string(), tensor.shallow_clone()))
        .collect();
    weights::save(path, &named).expect("saves");
}

pub fn tensor(path: &Path, name: &str) -> Tensor {
    let tensors = weights::read(path).expect("reads");
    let found = tensors.into_iter().find(|(known, _)| known == name);
    found
        .unwrap_or_else(|| panic!("{name} is in {}", path.display()))
        .1
}

/// The model folder `model` of a network whose weights are no zeros but sines of this size, and the network.
pub fn sines(
    here: &Path,
    (name, precond): (&str, PrecondConfig),
    net: &str,
    shape: &[i64],
    size: f64,
) -> Box<dyn ScoreNet> {
    let net: NetConfig = toml::from_str(net).expect("a network");
    let vs = nn::VarStore::new(Device::Cpu);
    let built = seeded(3, || net.build(&vs.root(), shape)).expect("builds");
    tch::no_grad(|| {
        for (number, (_, mut tensor)) in named_parameters(&vs).into_iter().enumerate() {
            let values = Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)) + number as f64;
            tensor.copy_(&(values.sin() * size).view(&tensor.size()[..]));
        }
    });
    let card = ModelCard {
        format: ModelCard::FORMAT,
        name: name.into(),
        licence: "none".into(),
        betas: None,
        origin: Origin {
            source: OriginKind::Other,
            file: String::new(),
            weights: WeightsKind::Unknown,
            step: None,
        },
        data: DataCard::symmetric_bytes(shape),
        sde: Default::default(),
        precond,
        net,
    };
    weights::write_model(&here.join("model"), &card, &named_tensors(&vs)).expect("writes");
    built
}

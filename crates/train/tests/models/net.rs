use score_nets::given::Given;
use tch::{Device, Kind, Tensor};

use crate::common::{done, fixture, refused, sines, tensor, write};

/// Input that does not fit is named by file and tensor; what fits gives `out` of its shape.
#[test]
fn inputs_are_checked() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let (pth, config) = (fixture("score_sde_tiny.pth"), fixture("score_sde_tiny.json"));
    done(
        here,
        &[
            "import",
            "--from",
            "score-sde",
            &pth,
            "--model-config",
            &config,
            "--out",
            "model",
        ],
    );
    let float = (Kind::Float, Device::Cpu);
    let x = Tensor::arange(32, float).view([2, 1, 4, 4]) / 32.0;
    let times = Tensor::from_slice(&[0.5_f32, 20.0]);
    let forward = [
        "net",
        "forward",
        "--model",
        "model",
        "--input",
        "in.safetensors",
        "--output",
        "out.safetensors",
    ];
    let input = here.join("in.safetensors");
    let run = |tensors: &[(&str, &Tensor)]| {
        write(&input, tensors);
        done(here, &forward);
        tensor(&here.join("out.safetensors"), "out")
    };
    let out = run(&[("x", &x), ("t", &times)]);
    assert_eq!((out.size(), out.kind()), (vec![2, 1, 4, 4], Kind::Float));
    // One time for all rows; f64 and whole numbers are taken as the f32 that they are.
    let one = run(&[("x", &x.to_kind(Kind::Double)), ("t", &Tensor::from(20_i64))]);
    let row = (one.get(1) - out.get(1)).abs().max().double_value(&[]);
    assert!(row <= 1e-5 * out.get(1).abs().max().double_value(&[]), "{row}");

    let refuse = |tensors: &[(&str, &Tensor)], says: &[&str]| {
        write(&input, tensors);
        refused(here, &forward, 1, &[&["in.safetensors"], says].concat());
    };
    refuse(&[("x", &x)], &["no tensor t"]);
    refuse(&[("t", &times)], &["no tensor x"]);
    refuse(&[("x", &x), ("t", &times), ("z", &times)], &["tensor z"]);
    refuse(
        &[("x", &x), ("t", &Tensor::from_slice(&[1.0_f32, 2.0, 3.0]))],
        &["tensor t", "[3]", "[2]"],
    );
    refuse(
        &[("x", &x.view([2, 4, 4])), ("t", &times)],
        &["tensor x", "[2, 4, 4]", "[rows, 1, 4, 4]"],
    );
    refuse(
        &[("x", &x.narrow(0, 0, 0)), ("t", &times)],
        &["tensor x", "one row or more"],
    );
    refuse(
        &[("x", &(&x / 0.0)), ("t", &times)],
        &["tensor `x`", "not finite"],
    );
    refuse(&[("x", &x.isfinite()), ("t", &times)], &["tensor x", "bools"]);
    let classes = Tensor::from_slice(&[0_i64, 1]);
    write(&input, &[("x", &x), ("t", &times), ("y", &classes)]);
    refused(here, &forward, 1, &["net.classes"]);
    refuse(&[("x", &x), ("t", &times), ("y", &times)], &["tensor y", "Float"]);
    std::fs::write(&input, b"").expect("writes");
    refused(here, &forward, 1, &["in.safetensors", "0 bytes"]);
    refused(
        here,
        &[&forward[..3], &["absent"], &forward[4..]].concat(),
        1,
        &["in.safetensors"],
    );
    drop(run(&[("x", &x), ("t", &times)]));
    refused(
        here,
        &[&forward[..3], &["absent"], &forward[4..]].concat(),
        1,
        &["absent", "model.toml"],
    );
    refused(
        here,
        &[&forward[..7], &["absent/out.safetensors"]].concat(),
        1,
        &["absent"],
    );
}

/// A run is a model too.
#[test]
fn runs_are_described_and_evaluated() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let config = "name = \"small\"\n[data]\nkind = \"toy-2d\"\nrows = 64\n[net]\nkind = \"mlp\"\nhidden_size = 8\n\
                  num_layers = 1\n[train]\nsteps = 2\nbatch = 16\nsamples = 0\n";
    std::fs::write(here.join("small.toml"), config).expect("writes");
    done(
        here,
        &[
            "train",
            "--config",
            "small.toml",
            "--out",
            "run",
            "--device",
            "cpu",
        ],
    );
    let info = done(here, &["net", "info", "--run", "run"]).out;
    assert!(
        info.contains("source = \"run\"") && info.contains("step = 2") && info.contains("shape = [2]"),
        "{info}"
    );
    let (x, t) = (
        Tensor::from_slice(&[0.1_f32, 0.2]).view([1, 2]),
        Tensor::from_slice(&[500.0_f32]),
    );
    write(&here.join("in.safetensors"), &[("x", &x), ("t", &t)]);
    done(
        here,
        &[
            "net",
            "forward",
            "--run",
            "run",
            "--input",
            "in.safetensors",
            "--output",
            "out.safetensors",
        ],
    );
    assert_eq!(tensor(&here.join("out.safetensors"), "out").size(), [1, 2]);
    refused(
        here,
        &["net", "info", "--run", "absent"],
        1,
        &["absent", "no such run folder"],
    );
    refused(here, &["net", "info", "--model", "run"], 1, &["run/model.toml"]);
}

/// Classes reach a network that takes them.
#[test]
fn classes_are_told() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let net = "kind = \"mlp\"\nhidden_size = 8\nnum_layers = 1\nclasses = 3\n";
    let built = sines(here, ("classes", Default::default()), net, &[2], 1.0);
    let x = Tensor::from_slice(&[0.1_f32, 0.2, 0.1, 0.2]).view([2, 2]);
    let t = Tensor::from_slice(&[5.0_f32, 5.0]);
    let forward = [
        "net",
        "forward",
        "--model",
        "model",
        "--input",
        "in.safetensors",
        "--output",
        "out.safetensors",
    ];
    write(
        &here.join("in.safetensors"),
        &[("x", &x), ("t", &t), ("y", &Tensor::from_slice(&[0_i32, 2]))],
    );
    done(here, &forward);
    let out = tensor(&here.join("out.safetensors"), "out");
    let given = Given::labels(&[0, 2]).expect("labels");
    assert_eq!(
        out,
        built.forward_given(&x, &t, &given, false).expect("runs").detach()
    );
    assert_ne!(out.get(0), out.get(1));
    for (class, says) in [(3, "3"), (-2, "-2")] {
        let y = Tensor::from_slice(&[0_i64, class]);
        write(&here.join("in.safetensors"), &[("x", &x), ("t", &t), ("y", &y)]);
        refused(here, &forward, 1, &[says]);
    }
}

//! TorchScript modules as score functions.

use std::path::PathBuf;
use std::sync::Arc;

use score_nets::weights::pytorch::read_tensors;
use score_nets::weights::{TorchScriptNet, WeightsError};
use score_nets::{NetError, NetScore, ScoreNet, TensorState};
use sde_core::Sde;
use sde_core::precond::{PrecondConfig, RawTable};
use sde_core::sde::Vp;
use solvers::{Coef, ScoreFn, ScoreVjp};
use tch::{Device, Kind, Tensor};

fn fixture(name: &str) -> PathBuf {
    tch::set_num_threads(1);
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/torchscript")
        .join(name)
}

fn facts(name: &str) -> Tensor {
    let tensors = read_tensors(&fixture("small.pth")).expect("reads");
    tensors
        .into_iter()
        .find(|(known, _)| known == name)
        .expect("is there")
        .1
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn output_and_gradient_are_those_of_the_module() {
    let net = TorchScriptNet::load(&fixture("small.pt"), Device::Cpu).expect("loads");
    let (x, t) = (facts("x"), facts("t"));
    // Twice, and once more: libtorch compiles a module after its first calls.
    for _ in 0..3 {
        let input = x.copy().set_requires_grad(true);
        let out = net.forward(&input, &t, false).expect("runs");
        assert!(distance(&out.detach(), &facts("out")) <= 1e-6);
        let loss = (&out * facts("cotangent")).sum(Kind::Float);
        let grad = Tensor::run_backward(&[&loss], &[&input], false, false).remove(0);
        assert!(distance(&grad, &facts("grad.x")) <= 1e-5);
    }
    // Another number of rows, and one time for all of them.
    let rows = x.narrow(0, 0, 2);
    let shared = Tensor::from_slice(&[100.0_f32]).expand([2], false);
    let out = net.forward(&rows, &shared, false).expect("runs");
    assert!(distance(&out.get(1), &net.forward(&x, &t, false).expect("runs").get(1)) <= 1e-6);
}

/// With a preconditioning it is a score function, with its Jacobian.
#[test]
fn a_module_is_a_score_function() {
    let net = TorchScriptNet::load(&fixture("small.pt"), Device::Cpu).expect("loads");
    let vp: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0).expect("a process"));
    let precond = PrecondConfig::RawEps(RawTable::default());
    let score_fn = NetScore::new(&net, precond.build(Arc::clone(&vp)).expect("builds"));
    let state = |tensor: Tensor| TensorState::new(tensor).expect("a state");
    let (x, v) = (state(facts("x")), state(facts("cotangent")));
    let zeros = || state(facts("x").zeros_like());
    let (mut score, mut again, mut vjp) = (zeros(), zeros(), zeros());
    let at = Coef::All(100.0 / 999.0);
    score_fn.score(&x, at, &mut score).expect("a score");
    score_fn
        .score_vjp(&x, at, &v, &mut again, &mut vjp)
        .expect("a product");
    let std = vp.marginal(100.0 / 999.0).std;
    // The second row of the fixture has this time.
    let need = facts("out").get(1) / -std;
    assert!(
        distance(&score.tensor().get(1), &need) <= 1e-5 && distance(&again.tensor().get(1), &need) <= 1e-5
    );
    assert!(distance(&vjp.tensor().get(1), &(facts("grad.x").get(1) / -std)) <= 1e-4);
}

#[test]
fn what_is_no_such_module_is_refused() {
    let wrong = TorchScriptNet::load(&fixture("wrong.pt"), Device::Cpu).expect("loads");
    let error = wrong
        .forward(&facts("x"), &facts("t"), false)
        .expect_err("another shape");
    assert!(
        matches!(error, NetError::Shape { ref got, .. } if got == &[3, 60]),
        "{error}"
    );
    let net = TorchScriptNet::load(&fixture("small.pt"), Device::Cpu).expect("loads");
    assert!(matches!(
        net.forward(&facts("x"), &facts("t"), true),
        Err(NetError::Config { .. })
    ));
    let error = net
        .forward(&facts("x").narrow(1, 0, 1), &facts("t"), false)
        .expect_err("a channel too few");
    assert!(
        matches!(error, NetError::Torch { .. }) && error.to_string().lines().count() == 1,
        "{error}"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made.pt");
    let bytes = std::fs::read(fixture("small.pt")).expect("there");
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    for (name, content) in [
        ("nothing", &[][..]),
        ("text", b"def forward(x, t):"),
        ("truncated", &bytes[..bytes.len() / 2]),
        ("flipped", &flipped),
        (
            "a checkpoint",
            &std::fs::read(fixture("small.pth")).expect("there"),
        ),
    ] {
        std::fs::write(&path, content).expect("writes");
        let error = TorchScriptNet::load(&path, Device::Cpu)
            .map(drop)
            .expect_err(name);
        let text = error.to_string();
        assert!(
            text.contains("made.pt") && text.lines().count() == 1,
            "{name}: {text}"
        );
    }
    let absent = TorchScriptNet::load(&folder.path().join("absent.pt"), Device::Cpu);
    assert!(matches!(absent.map(drop), Err(WeightsError::Io { .. })));
}

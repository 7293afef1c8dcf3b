//! Model cards and model folders.

mod common;

use std::fs;
use std::path::Path;

use score_nets::card::{CardError, DataCard, ModelCard, Origin, OriginKind, WeightsKind};
use score_nets::weights::{CARD_FILE, NET_FILE, WeightsError, load_model, read_card, write_model};
use score_nets::{NetConfig, named_tensors};
use sde_core::config::{EdmConfig, SdeConfig, VeConfig, VpConfig};
use sde_core::precond::{PrecondConfig, ScaledTable, TimeInputKind};
use tch::{Device, Kind, Tensor};

fn card(net: NetConfig, shape: &[i64]) -> ModelCard {
    ModelCard {
        format: ModelCard::FORMAT,
        name: "a \"name\" with σ".into(),
        licence: "CC BY 4.0".into(),
        betas: None,
        origin: Origin {
            source: OriginKind::ScoreSde,
            file: "checkpoint_8.pth".into(),
            weights: WeightsKind::Ema,
            step: Some(400_001),
        },
        data: DataCard::symmetric_bytes(shape),
        sde: SdeConfig::Vp(VpConfig::default()),
        precond: PrecondConfig::default(),
        net,
    }
}

/// Betas that no schedule says.
fn ladder() -> Vec<f64> {
    (0..100)
        .map(|i| 1e-3 + 0.2 * (f64::from(i) / 99.0).powf(1.7))
        .collect()
}

/// Cards of every network, SDE and preconditioning.
fn cards() -> Vec<ModelCard> {
    let mut all = Vec::new();
    for (net, shape) in common::small() {
        let base = card(net, &shape);
        all.push(ModelCard {
            sde: SdeConfig::Ve(VeConfig {
                sigma_max: Some(1348.0 / 3.0),
                ..VeConfig::default()
            }),
            precond: PrecondConfig::Ve {},
            data: DataCard::unit_bytes(&shape),
            ..base.clone()
        });
        all.push(ModelCard {
            sde: SdeConfig::SubVp(VpConfig::default()).resolved(),
            precond: PrecondConfig::V(ScaledTable {
                sigma_data: Some(0.1),
                time_input: Some(TimeInputKind::LogSnr),
                ..ScaledTable::default()
            }),
            ..base.clone()
        });
        all.push(ModelCard {
            sde: SdeConfig::Edm(EdmConfig::default()).resolved(),
            precond: PrecondConfig::Edm(ScaledTable::default()),
            data: DataCard {
                shape: shape.clone(),
                shift: -1e-300,
                factor: -0.1,
                range: [-1.0, 1.0 / 3.0],
                levels: None,
            },
            origin: Origin {
                source: OriginKind::Run,
                file: String::new(),
                weights: WeightsKind::Raw,
                step: None,
            },
            ..base.clone()
        });
        all.push(ModelCard {
            betas: Some(ladder()),
            sde: SdeConfig::Vp(VpConfig {
                rungs: Some(100),
                ..VpConfig::default()
            }),
            ..base.clone()
        });
        all.push(base);
    }
    all
}

#[test]
fn round_trip_is_the_identity() {
    for card in cards() {
        let text = card.to_toml(Path::new(CARD_FILE)).expect("TOML");
        let back =
            ModelCard::from_toml(&text, Path::new(CARD_FILE)).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(back, card);
        assert_eq!(back.to_toml(Path::new(CARD_FILE)).expect("TOML"), text);
    }
}

#[test]
fn a_folder_gives_the_same_network_back() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (config, shape)) in common::small().into_iter().enumerate() {
        let (vs, net) = common::redrawn(&config, &shape, Kind::Float);
        let card = card(config, &shape);
        let path = folder.path().join(format!("model_{number}"));
        write_model(&path, &card, &named_tensors(&vs)).expect("writes");
        let model = load_model(&path, Device::Cpu).expect("loads");
        assert_eq!(model.card, card);
        let size: Vec<i64> = [2].iter().chain(&shape).copied().collect();
        let x =
            Tensor::arange(size.iter().product::<i64>(), (Kind::Float, Device::Cpu)).view(&size[..]) / 100.0;
        let time = Tensor::from_slice(&[1.5_f32, 3.0]);
        let (have, need) = (model.net.forward(&x, &time, false), net.forward(&x, &time, false));
        assert_eq!(have.expect("runs"), need.expect("runs"));
        let mut files: Vec<_> = fs::read_dir(&path)
            .expect("there")
            .map(|e| e.expect("there").file_name())
            .collect();
        files.sort_unstable();
        assert_eq!(files, [CARD_FILE, NET_FILE]);
    }
}

/// A card may list the betas of a ladder; its SDE has the kernels of the rungs.
#[test]
fn listed_betas_are_the_sde() {
    let (net, shape) = common::small().remove(0);
    let file = Path::new(CARD_FILE);
    let text = card(net, &shape).to_toml(file).expect("TOML");
    let with = |betas: &str, sde: &str| {
        let text = text.replacen("licence", &format!("betas = {betas}\nlicence"), 1);
        ModelCard::from_toml(
            &text.replacen("kind = \"vp\"\nschedule = \"linear\"", sde, 1),
            file,
        )
    };
    let betas = format!("{:?}", ladder());
    for sde in ["kind = \"vp\"", "kind = \"vp\"\nrungs = 100"] {
        let (sde, _) = with(&betas, sde).expect("a card").process(file).expect("an SDE");
        let mut alpha_bar = 1.0;
        for (rung, beta) in ladder().into_iter().enumerate() {
            alpha_bar *= 1.0 - beta;
            let at = sde.marginal((rung + 1) as f64 / 100.0);
            assert!((at.mean_coef.powi(2) / alpha_bar - 1.0).abs() < 1e-12);
            assert!((at.std.powi(2) / (1.0 - alpha_bar) - 1.0).abs() < 1e-10);
        }
        assert_eq!(sde.domain().sample_eps, 0.01);
    }
    for (betas, sde, says) in [
        (&*betas, "kind = \"ve\"", "betas = 100 of them"),
        (&betas, "kind = \"vp\"\nbeta_max = 2.0", "sde.beta_max = 2"),
        (&betas, "kind = \"vp\"\nschedule = \"cosine\"", "sde.schedule"),
        (&betas, "kind = \"vp\"\nrungs = 99", "sde.rungs = 99"),
        ("[0.5, nan]", "kind = \"vp\"", "ddpm.betas[1] = NaN"),
        ("[0.5, 1.0]", "kind = \"vp\"", "ddpm.betas[1] = 1"),
        ("[0.5]", "kind = \"vp\"", "sde.rungs = 1"),
        ("[]", "kind = \"vp\"", "sde.rungs = 0"),
        ("[0.01, 0.01]", "kind = \"vp\"", "sde.t_end"),
    ] {
        let error = with(betas, sde).expect_err(says).to_string();
        assert!(
            error.contains(says) && !error.contains('\n'),
            "{says} is not in\n{error}"
        );
    }
}

#[test]
fn what_is_wrong_is_named() {
    let (net, shape) = common::small().remove(0);
    let text = card(net, &shape).to_toml(Path::new(CARD_FILE)).expect("TOML");
    let cases = [
        ("format = 1", "format = 2", "format = 2"),
        ("format = 1", "formt = 1", "formt"),
        ("format = 1", "", "format"),
        ("licence = \"CC BY 4.0\"", "licence = 4", "model.toml:3"),
        ("source = \"score-sde\"", "source = \"theirs\"", "theirs"),
        ("step = 400001", "step = -1", "-1"),
        ("step = 400001", "steps = 1", "steps"),
        ("shift = 127.5", "shift = nan", "data.shift = NaN"),
        ("shift = 127.5", "shft = 1.0", "shft"),
        ("levels = 256", "levels = 1", "data.levels"),
        ("range = [0.0, 255.0]", "range = [255.0, 0.0]", "data.range"),
        ("kind = \"vp\"", "kind = \"vq\"", "vq"),
        (
            "kind = \"vp\"",
            "kind = \"vp\"\nbeta_min = -1.0",
            "sde.beta_min = -1",
        ),
        ("kind = \"vp\"", "kind = \"vp\"\nbeta = 1.0", "beta"),
        ("kind = \"eps\"", "kind = \"epsilon\"", "epsilon"),
        (
            "kind = \"eps\"",
            "kind = \"eps\"\nsigma_data = 0.0",
            "precond.sigma_data",
        ),
        ("[sde]", "[sde", "model.toml:"),
        ("[data]", "[dat]", "dat"),
    ];
    for (from, to, says) in cases {
        assert!(text.contains(from), "{from} is not in\n{text}");
        let error = ModelCard::from_toml(&text.replacen(from, to, 1), Path::new("here/model.toml"));
        let error = error.expect_err(to).to_string();
        assert!(
            error.starts_with("here/model.toml") && error.contains(says),
            "{to}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for shape in ["[]", "[0, 3]", "[-1]", "[1099511627776, 1099511627776]"] {
        let line = text
            .lines()
            .find(|line| line.starts_with("shape = "))
            .expect("a shape");
        let error = ModelCard::from_toml(
            &text.replacen(line, &format!("shape = {shape}"), 1),
            Path::new("model.toml"),
        );
        let error = error.expect_err(shape);
        assert!(
            matches!(error, CardError::Value { ref key, .. } if key == "data.shape"),
            "{shape}: {error}"
        );
    }
    let unknown = text.clone() + "unknown_key = 1\n";
    let error = ModelCard::from_toml(&unknown, Path::new("model.toml")).expect_err("unknown key");
    assert!(error.to_string().contains("unknown_key"), "{error}");
}

#[test]
fn folders_that_are_no_models_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model");
    let error = load_model(&path, Device::Cpu).map(drop).expect_err("absent");
    assert!(
        matches!(error, CardError::Io { .. }) && error.to_string().contains(CARD_FILE),
        "{error}"
    );
    let mut nets = common::small();
    let ((other, _), (config, shape)) = (nets.remove(1), nets.remove(0));
    let (vs, _) = common::redrawn(&config, &shape, Kind::Float);
    let mut bad = card(config, &shape);
    bad.data.factor = 0.0;
    assert!(write_model(&path, &bad, &named_tensors(&vs)).is_err() && !path.exists());
    bad.data.factor = 1.0;
    write_model(&path, &bad, &named_tensors(&vs)).expect("writes");
    // The card of another network beside the weights.
    let stranger = card(other, &[1, 8]);
    if stranger.check(Path::new(CARD_FILE)).is_ok() {
        fs::write(
            path.join(CARD_FILE),
            stranger.to_toml(Path::new(CARD_FILE)).expect("TOML"),
        )
        .expect("writes");
        assert!(load_model(&path, Device::Cpu).is_err());
    }
    // One that describes more parameters than there are, or than there is memory.
    let text = bad.to_toml(Path::new(CARD_FILE)).expect("TOML");
    let hidden = text
        .lines()
        .find(|line| line.starts_with("hidden") || line.starts_with("width"));
    let line = hidden.expect("the width of the network");
    let key = line.split(' ').next().expect("a key");
    fs::write(
        path.join(CARD_FILE),
        text.replacen(line, &format!("{key} = 8388608"), 1),
    )
    .expect("writes");
    let error = load_model(&path, Device::Cpu)
        .map(drop)
        .expect_err("too large")
        .to_string();
    assert!(error.contains(CARD_FILE) && error.contains("net"), "{error}");
    fs::write(path.join(CARD_FILE), vec![b'#'; (1 << 20) + 1]).expect("writes");
    assert!(matches!(read_card(&path), Err(CardError::Text { .. })));
    fs::write(path.join(CARD_FILE), [0xff, 0xfe]).expect("writes");
    assert!(matches!(read_card(&path), Err(CardError::Io { .. })));
    fs::write(path.join(CARD_FILE), text).expect("writes");
    fs::write(path.join(NET_FILE), b"").expect("writes");
    let error = load_model(&path, Device::Cpu)
        .map(drop)
        .expect_err("empty weights");
    assert!(
        matches!(error, CardError::Weights(WeightsError::Length { have: 0, .. })),
        "{error}"
    );
}

//! The table `[loss]`.

use super::tests::{load, says};
use super::*;

#[test]
fn losses_and_their_presets() {
    let loss = |text: &str, arguments: &[(&str, &str)]| load(text, arguments).unwrap().config.loss;
    assert_eq!(loss("", &[]), LossConfig::Dsm(DsmConfig::default()));
    let edm = LossConfig::Edm(DsmConfig::edm());
    assert_eq!(loss("loss = 'edm'", &[]), edm);
    // What a file says stands over the preset.
    let own = loss(
        "[loss]\nkind = 'edm'\ntime = { kind = 'log-normal', mean = -0.4, std = 1.0 }",
        &[],
    );
    let time = TimeDensityConfig::LogNormal { mean: -0.4, std: 1.0 };
    assert_eq!(
        own,
        LossConfig::Edm(DsmConfig {
            time,
            ..DsmConfig::edm()
        })
    );
    // A preset that an argument asks for stands over the file, but not over other arguments.
    let text = "[loss]\nkind = 'dsm'\nweighting = 'uniform'\ntime = 'importance'\nstratified = false";
    let loaded = load(text, &[("loss.kind", "edm")]).unwrap();
    let stratified = false;
    assert_eq!(
        loaded.config.loss,
        LossConfig::Edm(DsmConfig {
            stratified,
            ..DsmConfig::edm()
        })
    );
    assert_eq!(
        loaded.notes,
        [
            "loss.weighting (a.toml:3) is left to loss.kind = \"edm\"",
            "loss.time (a.toml:4) is left to loss.kind = \"edm\"",
        ]
    );
    let weighting = WeightingConfig::X0 {};
    assert_eq!(
        loss(text, &[("loss.kind", "edm"), ("loss.weighting", "x0")]),
        LossConfig::Edm(DsmConfig {
            weighting,
            stratified,
            ..DsmConfig::edm()
        })
    );
    // Other kinds keep what they share.
    let sliced = SlicedConfig {
        weighting: WeightingConfig::Uniform {},
        time: TimeDensityConfig::Importance {},
        stratified: false,
        ..SlicedConfig::default()
    };
    assert_eq!(loss(text, &[("loss", "sliced")]), LossConfig::Sliced(sliced));
    assert_eq!(
        loss("sde = 've'\nloss = 've'", &[]),
        LossConfig::Ve(DsmConfig::summed())
    );
    let common = loss("loss = 'vp'", &[]).common();
    assert_eq!(
        (common.reduction, common.weighting),
        (Reduction::Sum, WeightingConfig::Sigma2 {})
    );

    for kind in ["dsm", "edm", "vp", "sliced", "implicit"] {
        let first = load("", &[("loss", kind)]).unwrap().config;
        assert_eq!(load(&first.to_toml().unwrap(), &[]).unwrap().config, first);
    }
}

#[test]
fn losses_that_make_no_sense_are_refused() {
    says("sde = 've'\nloss = 'vp'", &[], {
        "loss.kind = vp: is for sde.kind = \"vp\" alone; use loss.kind = \"dsm\" (a.toml:2)"
    });
    says("", &[("loss.kind", "ve")], {
        "loss.kind = ve: is for sde.kind = \"ve\" alone; use loss.kind = \"dsm\" (argument --loss.kind ve)"
    });
    says("loss = 'slice'", &[], {
        r#"loss.kind = "slice": did you mean "sliced"? known: dsm, edm, vp, ve, sliced, implicit (a.toml:1)"#
    });
    for projections in ["0", "1025"] {
        let said = format!(
            "loss.projections = {projections}: need a number of projections from 1 to 1024 (argument --loss.projections {projections})"
        );
        says("loss = 'sliced'", &[("loss.projections", projections)], &said);
    }
    says("[loss]\nkind = 'sliced'\nprojection = 'gauss'", &[], {
        r#"loss.projection = "gauss": did you mean "gaussian"? known: rademacher, gaussian, sphere (a.toml:3)"#
    });
    for kind in ["dsm", "edm", "vp"] {
        let text = format!("[loss]\nkind = '{kind}'\ncontrol_variate = -0.5");
        says(&text, &[], {
            "loss.control_variate = -0.5: need a noise std, or 0 for no control variate (a.toml:3)"
        });
        let text = format!("[loss]\nkind = '{kind}'\ncontrol_variat = 0.5");
        says(
            &text,
            &[],
            "loss.control_variat: unknown key; did you mean loss.control_variate? (a.toml:3)",
        );
        let text = format!("[loss]\nkind = '{kind}'\nreduction = 'men'");
        says(&text, &[], {
            r#"loss.reduction = "men": did you mean "mean"? known: mean, sum (a.toml:3)"#
        });
    }
    says("[loss]\nkind = 'implicit'\nprojections = 2", &[], {
        "loss.projections: unknown key; did you mean loss.reduction? (a.toml:3)"
    });
}

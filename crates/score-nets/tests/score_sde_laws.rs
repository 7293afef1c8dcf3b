//! Laws that the networks of score_sde keep.

mod common;

use common::{ddpm, distance, fresh, ncsnpp, normals, redrawn};
use score_nets::score_sde::{EmbeddingType, Progressive, ProgressiveInput};
use score_nets::{NetConfig, NetError, named_parameters, named_tensors, seeded};
use tch::{Kind, Tensor};

#[test]
fn a_label_without_a_noise_level_is_refused() {
    let config = ncsnpp(|c| c.embedding_type = EmbeddingType::Positional);
    let (_vs, net) = fresh(&config, &[3, 8, 8]);
    let x = normals(2, &[3, 8, 8], Kind::Float);
    let known = net.forward(&x, &Tensor::from_slice(&[0.0_f32, 999.5]), false);
    assert!(known.is_ok());
    for time in [[0.0_f32, 1000.0], [-1.0, 3.0], [f32::NAN, 1.0], [1e30, 1.0]] {
        let error = net
            .forward(&x, &Tensor::from_slice(&time), false)
            .expect_err("no such level");
        assert!(matches!(error, NetError::Time { .. }), "{error}");
    }
    // The logarithm of a Fourier embedding.
    let (_vs, net) = fresh(&ncsnpp(|_| ()), &[3, 8, 8]);
    for time in [[0.0_f32, 1.0], [2.0, -0.5]] {
        let error = net
            .forward(&x, &Tensor::from_slice(&time), false)
            .expect_err("no logarithm");
        assert!(matches!(error, NetError::Time { .. }), "{error}");
    }
    let time = Tensor::from_slice(&[0.5_f32, 0.5]);
    for x in [
        normals(2, &[3, 8, 4], Kind::Float),
        normals(1, &[3, 8, 8], Kind::Float),
    ] {
        assert!(matches!(
            net.forward(&x, &time, false),
            Err(NetError::Shape { .. })
        ));
    }
}

/// One of every kind of stage, and the shape of its rows.
fn all() -> Vec<(NetConfig, Vec<i64>)> {
    let both =
        |progressive, input| ncsnpp(move |c| (c.progressive, c.progressive_input) = (progressive, input));
    vec![
        (
            both(Progressive::OutputSkip, ProgressiveInput::InputSkip),
            vec![3, 8, 8],
        ),
        (
            both(Progressive::Residual, ProgressiveInput::Residual),
            vec![1, 4, 8],
        ),
        (ncsnpp(|c| (c.conditional, c.fir) = (false, false)), vec![2, 6, 4]),
        (
            ncsnpp(|c| c.embedding_type = EmbeddingType::Positional),
            vec![1, 8, 4],
        ),
        (ddpm(|_| ()), vec![3, 4, 8]),
    ]
}

#[test]
fn rows_keep_to_themselves_and_share_a_time() {
    for (config, shape) in all() {
        let (_vs, net) = redrawn(&config, &shape, Kind::Double);
        let x = normals(3, &shape, Kind::Double);
        let time = Tensor::from_slice(&[0.3, 7.5, 40.0]);
        let out = net.forward(&x, &time, false).expect("runs");
        assert_eq!(out.size(), x.size());
        for row in 0..3 {
            let one = net
                .forward(&x.narrow(0, row, 1), &time.narrow(0, row, 1), false)
                .expect("runs");
            assert!(distance(&one, &out.narrow(0, row, 1)) < 1e-10, "{config:?}");
        }
        let shared = net.forward(&x, &Tensor::from_slice(&[7.5]).expand([3], false), false);
        assert!(
            distance(&shared.expect("runs").narrow(0, 1, 1), &out.narrow(0, 1, 1)) < 1e-10,
            "{config:?}"
        );
        let none = net
            .forward(&x.narrow(0, 0, 0), &time.narrow(0, 0, 0), false)
            .expect("runs");
        assert_eq!(none.size()[0], 0);
    }
}

#[test]
fn dropout_is_on_in_training_alone() {
    let config = ncsnpp(|c| c.dropout = 0.5);
    let (_vs, net) = redrawn(&config, &[1, 8, 8], Kind::Float);
    let (x, time) = (
        normals(2, &[1, 8, 8], Kind::Float),
        Tensor::from_slice(&[0.5_f32, 2.0]),
    );
    let run = |seed, train| seeded(seed, || net.forward(&x, &time, train).expect("runs"));
    assert_eq!(run(1, false), run(2, false));
    assert!(distance(&run(1, true), &run(2, true)) > 1e-3);
    let (_vs, net) = redrawn(&ncsnpp(|_| ()), &[1, 8, 8], Kind::Float);
    assert_eq!(
        net.forward(&x, &time, true).expect("runs"),
        net.forward(&x, &time, false).expect("runs")
    );
}

/// Variance scaling with the average of fan-in and fan-out, uniform; scale 0.1 for 1x1 maps of attention and shortcuts,
/// `init_scale` for the last layer of a branch.
#[test]
fn initial_weights_are_the_reference_s() {
    let config = ncsnpp(|c| (c.nf, c.init_scale, c.fourier_scale) = (32, 0.0, 16.0));
    let (vs, _net) = fresh(&config, &[3, 8, 8]);
    let mut seen = 0;
    for (name, tensor) in named_tensors(&vs) {
        let size = tensor.size();
        let last = name.rsplit('.').nth(1).unwrap_or_default();
        if name == "sigmas" {
            assert!((tensor.double_value(&[0]) - 50.0).abs() < 1e-4);
            assert!((tensor.double_value(&[-1]) - 0.01).abs() < 1e-8);
            assert!((tensor.double_value(&[1]) / 50.0 - (0.01_f64 / 50.0).powf(1.0 / 999.0)).abs() < 1e-6);
        } else if name.ends_with("all_modules.0.W") {
            let std = tensor.std(true).double_value(&[]);
            assert!((8.0..28.0).contains(&std), "32 normals of deviation 16: {std}");
        } else if size.len() == 1 {
            let want = f64::from(last.starts_with("GroupNorm") && name.ends_with("weight"));
            // The last normalisation has a number for a name.
            if !last.chars().all(|c| c.is_ascii_digit()) {
                assert_eq!(distance(&tensor, &(tensor.zeros_like() + want)), 0.0, "{name}");
            }
        } else {
            let area: i64 = size[2..].iter().product();
            let fan = (size[0] + size[1]) as f64 / 2.0 * area as f64;
            let zeroed = last == "Conv_1" || last == "NIN_3" || size[0] == 3;
            let scale = match last {
                _ if zeroed => 1e-10,
                name if name.starts_with("NIN") => 0.1,
                _ => 1.0,
            };
            let bound = (3.0 * scale / fan).sqrt();
            let (largest, std) = (
                tensor.abs().max().double_value(&[]),
                tensor.std(true).double_value(&[]),
            );
            assert!(
                largest <= bound * (1.0 + 1e-6),
                "{name}: {largest} beyond {bound}"
            );
            // The fewest are 32 x 27 values: five standard errors of a uniform's deviation are 8 %.
            assert!(
                (std / (bound / 3.0_f64.sqrt()) - 1.0).abs() < 0.08,
                "{name}: {std}"
            );
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} matrices and kernels");
}

/// Parameters by hand for nf 4, one level, one block, one channel, no attention but at the bottom, unconditional.
#[test]
fn param_count_by_hand() {
    let config = ncsnpp(|c| {
        (c.nf, c.ch_mult, c.attn_resolutions) = (4, vec![1], vec![]);
        (c.conditional, c.embedding_type) = (false, EmbeddingType::Positional);
    });
    let conv = |from: u64, to: u64| 9 * from * to + to;
    let block = |from: u64| 2 * from + conv(from, 4) + (16 * 4 + 4) + 8 + conv(4, 4);
    let attention = 8 + 4 * (16 + 4);
    let up = 2 * (block(8) + 8 * 4 + 4);
    let hand = conv(1, 4) + block(4) + (2 * block(4) + attention) + up + 8 + conv(4, 1);
    assert_eq!(config.param_count(&[1, 4, 4]).expect("sound"), hand);
    let (vs, _net) = fresh(&config, &[1, 4, 4]);
    let held: usize = named_parameters(&vs)
        .iter()
        .map(|(_, tensor)| tensor.numel())
        .sum();
    assert_eq!(held as u64, hand);
}

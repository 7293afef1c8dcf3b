//! AdamW, the flat buffer, the average and the schedules against formulas written out in `f64`.

use tch::{Device, Kind, Tensor, nn};
use train::config::{LrSchedule, OptimConfig};
use train::ema::Ema;
use train::optim::{AdamW, AdamWConfig, FlatParams, Progress, learning_rate};

fn one_thread() {
    tch::set_num_threads(1);
}

fn host(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_kind(Kind::Double).contiguous().view(-1);
    Vec::<f64>::try_from(&flat).expect("a flat tensor of f64")
}

#[test]
fn adamw_follows_the_paper_over_many_steps() {
    one_thread();
    let config = AdamWConfig {
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.1,
    };
    let start = [0.5, -1.5, 2.0, 0.0, 1e-3];
    let values = Tensor::from_slice(&start.map(|v: f64| v as f32));
    let mut optim = AdamW::new(config, &values);
    let (mut p, mut m, mut v) = (start, [0.0; 5], [0.0; 5]);
    for n in 1..=50 {
        let lr = 0.01 * f64::from(n % 7 + 1);
        let scale = if n % 3 == 0 { 0.25 } else { 1.0 };
        let grad: Vec<f64> = (0..5)
            .map(|i| (f64::from(n) * 0.7 + f64::from(i)).sin() * 10_f64.powi(i - 2))
            .collect();
        let grad32: Vec<f32> = grad.iter().map(|&g| g as f32).collect();
        optim.step(&values, &Tensor::from_slice(&grad32), lr, scale);
        for i in 0..5 {
            let g = f64::from(grad32[i]) * scale;
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.99 * v[i] + 0.01 * g * g;
            let m_hat = m[i] / (1.0 - 0.9_f64.powi(n));
            let v_hat = v[i] / (1.0 - 0.99_f64.powi(n));
            p[i] = (1.0 - lr * 0.1) * p[i] - lr * m_hat / (v_hat.sqrt() + 1e-8);
        }
    }
    assert_eq!(optim.updates(), 50);
    for (got, want) in host(&values).into_iter().zip(p) {
        // 50 steps, each with some ten roundings of 6e-8 relative to numbers of about 1.
        assert!(
            (got - want).abs() < 2e-5 * (1.0 + want.abs()),
            "got {got}, want {want}"
        );
    }
}

#[test]
fn a_step_cut_into_blocks_is_the_step_of_the_whole() {
    one_thread();
    let _ = tch::no_grad_guard();
    let size = 3 * (1 << 16) + 5;
    let normals = || Tensor::randn([size], (Kind::Float, Device::Cpu));
    let (values, grads) = score_nets::seeded(3, || (normals(), normals()));
    let whole = values.copy();
    let mut optim = AdamW::new(AdamWConfig::default(), &whole);
    optim.step(&whole, &grads, 1e-3, 1.0);
    for (from, len) in [(0, 7), (1 << 16, 9), (size - 5, 5)] {
        let part = values.narrow(0, from, len).copy();
        let mut optim = AdamW::new(AdamWConfig::default(), &part);
        optim.step(&part, &grads.narrow(0, from, len).copy(), 1e-3, 1.0);
        assert_eq!(host(&part), host(&whole.narrow(0, from, len)));
    }
}

#[test]
fn a_flat_network_computes_and_differentiates_as_before() {
    one_thread();
    let vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let (layer, out, x) = score_nets::seeded(1, || {
        let layer = nn::linear(&root / "a", 3, 5, Default::default());
        let out = nn::linear(&root / "b", 5, 2, Default::default());
        (layer, out, Tensor::randn([4, 3], (Kind::Float, Device::Cpu)))
    });
    let forward = || x.apply(&layer).silu().apply(&out).square().sum(Kind::Float);
    let loss = forward();
    loss.backward();
    let grads: Vec<(String, Vec<f64>)> = score_nets::named_parameters(&vs)
        .into_iter()
        .map(|(name, t)| (name, host(&t.grad())))
        .collect();

    let params = FlatParams::bind(score_nets::named_parameters(&vs)).expect("float parameters");
    assert_eq!(params.count(), 3 * 5 + 5 + 5 * 2 + 2);
    let again = forward();
    assert_eq!(again.double_value(&[]), loss.double_value(&[]));
    params.backward(&again, false).expect("a backward pass");
    params
        .check_views()
        .expect("the network still lies in the buffer");
    let views = params.named_views(params.grads());
    for (name, want) in &grads {
        let (_, view) = views.iter().find(|(n, _)| n == name).expect("the same names");
        assert_eq!(&host(view), want, "{name}");
    }
    // Once more in their place, then added.
    params.backward(&forward(), false).expect("a backward pass");
    params.backward(&forward(), true).expect("a backward pass");
    for (name, want) in &grads {
        let (_, view) = views.iter().find(|(n, _)| n == name).expect("the same names");
        assert!(host(view).iter().zip(want).all(|(a, b)| *a == 2.0 * b), "{name}");
    }
    // Writing into the buffer changes the network.
    tch::no_grad(|| {
        let _ = params.values().shallow_clone().zero_();
    });
    assert_eq!(forward().double_value(&[]), 0.0);
}

#[test]
fn a_network_without_float_parameters_is_refused() {
    one_thread();
    assert!(FlatParams::bind(Vec::new()).is_err());
    let double = Tensor::zeros([2], (Kind::Double, Device::Cpu)).set_requires_grad(true);
    let error = FlatParams::bind(vec![("w".to_owned(), double)]).expect_err("double precision");
    assert!(error.to_string().contains("parameter w"), "{error}");
}

#[test]
fn the_average_follows_its_formula() {
    one_thread();
    for warmup in [true, false] {
        let values = Tensor::from_slice(&[1.0_f32, -2.0]);
        let mut ema = Ema::new(0.99, warmup, &values);
        let mut want = [1.0, -2.0];
        for n in 0..2000_i32 {
            let new = [f64::from(n).cos() as f32, f64::from(n) as f32 / 100.0];
            ema.update(&Tensor::from_slice(&new));
            let n = f64::from(n);
            let decay = if warmup {
                0.99_f64.min((1.0 + n) / (10.0 + n))
            } else {
                0.99
            };
            for i in 0..2 {
                want[i] = decay * want[i] + (1.0 - decay) * f64::from(new[i]);
            }
        }
        for (got, want) in host(ema.average()).into_iter().zip(want) {
            assert!(
                (got - want).abs() < 1e-4 * (1.0 + want.abs()),
                "warmup {warmup}: got {got}, want {want}"
            );
        }
    }
    assert_eq!(Ema::decay_at(0.9999, 0), 0.1);
    assert_eq!(Ema::decay_at(0.5, 1000), 0.5);
}

#[test]
fn schedules_have_their_values() {
    let at = |images, fraction| Progress {
        images,
        batch: 100,
        fraction,
    };
    let with = |schedule, warmup_images, final_lr| OptimConfig {
        lr: 2.0,
        warmup_images,
        schedule,
        final_lr,
        ..OptimConfig::default()
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} against {b}");
    for schedule in [
        LrSchedule::Constant,
        LrSchedule::Cosine,
        LrSchedule::Linear,
        LrSchedule::InverseSqrt,
    ] {
        // The first step moves, and the warm-up ends where it should.
        close(learning_rate(&with(schedule, 1000, 0.0), at(0, 0.0)), 0.2);
        close(learning_rate(&with(schedule, 1000, 0.0), at(900, 0.0)), 2.0);
        assert!(learning_rate(&with(schedule, 0, 0.0), at(0, 0.0)) > 0.0);
    }
    close(
        learning_rate(&with(LrSchedule::Constant, 1000, 0.0), at(5000, 0.9)),
        2.0,
    );
    close(
        learning_rate(&with(LrSchedule::Cosine, 0, 0.0), at(5000, 0.5)),
        1.0,
    );
    close(
        learning_rate(&with(LrSchedule::Cosine, 0, 0.1), at(5000, 1.0)),
        0.2,
    );
    close(
        learning_rate(&with(LrSchedule::Linear, 0, 0.1), at(5000, 0.5)),
        1.1,
    );
    close(
        learning_rate(&with(LrSchedule::InverseSqrt, 1000, 0.0), at(3900, 0.5)),
        1.0,
    );
}

#[test]
fn a_loss_without_a_way_back_is_an_error() {
    one_thread();
    let vs = nn::VarStore::new(Device::Cpu);
    let layer = score_nets::seeded(1, || nn::linear(vs.root(), 2, 1, Default::default()));
    let params = FlatParams::bind(score_nets::named_parameters(&vs)).expect("float parameters");
    let x = Tensor::ones([4, 2], (Kind::Float, Device::Cpu));
    let without = tch::no_grad(|| x.apply(&layer).mean(Kind::Float));
    for loss in [without, x.mean(Kind::Float)] {
        let error = params.backward(&loss, false).expect_err("nothing to follow");
        assert!(error.to_string().contains("depends on no parameter"), "{error}");
    }
    params
        .backward(&x.apply(&layer).mean(Kind::Float), false)
        .expect("a gradient");
}

//! Patch networks: whole images by windows.

mod common;

use common::{normals, redrawn};
use score_nets::{Edge, Given, NetConfig, NetError, PatchConfig, PatchNet, ScoreNet, UnetConfig, Window};
use tch::{Device, Kind, Tensor};

/// Gives back its input, and in the last channel of three what it is told of places.
#[derive(Debug)]
struct Echo {
    places: bool,
    most: i64,
}

impl ScoreNet for Echo {
    fn forward(&self, x: &Tensor, _time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        Ok(x.shallow_clone())
    }

    fn forward_given(
        &self,
        x: &Tensor,
        time: &Tensor,
        given: &Given,
        _train: bool,
    ) -> Result<Tensor, NetError> {
        assert!(x.size()[0] <= self.most && time.size()[0] == x.size()[0]);
        match given.image() {
            Some(image) if self.places => Ok(image.to_kind(x.kind())),
            _ => Ok(x.shallow_clone()),
        }
    }
}

fn times(rows: i64) -> Tensor {
    Tensor::arange(rows, (Kind::Double, Device::Cpu))
}

/// A network that gives back what it sees.
fn echo(places: bool, patch: i64, stride: i64, edge: Edge, chunk: i64) -> PatchNet {
    let echo = Echo { places, most: chunk };
    PatchNet::new(Box::new(echo), patch, stride)
        .expect("no gaps")
        .with_chunk(chunk)
        .with_edge(edge)
}

/// Cutting into windows and putting together again is the identity for every size of image and window and every stride. Sums and means of
/// small whole numbers are exact, so it is the identity to the bit.
#[test]
fn an_identity_on_windows_is_the_identity_on_images() {
    tch::set_num_threads(1);
    let whole_numbers = |shape: &[i64]| {
        let count: i64 = shape.iter().product();
        let numbers = Tensor::arange(2 * count, (Kind::Float, Device::Cpu)) - 1.0;
        numbers.view([&[2], shape].concat().as_slice())
    };
    for edge in [Edge::Clamp, Edge::Reflect] {
        for patch in 1..=8 {
            for stride in 1..=patch {
                let net = echo(false, patch, stride, edge, 64);
                let check = |shape: &[i64]| {
                    let x = whole_numbers(shape);
                    let out = net.forward(&x, &times(2), false).expect("runs");
                    assert_eq!(out, x, "{shape:?} {patch} {stride} {edge:?}");
                };
                for height in 1..=9 {
                    (1..=9).for_each(|width| check(&[1, height, width]));
                    check(&[2, 3 * height]);
                }
            }
        }
    }
    // Any values, any number of windows a pass: to the rounding of sums of equal terms.
    for (height, width, patch, stride) in [(13, 6, 6, 1), (32, 20, 16, 5), (8, 40, 16, 16)] {
        for (edge, chunk) in [(Edge::Clamp, 1), (Edge::Reflect, 4), (Edge::Reflect, 1000)] {
            let x = normals(3, &[2, height, width], Kind::Double);
            let out = echo(false, patch, stride, edge, chunk).forward(&x, &times(3), false);
            let difference = (out.expect("runs") - &x).abs() / x.abs();
            assert!(difference.max().double_value(&[]) < 1e-14);
        }
    }
}

/// Pixels of the mirror image have the places of those that they mirror, so a network that tells the places tells those of the image.
#[test]
fn places_are_those_of_the_whole_image() {
    let (height, width) = (7, 11);
    for edge in [Edge::Clamp, Edge::Reflect] {
        let x = normals(2, &[2, height, width], Kind::Double);
        let out = echo(true, 4, 3, edge, 100).forward(&x, &times(2), false);
        let out = out.expect("runs");
        let series = normals(2, &[1, width], Kind::Double);
        let of_series = echo(true, 4, 3, edge, 100).forward(&series, &times(2), false);
        let of_series = of_series.expect("runs");
        for row in 0..2 {
            for at in 0..width {
                let place = at as f64 / width as f64;
                assert!((of_series.double_value(&[row, 0, at]) - place).abs() < 1e-6);
                for y in 0..height {
                    let value = |channel: i64| out.double_value(&[row, channel, y, at]);
                    assert!((value(0) - place).abs() < 1e-6);
                    assert!((value(1) - y as f64 / height as f64).abs() < 1e-6);
                }
            }
        }
    }
}

fn config() -> PatchConfig {
    PatchConfig {
        patch: 6,
        stride: Some(4),
        train_sizes: vec![4, 6],
        unet: UnetConfig {
            channels: 8,
            channel_mult: vec![1, 2],
            blocks: 1,
            classes: 2,
            condition_channels: 1,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// A real network: the answer for an image is the mean of the answers for its windows; chunks change nothing but rounding.
#[test]
fn an_image_is_the_mean_of_its_windows() {
    let (height, width, rows) = (10, 6, 2);
    let shape = [1, height, width];
    let (_vs, net) = redrawn(&NetConfig::Patch(config()), &shape, Kind::Double);
    let x = normals(rows, &shape, Kind::Double);
    let image = normals(rows, &shape, Kind::Double).sin();
    let given = || {
        Given::labels(&[1, 0])
            .expect("allocates")
            .with_image(image.shallow_clone())
    };
    let out = net
        .forward_given(&x, &times(rows), &given(), false)
        .expect("runs");
    let cut = |t: &Tensor, top: i64| t.narrow(2, top, 6).contiguous();
    let part = |top: i64| {
        let corners = Tensor::from_slice(&[top, 0, top, 0]).view([2, 2]);
        let window = Window {
            corners,
            whole: vec![height, width],
        };
        let given = Given::labels(&[1, 0])
            .expect("allocates")
            .with_image(cut(&image, top))
            .with_window(window);
        net.forward_given(&cut(&x, top), &times(rows), &given, false)
            .expect("runs")
    };
    let (first, last) = (part(0), part(4));
    let mean = Tensor::cat(
        &[
            first.narrow(2, 0, 4),
            (first.narrow(2, 4, 2) + last.narrow(2, 0, 2)) / 2.0,
            last.narrow(2, 2, 4),
        ],
        2,
    );
    assert!((out - mean).abs().max().double_value(&[]) < 1e-6);
}

/// In a mirrored margin as well: windows of the image padded by libtorch's own reflection, their answers for the inside added up.
#[test]
fn an_image_with_a_mirrored_margin_is_the_mean_of_its_windows() {
    let (height, width, rows) = (10, 8, 2);
    let shape = [1, height, width];
    let reflecting = PatchConfig {
        edge: Edge::Reflect,
        ..config()
    };
    let (_vs, net) = redrawn(&NetConfig::Patch(reflecting), &shape, Kind::Double);
    let (x, image) = (
        normals(rows, &shape, Kind::Double),
        normals(rows, &shape, Kind::Double).sin(),
    );
    let given = |image: &Tensor| {
        let labels = Given::labels(&[1, 0]).expect("allocates");
        labels.with_image(image.shallow_clone())
    };
    let out = net.forward_given(&x, &times(rows), &given(&image), false);
    // Windows of 6 every 4 pixels from -2 on: so many pixels of margin, 2 before and more than enough behind.
    let padded = |t: &Tensor| t.reflection_pad2d([2, 7, 2, 7]);
    let (x_padded, image_padded) = (padded(&x), padded(&image));
    let sum = Tensor::zeros([rows, 1, height + 9, width + 9], (Kind::Double, Device::Cpu));
    let count = sum.zeros_like();
    let cut = |t: &Tensor, top: i64, left: i64| t.narrow(2, top, 6).narrow(3, left, 6);
    for top in (0..height + 2).step_by(4) {
        for left in (0..width + 2).step_by(4) {
            let corner = [top - 2, left - 2];
            let window = Window {
                corners: Tensor::from_slice(&[corner, corner].concat()).view([2, 2]),
                whole: vec![height, width],
            };
            let given = given(&cut(&image_padded, top, left)).with_window(window);
            let answer = net.forward_given(&cut(&x_padded, top, left), &times(rows), &given, false);
            let _ = cut(&sum, top, left).g_add_(&answer.expect("runs"));
            let _ = cut(&count, top, left).g_add_scalar_(1.0);
        }
    }
    let inside = |t: &Tensor| t.narrow(2, 2, height).narrow(3, 2, width);
    let need = inside(&sum) / inside(&count);
    assert!((out.expect("runs") - need).abs().max().double_value(&[]) < 1e-12);
}

/// A series is evaluated by windows along its length, told where they begin.
#[test]
fn a_series_is_the_mean_of_its_windows() {
    let (channels, length, rows) = (2, 11, 2);
    let series = PatchConfig {
        unet: UnetConfig {
            condition_channels: 0,
            ..config().unet
        },
        ..config()
    };
    let config = NetConfig::Patch(series);
    let shape = [channels, length];
    let (vs, net) = redrawn(&config, &shape, Kind::Double);
    let count: i64 = vs.trainable_variables().iter().map(|t| t.numel() as i64).sum();
    assert_eq!(config.param_count(&shape).expect("counts"), count as u64);
    let x = normals(rows, &shape, Kind::Double);
    let labels = || Given::labels(&[1, -1]).expect("allocates");
    let out = net.forward_given(&x, &times(rows), &labels(), false);
    let sum = x.zeros_like();
    let count = x.zeros_like();
    for start in [0, 4, 5] {
        let window = Window {
            corners: Tensor::from_slice(&[start, start]).view([2, 1]),
            whole: vec![length],
        };
        let answer = net.forward_given(
            &x.narrow(2, start, 6),
            &times(rows),
            &labels().with_window(window),
            false,
        );
        let _ = sum.narrow(2, start, 6).g_add_(&answer.expect("runs"));
        let _ = count.narrow(2, start, 6).g_add_scalar_(1.0);
    }
    assert!((out.expect("runs") - sum / count).abs().max().double_value(&[]) < 1e-12);
}

/// The number of windows a pass changes nothing but the order of sums inside libtorch.
#[test]
fn chunks_change_rounding_only() {
    for (edge, shape) in [
        (Edge::Clamp, vec![1, 17, 10]),
        (Edge::Reflect, vec![1, 17, 10]),
        (Edge::Reflect, vec![3, 50]),
    ] {
        let config = |chunk| {
            NetConfig::Patch(PatchConfig {
                edge,
                chunk,
                unet: UnetConfig {
                    condition_channels: 0,
                    ..config().unet
                },
                ..config()
            })
        };
        let (first, _net) = redrawn(&config(None), &shape, Kind::Double);
        let x = normals(3, &shape, Kind::Double);
        let out = [Some(1), Some(2), Some(7), None].map(|chunk| {
            let (mut vs, net) = common::fresh(&config(chunk), &shape);
            vs.double();
            vs.copy(&first).expect("the same network");
            let labels = Given::labels(&[1, 0, -1]).expect("allocates");
            net.forward_given(&x, &times(3), &labels, false).expect("runs")
        });
        for other in &out[1..] {
            assert!((other - &out[0]).abs().max().double_value(&[]) < 1e-12);
        }
    }
}

/// Windows of training may have any size, and images another size than the first.
#[test]
fn windows_and_images_of_other_sizes_run() {
    let (_vs, net) = redrawn(&NetConfig::Patch(config()), &[1, 10, 6], Kind::Double);
    for (height, width) in [(4, 4), (5, 3), (17, 9)] {
        let x = normals(2, &[1, height, width], Kind::Double);
        let given = Given::labels(&[1, -1]).expect("allocates").with_image(x.sin());
        let out = net.forward_given(&x, &times(2), &given, false).expect("runs");
        assert_eq!(out.size(), x.size());
    }
}

#[test]
fn bad_patches_are_refused_by_key() {
    let vs = tch::nn::VarStore::new(Device::Cpu);
    for (change, key) in [
        (PatchConfig { patch: 0, ..config() }, "net.patch"),
        (
            PatchConfig {
                stride: Some(7),
                ..config()
            },
            "net.stride",
        ),
        (
            PatchConfig {
                stride: Some(0),
                ..config()
            },
            "net.stride",
        ),
        (
            PatchConfig {
                chunk: Some(0),
                ..config()
            },
            "net.chunk",
        ),
        (
            PatchConfig {
                train_sizes: vec![4, -1],
                ..config()
            },
            "net.train_sizes",
        ),
    ] {
        let error = NetConfig::Patch(change)
            .build(&vs.root(), &[1, 10, 6])
            .expect_err("is refused")
            .to_string();
        assert!(error.starts_with(key), "{error}");
    }
    let unknown = toml::from_str::<NetConfig>("kind = 'patch'\nedge = 'wrap'");
    let error = unknown.expect_err("is refused").to_string();
    assert!(error.contains("`clamp` or `reflect`"), "{error}");
    let error = NetConfig::Patch(config())
        .build(&vs.root(), &[4])
        .expect_err("no image")
        .to_string();
    assert!(error.contains("[channels, height, width]"), "{error}");
}

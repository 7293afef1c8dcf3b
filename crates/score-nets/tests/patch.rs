//! Patch networks: whole images by windows.

mod common;

use common::{normals, redrawn};
use score_nets::{Given, NetConfig, NetError, PatchConfig, PatchNet, ScoreNet, UnetConfig, Window};
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
            Some(image) if self.places => Ok(image.to_kind(x.kind()) + time.view([-1, 1, 1, 1]) * 0.0),
            _ => Ok(x.shallow_clone()),
        }
    }
}

fn times(rows: i64) -> Tensor {
    Tensor::arange(rows, (Kind::Double, Device::Cpu))
}

/// Cutting into windows and putting together again is the identity for every size of image and window and every stride.
#[test]
fn an_identity_on_windows_is_the_identity_on_images() {
    tch::set_num_threads(1);
    for (height, width) in [(1, 1), (5, 9), (8, 8), (13, 6), (32, 20)] {
        for patch in [1, 3, 6, 16] {
            for stride in 1..=patch {
                for chunk in [1, 4, 1000] {
                    if chunk == 1 && patch * height > 60 {
                        continue;
                    }
                    let net = PatchNet::new(
                        Box::new(Echo {
                            places: false,
                            most: chunk,
                        }),
                        patch,
                        stride,
                    )
                    .expect("no gaps")
                    .with_chunk(chunk);
                    let x = normals(3, &[2, height, width], Kind::Double);
                    let out = net.forward(&x, &times(3), false).expect("runs");
                    let difference = (out - &x).abs().max().double_value(&[]);
                    // Weights are rounded in f32.
                    assert!(
                        difference < 1e-6,
                        "{height} {width} {patch} {stride} {chunk}: {difference}"
                    );
                }
            }
        }
    }
}

#[test]
fn places_are_those_of_the_whole_image() {
    let (height, width) = (7, 11);
    let net = PatchNet::new(
        Box::new(Echo {
            places: true,
            most: 100,
        }),
        4,
        3,
    )
    .expect("no gaps");
    let x = normals(2, &[2, height, width], Kind::Double);
    let out = net.forward(&x, &times(2), false).expect("runs");
    for row in 0..2 {
        for y in 0..height {
            for at in 0..width {
                let value = |channel: i64| out.double_value(&[row, channel, y, at]);
                assert!((value(0) - at as f64 / width as f64).abs() < 1e-6);
                assert!((value(1) - y as f64 / height as f64).abs() < 1e-6);
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
            whole: [height, width],
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
        (PatchConfig { chunk: 0, ..config() }, "net.chunk"),
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
    let error = NetConfig::Patch(config())
        .build(&vs.root(), &[4])
        .expect_err("no image")
        .to_string();
    assert!(error.contains("[channels, height, width]"), "{error}");
}

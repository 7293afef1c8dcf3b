//! Layers against their formulas, written out in f64.

mod common;

use common::normals;
use score_nets::embed::{Embedding, TimeEmbedding};
use score_nets::layers::{Attention, GroupNorm};
use tch::{Device, Kind, Tensor, nn, no_grad};

fn store() -> nn::VarStore {
    tch::set_num_threads(1);
    nn::VarStore::new(Device::Cpu)
}

/// Redraws everything in a store, in f64.
fn redraw(vs: &mut nn::VarStore) {
    vs.double();
    no_grad(|| {
        for mut tensor in vs.trainable_variables() {
            let size = tensor.size();
            let flat = normals(size[0], &size[1..], Kind::Double);
            tensor.copy_(&flat);
        }
    });
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let mut out = vec![0.0; tensor.numel()];
    tensor.contiguous().copy_data(&mut out, tensor.numel());
    out
}

fn named(vs: &nn::VarStore, name: &str) -> Vec<f64> {
    values(&vs.variables()[name])
}

/// `x` is `[channels][positions]`.
fn group_norm(x: &[f64], channels: usize, groups: usize, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let positions = x.len() / channels;
    let size = x.len() / groups;
    let mut out = Vec::new();
    for (group, values) in x.chunks(size).enumerate() {
        let mean = values.iter().sum::<f64>() / size as f64;
        let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / size as f64;
        for (i, v) in values.iter().enumerate() {
            let channel = group * channels / groups + i / positions;
            out.push((v - mean) / (var + 1e-5).sqrt() * weight[channel] + bias[channel]);
        }
    }
    out
}

fn assert_close(have: &[f64], need: &[f64]) {
    assert_eq!(have.len(), need.len());
    for (a, b) in have.iter().zip(need) {
        assert!((a - b).abs() < 1e-11 * b.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn group_norm_by_hand() {
    for (channels, max_groups, groups) in [
        (12, 32, 3),
        (12, 2, 2),
        (8, 32, 2),
        (3, 32, 1),
        (10, 4, 2),
        (7, 1, 1),
    ] {
        let mut vs = store();
        let norm = GroupNorm::new(&vs.root(), channels, max_groups).expect("builds");
        assert_eq!(GroupNorm::groups(channels, max_groups), groups);
        redraw(&mut vs);
        let x = normals(2, &[channels, 3, 5], Kind::Double) * 3.0 + 1.0;
        let out = norm.forward(&x).expect("runs");
        for row in 0..2 {
            let (channels, groups) = (channels as usize, groups as usize);
            let need = group_norm(
                &values(&x.get(row)),
                channels,
                groups,
                &named(&vs, "weight"),
                &named(&vs, "bias"),
            );
            assert_close(&values(&out.get(row)), &need);
        }
    }
}

#[test]
fn attention_by_hand() {
    let (channels, positions) = (8, 6);
    for head in [8, 4, 2] {
        let mut vs = store();
        let attention = Attention::new(&vs.root(), channels as i64, head as i64, 32).expect("builds");
        redraw(&mut vs);
        let x = normals(2, &[channels as i64, 2, 3], Kind::Double);
        let out = attention.forward(&x).expect("runs");
        let (weight, project) = (named(&vs, "qkv.weight"), named(&vs, "proj.weight"));
        for row in 0..2 {
            let x = values(&x.get(row));
            let h = group_norm(
                &x,
                channels,
                2,
                &named(&vs, "norm.weight"),
                &named(&vs, "norm.bias"),
            );
            let map = |row: usize, p: usize| -> f64 {
                (0..channels)
                    .map(|c| weight[row * channels + c] * h[c * positions + p])
                    .sum()
            };
            let mut mixed = vec![0.0; channels * positions];
            for at in 0..channels / head {
                // Rows of the weight: head by head, in each q, then k, then v.
                let (q, k, v) = (3 * at * head, (3 * at + 1) * head, (3 * at + 2) * head);
                for p in 0..positions {
                    let scores: Vec<f64> = (0..positions)
                        .map(|s| {
                            let dot: f64 = (0..head).map(|d| map(q + d, p) * map(k + d, s)).sum();
                            (dot / (head as f64).sqrt()).exp()
                        })
                        .collect();
                    let total: f64 = scores.iter().sum();
                    for d in 0..head {
                        let sum: f64 = (0..positions).map(|s| scores[s] / total * map(v + d, s)).sum();
                        mixed[(at * head + d) * positions + p] = sum;
                    }
                }
            }
            let bias = named(&vs, "proj.bias");
            let need: Vec<f64> = (0..channels * positions)
                .map(|i| {
                    let (c, p) = (i / positions, i % positions);
                    let sum: f64 = (0..channels)
                        .map(|k| project[c * channels + k] * mixed[k * positions + p])
                        .sum();
                    x[i] + sum + bias[c]
                })
                .collect();
            assert_close(&values(&out.get(row)), &need);
        }
    }
}

#[test]
fn sinusoidal_features_by_hand() {
    let vs = store();
    let embedding = TimeEmbedding::new(&vs.root(), Embedding::Sinusoidal, 6, 4, 1.0).expect("builds");
    let times = [0.0, 0.7, 999.0];
    let out = embedding.features(&Tensor::from_slice(&times)).expect("runs");
    for (row, t) in times.into_iter().enumerate() {
        for i in 0..3 {
            // 1, 1/100, 1/10000
            let phase = t * 10_f64.powi(-2 * i);
            for (column, need) in [(i, phase.sin()), (i + 3, phase.cos())] {
                let have = out.double_value(&[row as i64, i64::from(column)]);
                assert!((have - need).abs() < 1e-4, "{have} {need}");
            }
        }
    }
}

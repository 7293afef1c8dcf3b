//! PyTorch checkpoints: what `torch.save` wrote comes back, nothing is run, and no file does harm.

mod damage;
mod forbidden;
mod made;
mod values;

use std::path::PathBuf;

use score_nets::weights::pytorch::{Checkpoint, Node};
use tch::Tensor;

/// The committed checkpoints, all of the same content.
const FILES: [&str; 8] = [
    "zip_protocol2.pth",
    "zip_protocol3.pth",
    "zip_protocol4.pth",
    "zip_protocol5.pth",
    "legacy_protocol2.pth",
    "legacy_protocol3.pth",
    "legacy_protocol4.pth",
    "legacy_protocol5.pth",
];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pytorch")
        .join(name)
}

/// The tensor under a key.
fn tensor(checkpoint: &Checkpoint, key: &str) -> Tensor {
    let node = checkpoint
        .root()
        .get(key)
        .unwrap_or_else(|| panic!("{key} is there"));
    node.tensor()
        .expect("reads")
        .unwrap_or_else(|| panic!("{key} is {}", node.what()))
}

/// Visits every value once or more, a few levels deep, and takes every tensor.
fn walk(node: Node, depth: usize) -> Result<usize, score_nets::weights::WeightsError> {
    let mut seen = 1;
    if node.tensor()?.is_some() || depth == 0 {
        return Ok(seen);
    }
    for (key, value) in node.entries().into_iter().flatten() {
        seen += walk(key, depth - 1)? + walk(value, depth - 1)?;
    }
    for value in node.items().into_iter().flatten() {
        seen += walk(value, depth - 1)?;
    }
    Ok(seen)
}

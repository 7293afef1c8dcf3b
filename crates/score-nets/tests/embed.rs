//! The drawn frequencies, alone in their program: libtorch's generator is one for all threads.

use score_nets::embed::{Embedding, TimeEmbedding};
use tch::{Device, Kind, nn};

/// The frequencies are drawn once: N(0, scale^2) times 2 pi, saved, and not trained.
#[test]
fn fourier_frequencies_are_a_buffer() {
    tch::set_num_threads(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let count = 4096;
    score_nets::seeded(2, || {
        TimeEmbedding::new(&vs.root(), Embedding::Fourier, 2 * count, 1, 3.0)
    })
    .expect("builds");
    let buffers = score_nets::named_buffers(&vs);
    assert_eq!(buffers.len(), 1);
    assert_eq!(buffers[0].0, "frequencies");
    assert!(!buffers[0].1.requires_grad());
    let scaled = buffers[0].1.to_kind(Kind::Double) / (2.0 * std::f64::consts::PI);
    let n = count as f64;
    let mean = scaled.mean(Kind::Double).double_value(&[]);
    let square = (&scaled * &scaled).mean(Kind::Double).double_value(&[]);
    // Five standard errors: 3/sqrt(n), and 9 sqrt(2/n).
    assert!(mean.abs() < 15.0 / n.sqrt(), "{mean}");
    assert!((square - 9.0).abs() < 45.0 * (2.0 / n).sqrt(), "{square}");
}

//! A network and a data set of one's own: trains on points of a ring and draws new ones.
#![allow(clippy::print_stdout)]
use score_nets::{NetError, ScoreNet};
use tch::{Device, Tensor, nn};
use train::data::{MemoryDataset, ScalingKind, Values};
use train::{RunConfig, TrainError, trainer::Trainer};

#[derive(Debug)]
struct Net(nn::Linear, nn::Linear, nn::Linear);
impl ScoreNet for Net {
    fn forward(&self, x: &Tensor, time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        // The network's time input runs from 0 to 999.
        let input = Tensor::f_cat(&[x, &(time / 999.0).f_unsqueeze(1)?], 1)?;
        let hidden = input.apply(&self.0).silu().apply(&self.1).silu();
        Ok(hidden.apply(&self.2))
    }
}

fn main() -> Result<(), TrainError> {
    let ring = (0..4000).flat_map(|i| [(i as f32).cos(), (i as f32).sin()]);
    let ring = Values::Real(ring.collect());
    let data = MemoryDataset::new("ring", &[2], ring, None, ScalingKind::None, false)?;
    let vs = nn::VarStore::new(Device::Cpu);
    let layer = |name: &str, from, to| nn::linear(vs.root() / name, from, to, Default::default());
    let net = Net(layer("a", 3, 128), layer("b", 128, 128), layer("c", 128, 2));
    let mut config = RunConfig::default();
    config.train.steps = Some(3000);
    config.optim.lr = 3e-3;
    let mut trainer = Trainer::with_parts(&config, Box::new(data), vs, Box::new(net))?;
    trainer.fit(&mut [])?;
    let sampler = trainer.sampler()?;
    let samples = trainer.sample(sampler.as_ref(), 1000, 0)?;
    let radii = samples.values.chunks(2).map(|p| p[0].hypot(p[1]));
    println!(
        "mean radius {:.3}, that of the data is 1",
        radii.sum::<f32>() / 1000.0
    );
    Ok(())
}

//! The network: layers in the order of the plan.

use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use super::attention::Attention;
use super::block::{BlockOptions, Residual, add_into};
use super::config::{Combination, DdpmConfig, NcsnppConfig, ResblockType};
use super::embedding::{Features, TimeEmbedding};
use super::plan::{OutputScale, Plan, Stage};
use super::resample::{Direction, Resample};
use crate::layers::{Conv, GroupNorm, Linear, Space};
use crate::unet::check_input;
use crate::{NetError, ScoreNet};

#[derive(Debug)]
enum Layer {
    Residual(Box<Residual>),
    Attention(Box<Attention>),
    Keep,
    Append,
    Resample(Resample),
    InputSkip(Resample, Conv),
    InputResidual(Resample),
    /// The first part of the output, an image or a map.
    OutputFirst(GroupNorm, Conv),
    OutputSkip(Resample, GroupNorm, Conv),
    OutputResidual(Resample),
}

/// NCSN++, DDPM++ or the plain DDPM network, on rows of shape `[channels, height, width]`.
///
/// The time input is the reference's: sigma with a Fourier embedding; 999 t or a label with a positional one. With
/// `scale_by_sigma` and a positional embedding it must be from 0 to below `num_scales`.
#[derive(Debug)]
pub struct ScoreSdeNet {
    shape: Vec<i64>,
    embedding: Option<TimeEmbedding>,
    conv_in: Conv,
    layers: Vec<Layer>,
    last: Option<(GroupNorm, Conv)>,
    combination: Combination,
    options: BlockOptions,
    centered: bool,
    output_scale: OutputScale,
    sigmas: Tensor,
}

/// Hands out the paths `all_modules.0`, `all_modules.1`, ...
struct Modules<'a> {
    vs: Path<'a>,
    next: i64,
}

impl<'a> Modules<'a> {
    fn path(&mut self) -> Path<'a> {
        self.next += 1;
        &self.vs / (self.next - 1)
    }

    fn norm(&mut self, options: &BlockOptions, channels: i64) -> Result<GroupNorm, NetError> {
        Ok(options.norm(&self.path(), channels)?)
    }

    fn conv(&mut self, input: i64, output: i64, scale: f64) -> Result<Conv, NetError> {
        Ok(Conv::new(&self.path(), Space::Plane, input, output, 3, 1, scale)?)
    }

    fn linear(&mut self, input: i64, output: i64) -> Result<Linear, NetError> {
        Ok(Linear::new(&self.path(), input, output, 1.0)?)
    }
}

impl ScoreSdeNet {
    /// Checks the configuration and creates the parameters of NCSN++ or DDPM++ under `vs`.
    ///
    /// # Errors
    /// [`NetError::Config`] naming `net.key`, [`NetError::Shape`] for data that the network does not fit,
    /// [`NetError::Torch`] when libtorch cannot allocate.
    pub fn ncsnpp(config: &NcsnppConfig, vs: &Path, shape: &[i64]) -> Result<Self, NetError> {
        ScoreSdeNet::new(&Plan::ncsnpp(config, shape)?, vs, shape)
    }

    /// The same for the plain DDPM network.
    ///
    /// # Errors
    /// As [`ScoreSdeNet::ncsnpp`].
    pub fn ddpm(config: &DdpmConfig, vs: &Path, shape: &[i64]) -> Result<Self, NetError> {
        ScoreSdeNet::new(&Plan::ddpm(config, shape)?, vs, shape)
    }

    fn new(plan: &Plan, vs: &Path, shape: &[i64]) -> Result<Self, NetError> {
        let sigmas = Tensor::f_from_slice(&noise_levels(plan.sigmas))?;
        let sigmas = sigmas.f_to_kind(vs.kind())?.f_to_device(vs.device())?;
        let sigmas = vs.add("sigmas", sigmas, false);
        let mut modules = Modules {
            vs: vs / "all_modules",
            next: 0,
        };
        let embedding = embedding(plan, &mut modules)?;
        let conv_in = modules.conv(plan.data_channels, plan.nf, 1.0)?;
        let layers = plan.stages.iter().map(|&stage| layer(stage, plan, &mut modules));
        let layers = layers.collect::<Result<Vec<_>, NetError>>()?;
        let last = match plan.last {
            None => None,
            Some(channels) => Some((
                modules.norm(&plan.options, channels)?,
                modules.conv(channels, plan.data_channels, plan.options.init_scale)?,
            )),
        };
        Ok(ScoreSdeNet {
            shape: shape.to_vec(),
            embedding,
            conv_in,
            layers,
            last,
            combination: plan.combination,
            options: plan.options,
            centered: plan.centered,
            output_scale: plan.output_scale,
            sigmas,
        })
    }

    /// `conv(act(norm(h)))`.
    fn activated(&self, norm: &GroupNorm, conv: &Conv, h: &Tensor) -> Result<Tensor, NetError> {
        Ok(conv.forward(&self.options.nonlinearity.apply(norm.forward(h)?)?)?)
    }

    /// The output over the noise level.
    fn scaled(&self, out: Tensor, time: &Tensor) -> Result<Tensor, NetError> {
        let sigma = match self.output_scale {
            OutputScale::One => return Ok(out),
            OutputScale::Time => time.f_to_kind(out.kind())?,
            OutputScale::Numbered => {
                let labels = time.f_to_kind(Kind::Int64)?;
                self.check_labels(&labels)?;
                self.sigmas.f_index_select(0, &labels)?
            }
        };
        let mut out = out;
        Ok(out.f_div_(&sigma.f_view([-1, 1, 1, 1])?)?)
    }

    /// Refuses a Fourier embedding of times without a logarithm, which would end in NaN. On a processor only: other
    /// devices would have to be waited for.
    fn check_levels(&self, time: &Tensor) -> Result<(), NetError> {
        let fourier = self
            .embedding
            .as_ref()
            .is_some_and(|one| one.features.is_fourier());
        if !fourier || time.numel() == 0 || time.device() != Device::Cpu {
            return Ok(());
        }
        let low = time.f_min()?.f_double_value(&[])?;
        if low <= 0.0 {
            return Err(NetError::Time {
                got: low.to_string(),
                need: "noise levels above 0, of which a Fourier embedding takes the logarithm (precond.time_input = \"sigma\")".into(),
            });
        }
        Ok(())
    }

    fn check_labels(&self, labels: &Tensor) -> Result<(), NetError> {
        if labels.numel() == 0 {
            return Ok(());
        }
        let (low, high) = (
            labels.f_min()?.f_int64_value(&[])?,
            labels.f_max()?.f_int64_value(&[])?,
        );
        let most = self.sigmas.size1()? - 1;
        if low < 0 || high > most {
            return Err(NetError::Time {
                got: format!("from {low} to {high}"),
                need: format!("the number of a noise level, from 0 to {most}"),
            });
        }
        Ok(())
    }
}

impl ScoreNet for ScoreSdeNet {
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        check_input(x, time, &self.shape)?;
        let kind = x.f_kind()?;
        self.check_levels(time)?;
        let embedded = match &self.embedding {
            Some(embedding) => Some(embedding.forward(time)?),
            None => None,
        };
        let x = match self.centered {
            true => x.shallow_clone(),
            false => x.f_mul_scalar(2.0)?.f_sub_scalar_(1.0)?,
        };
        let mut h = self.conv_in.forward(&x)?;
        let mut kept = Vec::new();
        // Of the input on the way down, of the output on the way up.
        let mut pyramid = x;
        for layer in &self.layers {
            h = match layer {
                Layer::Residual(block) => block.forward(&h, embedded.as_ref(), train)?,
                Layer::Attention(attention) => attention.forward(&h)?,
                Layer::Keep => {
                    kept.push(h.shallow_clone());
                    h
                }
                Layer::Append => {
                    let skip = kept.pop().expect("the plan keeps as many maps as it appends");
                    Tensor::f_cat(&[&h, &skip], 1)?
                }
                Layer::Resample(resample) => resample.forward(&h)?,
                Layer::InputSkip(resample, conv) => {
                    pyramid = resample.forward(&pyramid)?;
                    let image = conv.forward(&pyramid)?;
                    match self.combination {
                        Combination::Sum => add_into(image, &h)?,
                        Combination::Cat => Tensor::f_cat(&[&image, &h], 1)?,
                    }
                }
                Layer::InputResidual(resample) | Layer::OutputResidual(resample) => {
                    pyramid = self.options.add(resample.forward(&pyramid)?, &h)?;
                    pyramid.shallow_clone()
                }
                Layer::OutputFirst(norm, conv) => {
                    pyramid = self.activated(norm, conv, &h)?;
                    h
                }
                Layer::OutputSkip(resample, norm, conv) => {
                    let image = self.activated(norm, conv, &h)?;
                    pyramid = add_into(image, &resample.forward(&pyramid)?)?;
                    h
                }
            };
        }
        let out = match &self.last {
            Some((norm, conv)) => self.activated(norm, conv, &h)?,
            None => pyramid,
        };
        // In mixed precision the last layer hands on another type than the input's.
        self.scaled(out.f_to_kind(kind)?, time)
    }
}

/// The two linear maps, and the features that they read. The frequencies of a Fourier embedding are saved even where
/// nothing reads them.
fn embedding(plan: &Plan, modules: &mut Modules) -> Result<Option<TimeEmbedding>, NetError> {
    use super::config::EmbeddingType::{Fourier, Positional};
    let features = match plan.embedding_type {
        Fourier => Features::fourier(&modules.path(), plan.nf, plan.fourier_scale)?,
        Positional => Features::positional(plan.nf)?,
    };
    if !plan.conditional {
        return Ok(None);
    }
    let size = Features::size(plan.embedding_type, plan.nf);
    Ok(Some(TimeEmbedding {
        features,
        linear_0: modules.linear(size, plan.options.embed)?,
        linear_1: modules.linear(plan.options.embed, plan.options.embed)?,
        nonlinearity: plan.options.nonlinearity,
    }))
}

fn layer(stage: Stage, plan: &Plan, modules: &mut Modules) -> Result<Layer, NetError> {
    let (options, fir) = (plan.options, plan.fir.as_deref());
    let (image, init) = (plan.data_channels, options.init_scale);
    Ok(match stage {
        Stage::Residual(input, output, change) => {
            let vs = modules.path();
            Layer::Residual(Box::new(match plan.resblock_type {
                ResblockType::Ddpm => Residual::ddpm(&vs, input, output, options)?,
                ResblockType::Biggan => {
                    let change = change.map(|direction| (direction, fir));
                    Residual::biggan(&vs, input, output, change, options)?
                }
            }))
        }
        Stage::Attention(channels) => {
            Layer::Attention(Box::new(Attention::new(&modules.path(), channels, options)?))
        }
        Stage::Keep => Layer::Keep,
        Stage::Append => Layer::Append,
        Stage::Resample(channels, direction) => {
            // Numbered even without parameters.
            let vs = modules.path();
            Layer::Resample(match plan.resamp_with_conv {
                true => Resample::conv(&vs, direction, fir, channels, channels)?,
                false => Resample::plain(direction, fir)?,
            })
        }
        Stage::InputSkip(channels) => {
            let vs = modules.path() / "Conv_0";
            let conv = Conv::new(&vs, Space::Plane, image, channels, 1, 1, 1.0)?;
            Layer::InputSkip(Resample::plain(Direction::Down, fir)?, conv)
        }
        Stage::InputResidual(from, to) => {
            Layer::InputResidual(Resample::conv(&modules.path(), Direction::Down, fir, from, to)?)
        }
        Stage::OutputImage(channels) => Layer::OutputFirst(
            modules.norm(&options, channels)?,
            modules.conv(channels, image, init)?,
        ),
        Stage::OutputMap(channels) => Layer::OutputFirst(
            modules.norm(&options, channels)?,
            modules.conv(channels, channels, 1.0)?,
        ),
        Stage::OutputSkip(channels) => Layer::OutputSkip(
            Resample::plain(Direction::Up, fir)?,
            modules.norm(&options, channels)?,
            modules.conv(channels, image, init)?,
        ),
        Stage::OutputResidual(from, to) => {
            Layer::OutputResidual(Resample::conv(&modules.path(), Direction::Up, fir, from, to)?)
        }
    })
}

/// `levels` noise levels from the largest to the smallest, evenly spaced in the logarithm.
fn noise_levels((largest, smallest, levels): (f64, f64, i64)) -> Vec<f64> {
    let (first, last) = (largest.ln(), smallest.ln());
    let step = (last - first) / (levels - 1).max(1) as f64;
    (0..levels)
        .map(|number| match number {
            _ if number > 0 && number == levels - 1 => last.exp(),
            _ => (first + number as f64 * step).exp(),
        })
        .collect()
}

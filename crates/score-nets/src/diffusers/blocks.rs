//! The levels of the network and its middle.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::attention::Attention;
use super::layers::{Activation, Conv2d, GroupNorm, add_into};
use super::plan::{BlockPlan, MidPlan, SKIP_CHANNELS, Tail};
use super::resample::{fir_down, fir_up, nearest_up};
use super::resnet::ResnetBlock2d;

/// The residual blocks of a level with their attentions.
#[derive(Debug)]
struct Stack {
    resnets: Vec<ResnetBlock2d>,
    attentions: Vec<Attention>,
}

impl Stack {
    fn new(vs: &Path, plan: &BlockPlan) -> Result<Self, TchError> {
        let attentions = plan.attentions.iter().enumerate();
        let attentions = attentions.map(|(i, &spec)| Attention::new(&(vs / "attentions" / i), spec));
        let attentions = attentions.collect::<Result<_, _>>()?;
        let resnets = plan.resnets.iter().enumerate();
        let resnets = resnets.map(|(i, &spec)| ResnetBlock2d::new(&(vs / "resnets" / i), spec));
        Ok(Stack {
            resnets: resnets.collect::<Result<_, _>>()?,
            attentions,
        })
    }

    /// The attention after residual block `number`, if there is one: one alone comes after the last block.
    fn attention(&self, number: usize) -> Option<&Attention> {
        match self.attentions.len() == self.resnets.len() {
            true => self.attentions.get(number),
            false if number + 1 == self.resnets.len() => self.attentions.first(),
            false => None,
        }
    }
}

/// What a block needs beside its features.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// The embedding after the nonlinearity.
    pub(super) time: &'a Tensor,
    pub(super) train: bool,
}

#[derive(Debug)]
enum DownTail {
    None,
    Conv { conv: Conv2d, pad: bool },
    Resnet(ResnetBlock2d),
    Skip { resnet: ResnetBlock2d, conv: Conv2d },
}

/// A level on the way down.
#[derive(Debug)]
pub(super) struct DownBlock {
    stack: Stack,
    tail: DownTail,
}

impl DownBlock {
    pub(super) fn new(vs: &Path, plan: &BlockPlan) -> Result<Self, TchError> {
        let stack = Stack::new(vs, plan)?;
        let at = vs / "downsamplers" / 0;
        let tail = match plan.tail {
            Tail::None => DownTail::None,
            Tail::Conv { channels, padding } => DownTail::Conv {
                conv: Conv2d::strided(&(at / "conv"), channels, channels, 3, 2, padding)?,
                pad: padding == 0,
            },
            Tail::Resnet(spec) => DownTail::Resnet(ResnetBlock2d::new(&at, spec)?),
            Tail::Skip { resnet, .. } => DownTail::Skip {
                resnet: ResnetBlock2d::new(&(vs / "resnet_down"), resnet)?,
                conv: Conv2d::new(&(vs / "skip_conv"), SKIP_CHANNELS, resnet.output, 1)?,
            },
        };
        Ok(DownBlock { stack, tail })
    }

    /// Appends every map to `kept`; `image` is what skips the features.
    pub(super) fn forward(
        &self,
        mut h: Tensor,
        image: &mut Tensor,
        kept: &mut Vec<Tensor>,
        run: Run,
    ) -> Result<Tensor, TchError> {
        for (number, resnet) in self.stack.resnets.iter().enumerate() {
            h = resnet.forward(&h, run.time, run.train)?;
            if let Some(attention) = self.stack.attention(number) {
                h = attention.forward(&h)?;
            }
            kept.push(h.shallow_clone());
        }
        h = match &self.tail {
            DownTail::None => return Ok(h),
            DownTail::Conv { conv, pad: false } => conv.forward(&h)?,
            DownTail::Conv { conv, pad: true } => conv.forward(&h.f_constant_pad_nd([0, 1, 0, 1])?)?,
            DownTail::Resnet(resnet) => resnet.forward(&h, run.time, run.train)?,
            DownTail::Skip { resnet, conv } => {
                let h = resnet.forward(&h, run.time, run.train)?;
                *image = fir_down(image)?;
                add_into(conv.forward(image)?, &h)?
            }
        };
        kept.push(h.shallow_clone());
        Ok(h)
    }
}

#[derive(Debug)]
enum UpTail {
    None,
    Conv(Conv2d),
    Resnet(ResnetBlock2d),
    Skip {
        resnet: ResnetBlock2d,
        conv: Conv2d,
        norm: GroupNorm,
    },
}

/// A level on the way up.
#[derive(Debug)]
pub(super) struct UpBlock {
    stack: Stack,
    tail: UpTail,
    skip: bool,
}

impl UpBlock {
    pub(super) fn new(vs: &Path, plan: &BlockPlan, eps: f64) -> Result<Self, TchError> {
        let stack = Stack::new(vs, plan)?;
        let at = vs / "upsamplers" / 0;
        let tail = match plan.tail {
            Tail::None => UpTail::None,
            Tail::Conv { channels, .. } => UpTail::Conv(Conv2d::new(&(at / "conv"), channels, channels, 3)?),
            Tail::Resnet(spec) => UpTail::Resnet(ResnetBlock2d::new(&at, spec)?),
            Tail::Skip { resnet, groups } => {
                let channels = resnet.output;
                UpTail::Skip {
                    resnet: ResnetBlock2d::new(&(vs / "resnet_up"), resnet)?,
                    conv: Conv2d::new(&(vs / "skip_conv"), channels, SKIP_CHANNELS, 3)?,
                    norm: GroupNorm::new(&(vs / "skip_norm"), channels, groups, eps)?,
                }
            }
        };
        Ok(UpBlock {
            stack,
            tail,
            skip: plan.skip,
        })
    }

    /// Takes one map of `kept` a residual block; `image` is what skips the features.
    pub(super) fn forward(
        &self,
        mut h: Tensor,
        image: &mut Option<Tensor>,
        kept: &mut Vec<Tensor>,
        run: Run,
    ) -> Result<Tensor, TchError> {
        for (number, resnet) in self.stack.resnets.iter().enumerate() {
            let across = kept.pop().expect("the plan keeps as many maps as it takes");
            h = resnet.forward(&Tensor::f_cat(&[&h, &across], 1)?, run.time, run.train)?;
            if let Some(attention) = self.stack.attention(number) {
                h = attention.forward(&h)?;
            }
        }
        if self.skip
            && let Some(before) = image.take()
        {
            *image = Some(fir_up(&before)?);
        }
        match &self.tail {
            UpTail::None => Ok(h),
            UpTail::Conv(conv) => conv.forward(&nearest_up(&h)?),
            UpTail::Resnet(resnet) => resnet.forward(&h, run.time, run.train),
            UpTail::Skip { resnet, conv, norm } => {
                let added = conv.forward(&Activation::Silu.apply(norm.forward(&h)?)?)?;
                *image = Some(match image.take() {
                    Some(image) => add_into(added, &image)?,
                    None => added,
                });
                resnet.forward(&h, run.time, run.train)
            }
        }
    }
}

/// Two residual blocks with attention between them.
#[derive(Debug)]
pub(super) struct MidBlock {
    resnets: [ResnetBlock2d; 2],
    attention: Option<Attention>,
}

impl MidBlock {
    pub(super) fn new(vs: &Path, plan: &MidPlan) -> Result<Self, TchError> {
        let attention = match plan.attention {
            Some(spec) => Some(Attention::new(&(vs / "attentions" / 0), spec)?),
            None => None,
        };
        let at = vs / "resnets";
        let first = ResnetBlock2d::new(&(&at / 0), plan.resnets[0])?;
        let second = ResnetBlock2d::new(&(&at / 1), plan.resnets[1])?;
        Ok(MidBlock {
            resnets: [first, second],
            attention,
        })
    }

    pub(super) fn forward(&self, h: &Tensor, run: Run) -> Result<Tensor, TchError> {
        let mut h = self.resnets[0].forward(h, run.time, run.train)?;
        if let Some(attention) = &self.attention {
            h = attention.forward(&h)?;
        }
        self.resnets[1].forward(&h, run.time, run.train)
    }
}

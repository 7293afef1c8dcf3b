//! What of a configuration is refused before anything is laid out.

use super::config::NcsnppConfig;
use crate::NetError;

/// At which levels the map is followed by attention. The reference decides by `image_size` when it builds the network and
/// by the width of the map when it runs it: they must agree.
pub(super) fn attention_levels(config: &NcsnppConfig, width: i64) -> Result<Vec<bool>, NetError> {
    let at = |width: i64| -> Vec<bool> {
        let levels = 0..config.ch_mult.len();
        levels
            .map(|level| config.attn_resolutions.contains(&(width >> level)))
            .collect()
    };
    let built = at(config.image_size.unwrap_or(width));
    if built != at(width) {
        let size = config.image_size.unwrap_or(width);
        let reason = format!(
            "at this width attention (attn_resolutions = {:?}) falls on other levels than for the data's width {width}",
            config.attn_resolutions
        );
        return Err(NetError::config("image_size", size, reason));
    }
    Ok(built)
}

/// Channels and width of the data.
pub(super) fn check_shape(config: &NcsnppConfig, shape: &[i64]) -> Result<(i64, i64), NetError> {
    let wrong = |need: String| NetError::Shape {
        what: "shape of one row of data",
        got: shape.to_vec(),
        need,
    };
    let &[channels, height, width] = shape else {
        return Err(wrong("[channels, height, width]".into()));
    };
    if !(1..=MOST_CHANNELS).contains(&channels) {
        return Err(wrong(format!("1 to {MOST_CHANNELS} channels")));
    }
    let stride = 1_i64 << (config.ch_mult.len() - 1);
    if height % stride != 0 || width % stride != 0 {
        return Err(wrong(format!(
            "height and width multiples of {stride}, for the {} levels of net.ch_mult",
            config.ch_mult.len()
        )));
    }
    match config.num_channels {
        Some(made_for) if made_for != channels => {
            let reason = format!("the data have {channels} channels");
            Err(NetError::config("num_channels", made_for, reason))
        }
        _ => Ok((channels, width)),
    }
}

/// Most channels of a map.
const MOST_CHANNELS: i64 = 65_536;

pub(super) fn check_numbers(config: &NcsnppConfig) -> Result<(), NetError> {
    let within = |key: &str, value: i64, low: i64, high: i64| match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(NetError::config(
            key,
            value,
            format!("give a whole number from {low} to {high}"),
        )),
    };
    within("nf", config.nf, 4, MOST_CHANNELS)?;
    within("num_res_blocks", config.num_res_blocks, 0, 1024)?;
    within("num_scales", config.num_scales, 1, 1_000_000)?;
    within("image_size", config.image_size.unwrap_or(1), 1, 1 << 30)?;
    let mults = &config.ch_mult;
    if mults.is_empty() || mults.len() > 16 || !mults.iter().all(|mult| (1..=1024).contains(mult)) {
        let reason = "give one factor a level, 1 to 16 levels, each factor a whole number from 1 to 1024";
        return Err(NetError::config("ch_mult", format!("{mults:?}"), reason));
    }
    let widest = config.nf * mults.iter().max().unwrap_or(&1);
    if widest > MOST_CHANNELS {
        let reason = format!("a level would have {widest} channels; {MOST_CHANNELS} are the most");
        return Err(NetError::config("ch_mult", format!("{mults:?}"), reason));
    }
    let taps = &config.fir_kernel;
    let sum = taps.iter().sum::<f64>();
    let finite = taps.iter().all(|tap| tap.is_finite() && tap.abs() <= 1e6);
    if config.fir && (taps.is_empty() || taps.len() > 64 || !finite || sum.abs() < 1e-6) {
        let reason = "give 1 to 64 numbers whose sum is not 0";
        return Err(NetError::config("fir_kernel", format!("{taps:?}"), reason));
    }
    let number = |key: &str, value: f64, fits: bool, reason: &str| match fits {
        true => Ok(()),
        false => Err(NetError::config(key, value, reason)),
    };
    let (dropout, init) = (config.dropout, config.init_scale);
    number(
        "dropout",
        dropout,
        (0.0..=1.0).contains(&dropout),
        "give a probability from 0 to 1",
    )?;
    number(
        "init_scale",
        init,
        (0.0..=1e6).contains(&init),
        "give a number from 0 to 1e6",
    )?;
    let positive =
        |key, value: f64| number(key, value, value > 0.0 && value <= 1e12, "give a positive number");
    positive("fourier_scale", config.fourier_scale)?;
    positive("sigma_min", config.sigma_min)?;
    positive("sigma_max", config.sigma_max)
}

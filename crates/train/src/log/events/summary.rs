//! What an event shows: messages `Summary` (tensorflow/core/framework/summary.proto), whose values have a tag each.

use super::wire::{FIXED_32, FIXED_64, bytes_field, key, varint_field};
use crate::log::metrics::Record;

/// Summary { repeated value = 1 }, each Value { tag = 1, simple_value = 2 }.
pub(super) fn scalars(record: &Record) -> Vec<u8> {
    let scalars = [
        ("loss", record.loss),
        ("val_loss", record.val_loss),
        ("lr", Some(record.lr)),
        ("grad_norm", record.grad_norm),
        ("ema_decay", Some(record.ema_decay)),
        ("images_per_s", Some(record.images_per_s)),
    ];
    let mut out = Vec::new();
    for (tag, number) in scalars {
        let Some(number) = number.map(|v| v as f32).filter(|v| v.is_finite()) else {
            continue;
        };
        let mut scalar = vec![key(2, FIXED_32)];
        scalar.extend(number.to_le_bytes());
        out.extend(value(tag, &scalar));
    }
    out
}

/// Value { tag = 1, image = 4 { height = 1, width = 2, colorspace = 3, encoded_image_string = 4 } } of a PNG file, whose header
/// says the size (W3C PNG, 11.2.2).
pub(super) fn picture(tag: &str, png: &[u8]) -> Vec<u8> {
    let number = |at: usize| {
        png.get(at..at + 4)
            .map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    };
    let colours = match png.get(25) {
        Some(0) => 1,
        _ => 3,
    };
    let fields = [
        varint_field(1, u64::from(number(20))),
        varint_field(2, u64::from(number(16))),
        varint_field(3, colours),
        bytes_field(4, png),
    ];
    value(tag, &bytes_field(4, &fields.concat()))
}

/// Value { tag = 1, tensor = 8 { dtype = 1 (string: 7), tensor_shape = 2 { dim = 2 { size = 1 } }, string_val = 8 },
/// metadata = 9 { plugin_data = 1 { plugin_name = 1 } } }.
pub(super) fn text(tag: &str, content: &str) -> Vec<u8> {
    let shape = bytes_field(2, &bytes_field(2, &varint_field(1, 1)));
    let tensor = [varint_field(1, 7), shape, bytes_field(8, content.as_bytes())].concat();
    let plugin = bytes_field(1, &bytes_field(1, b"text"));
    value(tag, &[bytes_field(8, &tensor), bytes_field(9, &plugin)].concat())
}

/// Counts of values between equally spaced limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    min: f64,
    max: f64,
    sum: f64,
    sum_sq: f64,
    pub(super) counts: Vec<u64>,
}

/// Bars of a histogram, as many as PyTorch's usual ones have at least.
const BARS: usize = 30;

impl Histogram {
    /// Of finite values; those that are not are left out, and nothing is known of none.
    pub fn of(values: &[f32]) -> Option<Self> {
        let finite = || values.iter().map(|v| f64::from(*v)).filter(|v| v.is_finite());
        let (min, max) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
        if min > max {
            return None;
        }
        let mut counts = vec![0; if min < max { BARS } else { 1 }];
        let scale = counts.len() as f64 / (max - min).max(f64::MIN_POSITIVE);
        let (mut sum, mut sum_sq) = (0.0, 0.0);
        for v in finite() {
            let bar = ((v - min) * scale) as usize;
            let last = counts.len() - 1;
            counts[bar.min(last)] += 1;
            sum += v;
            sum_sq += v * v;
        }
        Some(Self {
            min,
            max,
            sum,
            sum_sq,
            counts,
        })
    }
}

/// Value { tag = 1, histo = 5 { min = 1, max = 2, num = 3, sum = 4, sum_squares = 5, bucket_limit = 6, bucket = 7 } }; the limits are
/// upper ones.
pub(super) fn histogram(tag: &str, of: &Histogram) -> Vec<u8> {
    let bars = of.counts.len() as f64;
    let limits = (1..=of.counts.len()).map(|bar| of.min + (of.max - of.min) * bar as f64 / bars);
    let packed =
        |values: &mut dyn Iterator<Item = f64>| values.flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
    let number: u64 = of.counts.iter().sum();
    let fields = [
        double(1, of.min),
        double(2, of.max),
        double(3, number as f64),
        double(4, of.sum),
        double(5, of.sum_sq),
        bytes_field(6, &packed(&mut limits.into_iter())),
        bytes_field(7, &packed(&mut of.counts.iter().map(|count| *count as f64))),
    ];
    value(tag, &bytes_field(5, &fields.concat()))
}

fn double(field: u8, value: f64) -> Vec<u8> {
    let mut out = vec![key(field, FIXED_64)];
    out.extend(value.to_le_bytes());
    out
}

/// Summary { value = 1 { tag = 1, .. } }.
fn value(tag: &str, content: &[u8]) -> Vec<u8> {
    bytes_field(1, &[bytes_field(1, tag.as_bytes()), content.to_vec()].concat())
}

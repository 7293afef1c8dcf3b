//! Protocol buffers and TFRecords, as far as event files need them.

use std::time::Duration;

// Wire types of protocol buffers.
pub(super) const VARINT: u8 = 0;
pub(super) const FIXED_64: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const FIXED_32: u8 = 5;

/// Field numbers here are below 16, so that a key is one byte.
pub(super) fn key(field: u8, wire_type: u8) -> u8 {
    (field << 3) | wire_type
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
pub(super) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

pub(super) fn varint_field(field: u8, value: u64) -> Vec<u8> {
    let mut out = vec![key(field, VARINT)];
    out.extend(varint(value));
    out
}

pub(super) fn bytes_field(field: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![key(field, BYTES)];
    out.extend(varint(bytes.len() as u64));
    out.extend(bytes);
    out
}

/// A TFRecord: length, its checksum, the data, their checksum, all little-endian.
pub(super) fn push_record(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
}

/// The checksum as TFRecords hold it: masked, because the checksum of bytes that hold checksums is weak.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C: polynomial 0x1edc6f41 (Castagnoli, Bräuer and Herrmann 1993), reflected, start and end inverted.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

/// Remainders of all bytes.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Event { wall_time = 1, step = 2, and a field that holds bytes }.
pub(super) fn event(now: Duration, step: u64, field: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![key(1, FIXED_64)];
    out.extend(now.as_secs_f64().to_le_bytes());
    // A field without presence is left out at its default.
    if step > 0 {
        out.extend(varint_field(2, step));
    }
    out.extend(bytes_field(field, content));
    out
}

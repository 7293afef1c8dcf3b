//! The zip container of `torch.save` since 1.6: its directory, read by hand.
//!
//! Torch writes few of the format's features (stored entries, zip64 lengths, no encryption, one disk), and reading just
//! these keeps every length bounded by the file's own before it is believed. Compressed entries are read too, as long
//! as the whole expands to no more than twice the file. Format: PKWARE's APPNOTE.TXT, sections 4.3.7 to 4.3.16.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::fault::{Stop, shown};

/// Entries at most; a checkpoint has one a tensor.
const ENTRIES: u64 = 1 << 16;
/// Bytes of the directory at most.
const DIRECTORY: u64 = 64 << 20;

const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const ENTRY: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    deflated: bool,
    crc: u32,
    packed: u64,
    /// Length of the content.
    pub size: u64,
    header: u64,
}

/// An open archive: names and where their contents lie.
#[derive(Debug)]
pub(super) struct Zip {
    file: File,
    length: u64,
    entries: HashMap<Box<str>, Entry>,
}

/// Little-endian fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let (head, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| Stop::broken("the zip directory is cut off"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u16(&mut self) -> Result<u16, Stop> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

impl Zip {
    /// Reads the directory.
    pub fn open(file: File, length: u64) -> Result<Self, Stop> {
        let mut zip = Zip {
            file,
            length,
            entries: HashMap::new(),
        };
        let (count, start, size) = zip.find_directory()?;
        if count > ENTRIES || size > DIRECTORY {
            return Err(Stop::broken(format!(
                "a zip directory of {count} entries; {ENTRIES} at most are read"
            )));
        }
        let directory = zip.read_at(start, size)?;
        let mut fields = Fields(&directory);
        let (mut packed, mut expanded) = (0_u64, 0_u64);
        for _ in 0..count {
            let (name, entry) = read_entry(&mut fields)?;
            let fits = entry
                .header
                .checked_add(entry.packed)
                .is_some_and(|end| end <= start);
            if !fits {
                return Err(Stop::broken(format!(
                    "entry {} reaches beyond the file",
                    shown(&name)
                )));
            }
            if !entry.deflated && entry.packed != entry.size {
                return Err(Stop::broken(format!(
                    "entry {} is stored with two lengths",
                    shown(&name)
                )));
            }
            packed = packed.saturating_add(entry.packed);
            expanded = expanded.saturating_add(entry.size);
            if packed > length || expanded > 2 * length {
                return Err(Stop::broken(format!(
                    "its entries expand to {expanded} bytes or more, beyond twice the {length} of the file"
                )));
            }
            if zip.entries.insert(name.as_str().into(), entry).is_some() {
                return Err(Stop::broken(format!(
                    "two entries have the name {}",
                    shown(&name)
                )));
            }
        }
        Ok(zip)
    }

    /// Number of entries, first byte and length of the directory.
    fn find_directory(&mut self) -> Result<(u64, u64, u64), Stop> {
        const LONGEST: u64 = 22 + 65_535;
        let lost =
            || Stop::broken("the end of the zip archive is missing: the file is truncated or not whole");
        let tail_at = self.length.saturating_sub(LONGEST);
        let tail = self.read_at(tail_at, self.length - tail_at)?;
        let is_end = |at: &usize| {
            let rest = &tail[*at..];
            let comment = rest
                .get(20..22)
                .map(|n| usize::from(u16::from_le_bytes([n[0], n[1]])));
            rest.starts_with(&END.to_le_bytes()) && comment.is_some_and(|comment| rest.len() == 22 + comment)
        };
        let at = (0..tail.len()).rev().find(is_end).ok_or_else(lost)?;
        let mut fields = Fields(&tail[at + 4..]);
        let disks = (fields.u16()?, fields.u16()?);
        let (here, count) = (fields.u16()?, fields.u16()?);
        let (size, start) = (fields.u32()?, fields.u32()?);
        let mut found = (u64::from(count), u64::from(start), u64::from(size));
        let mut end = tail_at + at as u64;
        if here != count || disks != (0, 0) {
            return Err(Stop::broken("a zip archive of several disks"));
        }
        if let Some(locator) = at.checked_sub(20).map(|before| &tail[before..at])
            && locator.starts_with(&LOCATOR_64.to_le_bytes())
        {
            let mut fields = Fields(&locator[8..]);
            end = fields.u64()?;
            let record = self.read_at(end, 56)?;
            let mut fields = Fields(&record);
            if fields.u32()? != END_64 {
                return Err(lost());
            }
            fields.take(28)?;
            let (count, size, start) = (fields.u64()?, fields.u64()?, fields.u64()?);
            found = (count, start, size);
        }
        let (count, start, size) = found;
        let fits = start.checked_add(size).is_some_and(|last| last <= end);
        if !fits || count > size / 46 {
            return Err(Stop::broken("the zip directory does not lie within the file"));
        }
        Ok((count, start, size))
    }

    fn read_at(&mut self, at: u64, size: u64) -> Result<Vec<u8>, Stop> {
        let cut = || Stop::broken("the zip archive is cut off");
        if at.checked_add(size).is_none_or(|end| end > self.length) {
            return Err(cut());
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| cut())?];
        self.file.seek(SeekFrom::Start(at)).map_err(Stop::Io)?;
        self.file.read_exact(&mut bytes).map_err(Stop::Io)?;
        Ok(bytes)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(|name| &**name)
    }

    pub fn entry(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    /// The content of an entry, checked against its length and its CRC-32.
    pub fn read(&mut self, entry: Entry) -> Result<Vec<u8>, Stop> {
        let local = self.read_at(entry.header, 30)?;
        let mut fields = Fields(&local);
        let signature = fields.u32()?;
        fields.take(22)?;
        let (name, extra) = (fields.u16()?, fields.u16()?);
        if signature != LOCAL {
            return Err(Stop::broken("the header of this zip entry is damaged"));
        }
        let start = entry.header + 30 + u64::from(name) + u64::from(extra);
        let packed = self.read_at(start, entry.packed)?;
        let content = match entry.deflated {
            false => packed,
            true => {
                let mut content = Vec::with_capacity(usize::try_from(entry.size).unwrap_or(0));
                // One byte more than promised is enough to tell a lie.
                let mut inflated = flate2::read::DeflateDecoder::new(&*packed).take(entry.size + 1);
                let read = inflated.read_to_end(&mut content);
                if read.is_err() || content.len() as u64 != entry.size {
                    return Err(Stop::broken(
                        "the compressed content of this zip entry is damaged",
                    ));
                }
                content
            }
        };
        let mut crc = flate2::Crc::new();
        crc.update(&content);
        if crc.sum() != entry.crc {
            return Err(Stop::broken(
                "the content does not match its checksum (CRC-32): the file is damaged",
            ));
        }
        Ok(content)
    }
}

/// One record of the directory.
fn read_entry(fields: &mut Fields) -> Result<(String, Entry), Stop> {
    if fields.u32()? != ENTRY {
        return Err(Stop::broken("the zip directory is damaged"));
    }
    fields.take(4)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(4)?;
    let crc = fields.u32()?;
    let (packed, size) = (fields.u32()?, fields.u32()?);
    let (name, extra, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
    fields.take(8)?;
    let header = fields.u32()?;
    let name = String::from_utf8(fields.take(name.into())?.to_vec());
    let name = name.map_err(|_| Stop::broken("a name in the zip directory is not UTF-8"))?;
    let extra = fields.take(extra.into())?;
    fields.take(comment.into())?;
    if flags & 1 != 0 || !matches!(method, 0 | 8) {
        return Err(Stop::broken(format!(
            "entry {} is encrypted or compressed by method {method}; stored and deflated ones are read",
            shown(&name)
        )));
    }
    let mut wide = Fields(extra_64(extra)?);
    let mut widen = |short: u32| match short {
        u32::MAX => wide.u64(),
        short => Ok(short.into()),
    };
    let (size, packed, header) = (widen(size)?, widen(packed)?, widen(header)?);
    let entry = Entry {
        deflated: method == 8,
        crc,
        packed,
        size,
        header,
    };
    Ok((name, entry))
}

/// The extra field with the lengths that 32 bits do not hold.
fn extra_64(extra: &[u8]) -> Result<&[u8], Stop> {
    let mut fields = Fields(extra);
    while fields.0.len() >= 4 {
        let (id, size) = (fields.u16()?, fields.u16()?);
        let content = fields.take(size.into())?;
        if id == 1 {
            return Ok(content);
        }
    }
    Ok(&[])
}

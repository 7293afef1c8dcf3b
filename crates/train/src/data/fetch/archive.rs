//! The wanted files of archives.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use zip::ZipArchive;

use super::copy_between;
use super::download::run;
use crate::TrainError;
use crate::data::files::{damaged, fill, open_unpacked, read_error};
use crate::data::sets::SetInfo;

/// Takes the wanted files out of an archive into a folder.
pub(super) fn unpack(archive: &Path, set: &SetInfo, work: &TempDir) -> Result<PathBuf, TrainError> {
    let out = work.path().join("unpacked");
    fs::create_dir_all(&out).map_err(TrainError::io("create", &out))?;
    let name = archive
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let (mut file, packed) = open_unpacked(archive)?;
    if name.ends_with(".deb") {
        let remedy =
            "dpkg exists on Debian and its relatives; elsewhere unpack the package and give its folder";
        run(Command::new("dpkg").arg("-x").arg(archive).arg(&out), remedy)?;
        return Ok(out);
    }
    if name.ends_with(".whl") || name.ends_with(".zip") {
        unzip(archive, set, &out)?;
        return Ok(out);
    }
    let mut head = [0u8; 262];
    let got = fill(&mut file, &mut head).map_err(|e| read_error(archive, packed, e))?;
    if got < head.len() || &head[257..262] != b"ustar" {
        return Err(damaged(
            archive,
            "is no folder and no archive that is understood (.tgz, .tar.gz, .tar, .deb, .whl, .zip)",
        ));
    }
    let mut tar = tar::Archive::new(std::io::Cursor::new(head).chain(file));
    let failed = |e| read_error(archive, packed, e);
    for entry in tar.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = entry.path().map_err(failed)?.into_owned();
        if entry.header().entry_type().is_file()
            && let Some(target) = wanted(set, &path, &out)?
        {
            let mut copy = File::create(&target).map_err(TrainError::io("create", &target))?;
            copy_between(&mut entry, &mut copy, archive, packed, &target)?;
        }
    }
    Ok(out)
}

fn unzip(archive: &Path, set: &SetInfo, out: &Path) -> Result<(), TrainError> {
    let broken = |e: zip::result::ZipError| damaged(archive, &format!("is no whole zip archive: {e}"));
    let file = File::open(archive).map_err(TrainError::io("open", archive))?;
    let mut zip = ZipArchive::new(file).map_err(broken)?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(broken)?;
        let path = PathBuf::from(entry.name());
        if entry.is_file()
            && let Some(target) = wanted(set, &path, out)?
        {
            let mut copy = File::create(&target).map_err(TrainError::io("create", &target))?;
            copy_between(&mut entry, &mut copy, archive, true, &target)?;
        }
    }
    Ok(())
}

/// Where a member of the archive goes, if it is wanted: files by their name alone, those to pack with the folders around them that
/// tell them from others.
fn wanted(set: &SetInfo, member: &Path, out: &Path) -> Result<Option<PathBuf>, TrainError> {
    let last = member.file_name().unwrap_or_default();
    if set
        .files
        .iter()
        .any(|f| is_named(&last.to_string_lossy(), f.name))
    {
        return Ok(Some(out.join(last)));
    }
    if !set.pack.is_some_and(|pack| (pack.is_member)(member)) {
        return Ok(None);
    }
    // Nothing of an archive goes anywhere else than below `out`.
    let below: PathBuf = member
        .components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)))
        .collect();
    let target = out.join(below);
    let folder = target.parent().unwrap_or(out);
    fs::create_dir_all(folder).map_err(TrainError::io("create", folder))?;
    Ok(Some(target))
}

fn is_named(file: &str, wanted: &str) -> bool {
    let file = file.strip_suffix(".gz").unwrap_or(file);
    file == wanted || file == wanted.replacen("-idx", ".idx", 1)
}

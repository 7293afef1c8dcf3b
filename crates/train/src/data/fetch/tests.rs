use std::collections::BTreeSet;

use flate2::Compression;
use flate2::write::GzEncoder;

use std::process::Command;

use super::download::run;
use super::*;
use crate::data::sets::Origin;

const IMAGES: &[u8] = b"these are the images";
const LABELS: &[u8] = b"these are the labels";

fn set() -> SetInfo {
    let file = |name, bytes| {
        let sha256 = hex(Sha256::digest(bytes));
        SetFile {
            name,
            sha256: Box::leak(sha256.into_boxed_str()),
        }
    };
    let files = vec![
        file("train-images-idx3-ubyte", IMAGES),
        file("train-labels-idx1-ubyte", LABELS),
    ];
    SetInfo {
        name: "mine",
        about: "",
        licence: "",
        origin: Origin::Npm("none"),
        files: Box::leak(files.into_boxed_slice()),
        pack: None,
    }
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn names(folder: &Path) -> BTreeSet<String> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect(),
        Err(_) => BTreeSet::new(),
    }
}

/// Fetches from a path into a fresh cache folder; on success both files are there, on failure nothing is.
fn try_from(path: &Path) -> Result<(), String> {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("data/mine");
    let done = fetch_into(folder.clone(), &set(), Some(path));
    match done {
        Ok(done) => {
            assert!(!done.present);
            assert_eq!(fs::read(folder.join("train-images-idx3-ubyte")).unwrap(), IMAGES);
            assert_eq!(fs::read(folder.join("train-labels-idx1-ubyte")).unwrap(), LABELS);
            assert_eq!(names(&folder).len(), 2, "litter: {:?}", names(&folder));
            // A second fetch finds them and needs no program.
            assert!(fetch_into(folder.clone(), &set(), None).unwrap().present);
            Ok(())
        }
        Err(e) => {
            assert!(
                !folder.exists(),
                "half a data set or litter: {:?}",
                names(&folder)
            );
            assert!(!e.to_string().contains('\n'), "{e}");
            Err(e.to_string())
        }
    }
}

#[test]
fn folders_and_archives_that_the_user_has() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("a/b/c/d/e")).unwrap();
    fs::write(at("a/b/c/d/e/train-images.idx3-ubyte"), IMAGES).unwrap();
    fs::write(at("a/train-labels-idx1-ubyte.gz"), gz(LABELS)).unwrap();
    try_from(folder.path()).unwrap();
    let members = [
        ("package/readme", &b"hello"[..]),
        ("package/data/train-images-idx3-ubyte", IMAGES),
        ("package/data/train-labels-idx1-ubyte", LABELS),
    ];
    fs::write(at("x.tgz"), gz(&tar(&members))).unwrap();
    fs::write(at("x.tar"), tar(&members)).unwrap();
    try_from(&at("x.tgz")).unwrap();
    try_from(&at("x.tar")).unwrap();
}

#[test]
fn what_is_not_the_data_set_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let images = ("a/train-images-idx3-ubyte", IMAGES);
    let whole = gz(&tar(&[images, ("a/train-labels-idx1-ubyte", LABELS)]));
    for (path, expected) in [
        (
            write("one.tar", &tar(&[images])),
            "holds no train-labels-idx1-ubyte (or train-labels-idx1-ubyte.gz)",
        ),
        (
            write(
                "other.tar",
                &tar(&[images, ("a/train-labels-idx1-ubyte", b"other labels")]),
            ),
            "is not the train-labels-idx1-ubyte of mine: its SHA-256 is ",
        ),
        (write("cut.tgz", &whole[..whole.len() - 20]), "is truncated"),
        (
            write("text.tgz", b"hello"),
            "is no folder and no archive that is understood",
        ),
        (
            write("empty.tgz", b""),
            "is no folder and no archive that is understood",
        ),
        (at("absent"), "cannot open"),
    ] {
        let error = try_from(&path).unwrap_err();
        assert!(error.contains(expected), "{}: {error}", path.display());
    }
    fs::create_dir(at("empty")).unwrap();
    let error = try_from(&at("empty")).unwrap_err();
    assert!(error.contains("holds no train-images-idx3-ubyte"), "{error}");
}

#[test]
fn programs_that_are_absent_or_fail_are_named_with_the_remedy() {
    let error = run(Command::new("no-such-program").arg("download"), "install it")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "no-such-program download: the program is not installed; install it"
    );
    let error = run(
        Command::new("sh").args(["-c", "echo first >&2; exit 3"]),
        "try again",
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("exit status: 3, it said: first; try again"),
        "{error}"
    );
}

#[test]
fn sets_without_files_have_nothing_to_fetch() {
    let digits = super::super::sets::find_set("digits").unwrap();
    let error = fetch(digits, None).unwrap_err().to_string();
    assert_eq!(
        error,
        "data set digits: there is nothing to fetch, it can be used as it is"
    );
    assert_eq!(super::super::sets::find_set("mnst").unwrap_err(), "mnist");
}

//! Series of the UCR and UEA archives.

use std::fs;
use std::path::Path;

use crate::{all_rows, open, refused};

const TWO_CHANNELS: &str = "# a comment
@problemName Steps
@timestamps false
@univariate false
@classLabel true walk run

@data
1,2,3:4,5,6:walk
-1,-2e0,-3:-4,-5,-6.5:run
";

fn table(path: &Path, more: &str) -> String {
    format!(
        "kind = 'ucr'\npath = '{}'\nscaling = 'none'\n{more}",
        path.display()
    )
}

#[test]
fn channels_classes_and_both_files_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("Steps_TRAIN.ts");
    fs::write(&path, TWO_CHANNELS).expect("writes");
    let train = open(&table(&path, "")).expect("sound");
    assert_eq!((train.len(), train.shape()), (2, &[2, 3][..]));
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.5];
    assert_eq!(all_rows(train.as_ref(), 0), values);
    // By name: run, walk.
    assert_eq!(train.labels(), Some(&[1, 0][..]));
    fs::write(
        folder.path().join("Steps_TEST.ts"),
        TWO_CHANNELS.replace("-6.5:run", "7:fly"),
    )
    .expect("writes");
    let all = open(&table(folder.path(), "set = 'Steps'\nsplit = 'all'")).expect("sound");
    assert_eq!((all.len(), all.labels()), (4, Some(&[2, 1, 2, 0][..])));
    // The older form; classes are numbers and count by value.
    let path = folder.path().join("old.tsv");
    fs::write(&path, "10\t1.5\t2.5\n-1\t3.5\t4.5\n2\t0\t1\n").expect("writes");
    let old = open(&table(&path, "")).expect("sound");
    assert_eq!((old.shape(), old.labels()), (&[1, 2][..], Some(&[2, 0, 1][..])));
    assert_eq!(all_rows(old.as_ref(), 0), [1.5, 2.5, 3.5, 4.5, 0.0, 1.0]);
}

/// Series of other lengths are refused or filled up, as asked.
#[test]
fn lengths_that_differ() {
    let folder = tempfile::tempdir().expect("a folder");
    let ts = folder.path().join("a.ts");
    fs::write(&ts, "@classLabel false\n@data\n1,2,3\n4,5\n").expect("writes");
    let tsv = folder.path().join("a.tsv");
    fs::write(&tsv, "1\t1\t2\t3\n1\t4\t5\tNaN\n").expect("writes");
    for (path, line) in [(&ts, 4), (&tsv, 2)] {
        let reason = format!("line {line}: 2 values in channel 1, the longest series has 3");
        refused(&table(path, ""), path, &reason);
        let filled = |how: &str| all_rows(open(&table(path, how)).expect("sound").as_ref(), 0);
        assert_eq!(filled("pad = 'edge'"), [1.0, 2.0, 3.0, 4.0, 5.0, 5.0]);
        assert_eq!(filled("pad = 'zero'"), [1.0, 2.0, 3.0, 4.0, 5.0, 0.0]);
    }
}

#[test]
fn what_is_no_such_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.ts");
    for (text, reason) in [
        ("", "has no line @data"),
        ("1,2:1\n", "line 1: a line of values before @data"),
        (
            "@classLabel true 1\n@data\n1,2\n",
            "line 3: no class after the values",
        ),
        (
            "@data\n1,2\n1,x\n",
            "line 3: channel 1, value 2: \"x\" is no number",
        ),
        (
            "@data\n1,2\n1,?\n",
            "line 3: channel 1, value 2: a value is missing",
        ),
        (
            "@data\n1,2\n1,NaN\n",
            "line 3: channel 1, value 2: NaN is not finite",
        ),
        ("@data\n1,2:3,4\n1,2\n", "line 3: 1 channels, line 2 has 2"),
        (
            "@timestamps true\n@data\n(0,1)\n",
            "line 1: series with time stamps",
        ),
    ] {
        fs::write(&path, text).expect("writes");
        refused(&table(&path, ""), &path, reason);
    }
    fs::write(&path, "@data\n").expect("writes");
    refused(&table(&path, ""), Path::new("ItalyPowerDemand"), "it is empty");
    refused(
        &table(folder.path(), "set = 'None'"),
        folder.path(),
        "has no None_TRAIN.ts",
    );
    refused(
        &table(&folder.path().join("no.ts"), ""),
        &folder.path().join("no.ts"),
        "No such file",
    );
}

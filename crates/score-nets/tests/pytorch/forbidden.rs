use score_nets::weights::WeightsError;

use crate::made::{legacy, refused, with_tensor, zipped};

/// In both containers, whichever way a pickle names what it would run, the error says the name.
#[test]
fn what_would_run_is_refused_by_name() {
    let cases: [(&[u8], &str); 22] = [
        (b"cos\nsystem\n(X\x04\0\0\0truetR", "os.system"),
        (b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R", "os.system"),
        (b"(X\x04\0\0\0trueios\nsystem\n", "os.system"),
        (b"(cos\nsystem\nX\x04\0\0\0trueo", "os.system"),
        (b"cposix\nsystem\n", "posix.system"),
        (b"cbuiltins\neval\nX\x01\0\0\x001\x85R", "builtins.eval"),
        (b"c__builtin__\nexec\n", "__builtin__.exec"),
        (b"csubprocess\nPopen\n)\x81", "subprocess.Popen"),
        (
            b"ctorch.storage\n_load_from_bytes\n",
            "torch.storage._load_from_bytes",
        ),
        (
            b"ctorch._utils\n_rebuild_tensor_v3\n",
            "torch._utils._rebuild_tensor_v3",
        ),
        (
            b"cnumpy.core.multiarray\nscalar\n",
            "numpy.core.multiarray.scalar",
        ),
        (b"cmodels.ncsnpp\nNCSNpp\n", "models.ncsnpp.NCSNpp"),
        (b"ctorch\nSize\n", "torch.Size"),
        (b"ccollections\nOrderedDict\n)\x81", "NEWOBJ"),
        (b"ccollections\nOrderedDict\n)}\x92", "NEWOBJ_EX"),
        (b"]}b", "BUILD on a list"),
        (b"X\x01\0\0\0a)R", "call of a string"),
        (b"ctorch\nFloatStorage\nK\x04\x85R", "call of a storage class"),
        (b"\x82\x01", "EXT1"),
        (b"\x8f", "EMPTY_SET"),
        (b"P0\n", "PERSID"),
        (
            b"(X\x06\0\0\0moduleK\x01K\x02K\x03K\x04tQ",
            "a module with its source code",
        ),
    ];
    for (pickle, name) in cases {
        for file in [zipped(pickle), legacy(pickle)] {
            let error = refused(&file);
            assert!(matches!(error, WeightsError::Forbidden { .. }), "{name}: {error}");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("byte "), "{name}: {text}");
        }
    }
}

/// A command that would leave a trace leaves none, also where the file starts with the call.
#[test]
fn nothing_is_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let witness = folder.path().join("witness");
    let command = format!("touch {}", witness.display());
    let mut call = b"cos\nsystem\n(X".to_vec();
    call.extend((command.len() as u32).to_le_bytes());
    call.extend(command.as_bytes());
    call.extend(b"tR");
    for file in [
        zipped(&call),
        legacy(&call),
        [b"\x80\x02", &call[..], b"."].concat(),
    ] {
        let error = refused(&file).to_string();
        assert!(
            error.contains("os.system") && error.contains("nothing is run"),
            "{error}"
        );
    }
    assert!(!witness.exists());
}

/// Names out of the file cannot draw on the terminal.
#[test]
fn names_are_escaped_and_cut() {
    let error = refused(&zipped(b"c\x1b[31mred\nname\n")).to_string();
    assert!(
        error.contains("\\u{1b}[31mred.name") && !error.contains('\x1b'),
        "{error}"
    );
    let long = [b"c".to_vec(), vec![b'a'; 900], b"\nb\n".to_vec()].concat();
    let error = refused(&zipped(&long)).to_string();
    assert!(error.len() < 400, "{error}");
}

#[test]
fn tensors_outside_their_storage_are_refused() {
    for (offset, size, stride) in [
        (0, &[5][..], &[1][..]),
        (1, &[4], &[1]),
        (0, &[2, 2], &[3, 1]),
        (-1, &[1], &[1]),
        (0, &[-1], &[1]),
        (0, &[1], &[-1]),
        (0, &[2], &[1, 1]),
        (5, &[0], &[1]),
        (0, &[i64::MAX, i64::MAX], &[1, 1]),
        (0, &[1 << 40, 1 << 40], &[0, 0]),
        (0, &[2], &[i64::MAX]),
        (i64::MAX, &[2], &[1]),
        (0, &[1; 65], &[1; 65]),
    ] {
        let error = refused(&with_tensor(offset, size, stride));
        assert!(
            matches!(error, WeightsError::Checkpoint { .. }),
            "{offset} {size:?} {stride:?}: {error}"
        );
    }
    let open = crate::made::opened(&with_tensor(1, &[3], &[1])).expect("fits");
    assert_eq!(open.root().shape().map(|(size, _)| size), Some(&[3][..]));
}

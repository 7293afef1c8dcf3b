//! One line for every mistake, exit code 1 (2 for usage), and nothing written.

use ndarray::Array2;

use crate::harness::{fail, folder, text, write2};

#[test]
fn mistakes_get_one_line() {
    let folder = folder("mistakes");
    let table = folder.join("s.toml");
    let out = folder.join("x0.npy");
    let sample = |content: &str| {
        std::fs::write(&table, content).expect("writable");
        let arguments = [
            "sample",
            "--problem",
            "mixture_vp.toml",
            "--sampler",
            text(&table),
            "--rows",
            "4",
            "--out",
            text(&out),
        ];
        fail(&arguments, 1)
    };
    for (content, wanted) in [
        (
            "[sampler]\nkind = \"pc\"\nstep = 10",
            "sampler.step = 10: unknown field `step`",
        ),
        ("[sampler]\nkind = \"pc\"\nsteps = -4", "sampler.steps = -4: "),
        (
            "[sampler]\nkind = \"pc\"\nsteps = \"ten\"",
            "sampler.steps = \"ten\": ",
        ),
        (
            "[sampler]\nkind = \"pf\"",
            "sampler.kind = \"pf\": unknown variant `pf`, expected one of `pc`, `ode`, `heun`",
        ),
        (
            "[sampler]\nkind = \"ode\"\nmethod = \"rk45\"",
            "sampler.method = \"rk45\": unknown variant",
        ),
        ("[sampler]\nkind = \"ode\"\nrtol = 0.0", "sampler.rtol = 0: "),
        (
            "[sampler]\nkind = \"pc\"\npredictor = \"ancestral\"\nsteps = 12",
            "sampler.steps = 12: ",
        ),
        (
            "[sampler]\nkind = \"ode\"\nmax_steps = 2",
            "row 0: no end after 2 steps",
        ),
        (
            "[sampler]\nkind = \"pc\"\n[grid]\nkind = \"karras\"",
            "grid: unknown table",
        ),
        (
            "[sampler]\nkind = \"pc\"\n[sampler.grid]\nkind = \"karas\"",
            "sampler.grid",
        ),
        ("[sampler]\nkind = pc", "s.toml:2: "),
        ("", "the table [sampler] is missing"),
    ] {
        let message = sample(content);
        assert!(
            message.starts_with("error: ") && message.contains(wanted),
            "{content}: {message}"
        );
        assert!(!out.exists(), "nothing is written by a run that failed");
    }
    let plain = [
        "sample",
        "--problem",
        "mixture_vp.toml",
        "--sampler",
        "sampler_heun.toml",
    ];
    let with = |more: &[&'static str]| [&plain[..], more].concat();
    assert!(
        fail(&with(&["--rows", "4", "--out", "/no/such/folder/x.npy"]), 1).contains("/no/such/folder/x.npy")
    );
    assert!(fail(&with(&["--rows", "4", "--out", "."]), 1).contains("error: "));
    assert!(fail(&with(&["--init", "absent.npy", "--out", "x.npy"]), 1).contains("absent.npy"));
    assert!(
        fail(&with(&["--init", "mixture_vp.toml", "--out", "x.npy"]), 1).contains("need float64 [rows, dim]")
    );
    fail(&with(&["--out", "x.npy"]), 2);
    fail(&with(&["--rows", "-3", "--out", "x.npy"]), 2);
    fail(&with(&["--rows", "4", "--out", "x.npy", "--chunk", "0"]), 2);
    fail(&["nonsense"], 2);
    let init = folder.join("init.npy");
    write2(&init, &Array2::zeros((3, 5)));
    let wrong = [
        "sample",
        "--problem",
        "mixture_vp.toml",
        "--sampler",
        "sampler_heun.toml",
        "--init",
        text(&init),
        "--out",
        "x.npy",
    ];
    assert!(fail(&wrong, 1).contains("[3, 5]"));
    let coupled = [
        "sample",
        "--problem",
        "mixture_vp.toml",
        "--sampler",
        "sampler_pc_batch.toml",
        "--rows",
        "9",
        "--chunk",
        "4",
        "--out",
        "x.npy",
    ];
    assert!(fail(&coupled, 1).contains("influence each other"));
    assert!(
        fail(
            &["schedule", "--problem", "mixture_vp.toml", "--times", "0.5,1.5"],
            1
        )
        .contains("1.5")
    );
    assert!(fail(&["schedule", "--problem", ".", "--times", "0.5"], 1).contains("error: .: "));
    fail(&["schedule", "--problem", "mixture_vp.toml", "--times", "a"], 2);
}

use serde_json::Value;

use crate::common::{done, fixture, refused, shared, tensor, write};

/// The averaged weights give the fixture's output; the raw ones do not.
#[test]
fn an_imported_checkpoint_gives_the_output_of_the_reference() {
    tch::set_num_threads(1);
    let Some(golden) = shared() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let facts: Value =
        serde_json::from_slice(&std::fs::read(golden.join("ddpmpp_vp.json")).expect("there")).expect("JSON");
    // As users have it: the tables of score_sde's own configuration, in TOML.
    let table = |keys: &[&str]| {
        let pick = |key: &&str| format!("{key} = {}\n", facts["config"][key]);
        keys.iter().map(pick).collect::<String>()
    };
    let of_data = ["image_size", "num_channels", "centered"];
    let all: Vec<&str> = facts["config"]
        .as_object()
        .expect("a table")
        .keys()
        .map(String::as_str)
        .collect();
    let of_model: Vec<&str> = all.into_iter().filter(|key| !of_data.contains(key)).collect();
    let training = "[training]\nsde = \"vpsde\"\ncontinuous = true\nbatch_size = 128\n";
    let text = format!(
        "{training}[model]\n{}[data]\n{}",
        table(&of_model),
        table(&of_data)
    );
    std::fs::write(here.join("model_config.toml"), text).expect("writes");

    let pth = golden
        .join("ddpmpp_vp.score_sde.pth")
        .to_string_lossy()
        .into_owned();
    let import = [
        "import",
        "--from",
        "score-sde",
        &pth,
        "--model-config",
        "model_config.toml",
        "--out",
    ];
    let first = done(here, &[&import[..], &["ema"]].concat());
    assert!(first.err.is_empty(), "nothing to note: {}", first.err);
    done(here, &[&import[..], &["raw", "--raw"]].concat());
    let io = golden.join("ddpmpp_vp.io.safetensors");
    let (x, t, need) = (
        tensor(&io, "in.x"),
        tensor(&io, "in.time_cond"),
        tensor(&io, "out"),
    );
    write(&here.join("in.safetensors"), &[("x", &x), ("t", &t)]);
    let largest = need.abs().max().double_value(&[]);
    let bound = 10.0 * facts["f32_vs_f64_max_abs"].as_f64().expect("a number") + 1e-6 * largest;
    for (model, same) in [("ema", true), ("raw", false)] {
        let args = [
            "net",
            "forward",
            "--model",
            model,
            "--input",
            "in.safetensors",
            "--output",
            "out.safetensors",
        ];
        done(here, &args);
        let have = tensor(&here.join("out.safetensors"), "out");
        let error = (&have - &need).abs().max().double_value(&[]);
        assert_eq!(error <= bound, same, "{model}: {error} against {bound}");
    }
    let info = done(here, &["net", "info", "--model", "ema", "--json"]);
    let info: Value = serde_json::from_str(info.out.lines().last().expect("a line")).expect("JSON");
    assert_eq!(
        (&info["parameters"], &info["tensors"]),
        (&749_891.into(), &155.into())
    );
    assert_eq!(info["card"]["origin"]["step"], 7);
    assert_eq!(
        (&info["card"]["sde"]["kind"], &info["card"]["precond"]["kind"]),
        (&"vp".into(), &"raw-eps".into())
    );
}

#[test]
fn a_small_checkpoint_becomes_a_model_that_samples() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let (pth, config) = (fixture("score_sde_tiny.pth"), fixture("score_sde_tiny.json"));
    let args = [
        "import",
        "--from",
        "score-sde",
        &pth,
        "--model-config",
        &config,
        "--out",
        "model",
        "--json",
    ];
    let summary: Value = serde_json::from_str(&done(here, &args).out).expect("JSON");
    assert_eq!(
        (&summary["parameters"], &summary["card"]["origin"]["weights"]),
        (&2865.into(), &"ema".into())
    );
    let sample = [
        "sample",
        "--model",
        "model",
        "--n",
        "3",
        "--sampler.steps",
        "4",
        "--json",
    ];
    let drawn: Value = serde_json::from_str(&done(here, &sample).out).expect("JSON");
    assert_eq!(
        (&drawn["samples"], &drawn["run_dir"], &drawn["model_dir"]),
        (&3.into(), &Value::Null, &"model".into())
    );
    assert!(here.join("model/sampled.npz").is_file() && here.join("model/sampled.png").is_file());
    let info = done(here, &["net", "info", "--model", "model"]).out;
    assert!(
        info.contains("2865") && info.contains("raw-score") && info.contains("sigma_max = 50.0"),
        "{info}"
    );
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let (pth, config) = (fixture("score_sde_tiny.pth"), fixture("score_sde_tiny.json"));
    let text = std::fs::read_to_string(&config).expect("there");
    let changed = |name: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        std::fs::write(here.join(name), text.replacen(from, to, 1)).expect("writes");
    };
    changed("large.json", "\"nf\": 4", "\"nf\": 4096");
    changed("wide.json", "\"num_scales\": 10", "\"num_scales\": 5");
    changed("typo.json", "\"nf\"", "\"nff\"");
    changed("block.json", "\"biggan\"", "\"resnet\"");
    changed("words.json", "\"nf\": 4", "\"nf\": \"four\"");
    std::fs::write(here.join("broken.json"), "{\"model\": ").expect("writes");
    std::fs::write(here.join("broken.toml"), "model = ").expect("writes");
    std::fs::write(here.join("empty.pth"), "").expect("writes");
    std::fs::write(here.join("evil.pth"), b"\x80\x02cos\nsystem\n(X\x04\0\0\0truetR.").expect("writes");
    let bytes = std::fs::read(&pth).expect("there");
    std::fs::write(here.join("cut.pth"), &bytes[..bytes.len() / 2]).expect("writes");
    std::fs::create_dir(here.join("full")).expect("creates");
    std::fs::write(here.join("full/file"), "").expect("writes");

    let from = |pth: &str, config: &str, code: i32, says: &[&str]| {
        let args = [
            "import",
            "--from",
            "score-sde",
            pth,
            "--model-config",
            config,
            "--out",
            "out",
        ];
        refused(here, &args, code, says);
        assert!(!here.join("out").exists(), "{pth} {config}");
    };
    from(
        &pth,
        "large.json",
        1,
        &["large.json", "2879 values", "another model"],
    );
    from(
        &pth,
        "wide.json",
        1,
        &["score_sde_tiny.pth", "sigmas", "[10]", "[5]"],
    );
    from(&pth, "typo.json", 1, &["typo.json", "nff"]);
    from(&pth, "block.json", 1, &["block.json", "resblock_type", "resnet"]);
    from(&pth, "words.json", 1, &["words.json", "nf", "four"]);
    from(&pth, "broken.json", 1, &["broken.json"]);
    from(&pth, "broken.toml", 1, &["broken.toml"]);
    from(&pth, "absent.json", 1, &["absent.json"]);
    from("absent.pth", &config, 1, &["absent.pth"]);
    from("empty.pth", &config, 1, &["empty.pth", "empty"]);
    from("cut.pth", &config, 1, &["cut.pth", "storage", "truncated"]);
    from("evil.pth", &config, 1, &["evil.pth", "os.system"]);
    from(&config, &config, 1, &["score_sde_tiny.json", "neither"]);
    from(".", &config, 1, &["cannot read"]);
    let other = fixture("zip_protocol2.pth");
    from(&other, &config, 1, &["zip_protocol2.pth", "model"]);

    let import = ["import", "--from", "score-sde", pth.as_str(), "--out"];
    refused(
        here,
        &[&import[..], &["out"]].concat(),
        2,
        &["--model-config", "image_size", "JSON or TOML"],
    );
    refused(
        here,
        &[&import[..], &["full", "--model-config", &config]].concat(),
        1,
        &["full", "not empty"],
    );
    let diffusers = ["import", "--from", "diffusers", ".", "--raw", "--out", "out"];
    refused(here, &diffusers, 2, &["--raw"]);
}

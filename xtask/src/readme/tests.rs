use super::*;
use std::fs;

const ARGUMENTS_TEXT: &str = "
/// Commands.
pub enum Command {
/// Trains.
Train(TrainArgs),
#[command(alias = \"draw\")]
Sample { x: u8 },
}
pub struct TrainArgs {
/// A file.
#[arg(long, value_name = \"FILE\")]
pub config: Option<PathBuf>,
#[arg(long)]
pub json: bool,
#[arg(skip)]
pub overrides: Vec<String>,
#[arg(long)]
run: PathBuf,
#[arg(long, default_value_t = 64)]
pub n: u64,
}
";

#[test]
fn commands_and_flags_are_read_from_their_declaration() {
    let names = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
    assert_eq!(names(sde_commands(ARGUMENTS_TEXT)), ["sample", "train"]);
    assert_eq!(
        names(sde_flags(ARGUMENTS_TEXT)),
        ["--config", "--json", "--n", "--run"]
    );
}

fn workspace() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir_all(root.path().join("crates/solvers/examples")).expect("a folder");
    fs::create_dir_all(root.path().join("configs")).expect("a folder");
    fs::write(root.path().join("crates/solvers/examples/lab.rs"), "").expect("a file");
    fs::create_dir_all(root.path().join("crates/train/src/cli")).expect("a folder");
    fs::write(root.path().join(ARGUMENTS).join("args.rs"), ARGUMENTS_TEXT).expect("a file");
    fs::write(
        root.path().join("configs/a.toml"),
        "[optim]\nlr = 1e-3\n# clip = 1.0\n",
    )
    .expect("a file");
    root
}

fn faults(lines: &str) -> Vec<String> {
    check(workspace().path(), &format!("# Title\n\n```sh\n{lines}\n```\n"))
}

#[test]
fn true_lines_pass() {
    let lines = "\
git clone URL && cd sde
cargo xtask train   # a few minutes
$ cargo xtask train --config configs/a.toml --optim.lr 1e-4 \\
--optim.clip=2 --json
SDE_CACHE=/tmp/c cargo xtask setup
target/release/sde sample --run runs/x --n 64
cargo bench -p solvers
cargo run --release -q -p solvers --example lab -- normals --count 5";
    assert_eq!(faults(lines), Vec::<String>::new());
}

#[test]
fn untrue_lines_are_named() {
    let cases = [
        ("cargo xtask trian", "no command trian"),
        ("cargo xtask setup --force", "no argument --force"),
        (
            "cargo xtask train --config configs/b.toml",
            "no file configs/b.toml",
        ),
        ("cargo xtask train --config", "names no file"),
        ("cargo xtask train --optm.lr 1", "no configuration table optm"),
        (
            "cargo xtask train --optim.learning_rate 1",
            "has a key learning_rate",
        ),
        ("cargo xtask sample --rnu x", "no flag --rnu"),
        ("sde smaple", "no command smaple"),
        ("cargo xtask eval --run x", "no command eval"),
        ("cargo bench -p solver", "no package solver"),
        ("cargo run -p solvers --example lap", "no example lap"),
        ("npm install", "npm is not a program"),
        ("cargo xtask", "no command"),
    ];
    for (line, expected) in cases {
        let found = faults(line);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{line}: {found:?}"
        );
        assert!(found[0].starts_with("README.md:4: "), "{found:?}");
    }
    assert!(faults("# nothing")[0].contains("no command"));
}

#[test]
fn other_blocks_are_left_alone() {
    let text = "```text\nnpm install\n```\n\n```sh\ncargo xtask test\n```\nnpm\n```rust\nx\n```\n";
    assert_eq!(check(workspace().path(), text), Vec::<String>::new());
}

//! A fault of ours ends the program like a failure: one line, exit code 1.

use std::process::ExitCode;

use train::cli::{Commands, run};

#[test]
fn a_panic_is_exit_code_1() {
    let commands = Commands {
        train: |_| panic!("on purpose"),
        sample: |_| Ok(0),
        likelihood: |_| Ok(0),
        eval: |_| Ok(0),
        checkpoint: |_| Ok(0),
        report: |_| Ok(0),
        import: |_| Ok(0),
        export: |_| Ok(0),
        net: |_| Ok(0),
    };
    let code = run(["sde", "train"].map(Into::into), &commands);
    assert_eq!(code, ExitCode::FAILURE);
}

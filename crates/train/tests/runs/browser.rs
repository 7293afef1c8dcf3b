//! Pages in a headless Chromium, where there is one: what it complains of, what it cannot show, and how wide it makes them.
//!
//! `CHROMIUM` names the program; without it, the usual names are looked for. Where none is found, the tests say so and pass.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Place, alone, ok};
use crate::small::{DIGITS, SERIES};

const NAMES: [&str; 5] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// A desktop's window and a telephone's.
const WIDTHS: [u32; 2] = [1200, 420];
/// How long a browser may take over one page.
const LIMIT: Duration = Duration::from_secs(60);

/// The browser, or `None` after a line that says that there is none.
fn browser() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM").filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let at = |name: &&str| {
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    };
    let found = NAMES.iter().find_map(at);
    if found.is_none() {
        // Not by the macro, whose text the test runner keeps to itself.
        let _ = writeln!(
            io::stderr(),
            "not opened in a browser: no Chromium found (install chromium-headless-shell or set CHROMIUM)"
        );
    }
    found
}

/// What a program wrote, unless it took too long; then it and what it started are ended.
fn run(mut command: Command, folder: &Path, limit: Duration) -> Result<[String; 2], String> {
    let paths = ["stdout", "stderr"].map(|name| folder.join(name));
    let [stdout, stderr] = [0, 1].map(|i| File::create(&paths[i]).expect("writable"));
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait().expect("still ours") {
            Some(status) => break status,
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            None => {
                let group = format!("-{}", child.id());
                let ended = Command::new("kill").args(["-9", "--", &group]).status();
                if !ended.is_ok_and(|status| status.success()) {
                    child.kill().expect("still ours");
                }
                child.wait().expect("still ours");
                return Err(format!("it took more than {limit:?} and was ended"));
            }
        }
    };
    let [out, said] =
        paths.map(|path| String::from_utf8_lossy(&fs::read(path).expect("readable")).into_owned());
    match status.success() {
        true => Ok([out, said]),
        false => Err(format!("it ended with {status}: {said}")),
    }
}

/// Starts the browser on a file of this folder, with a profile of its own.
fn open(browser: &Path, folder: &Path, file: &str, width: u32, more: &[&str]) -> Result<[String; 2], String> {
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        // A container's only user is often root, for whom there is no sandbox. The pages are ours.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--enable-logging=stderr",
        "--v=0",
        "--allow-file-access-from-files",
    ]);
    command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    command.arg(format!("--window-size={width},1000"));
    command.args(more);
    command.arg(format!("file://{}", folder.join(file).display()));
    run(command, folder, LIMIT)
}

/// Everything that is wrong with a page, one fault a line; none for a sound page.
fn faults(browser: &Path, html: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writable");
    write("page.html", html);
    let mut faults = Vec::new();
    for width in WIDTHS {
        // A browser's window has a least width; a frame has none. The frame's own program tells the page around it what it finds.
        let probe = html.replace(
            "default-src 'none';",
            "default-src 'none'; script-src 'unsafe-inline';",
        );
        let probe = probe.replace("</body>", &format!("<script>{PROBE}</script></body>"));
        write("probe.html", &probe);
        write(
            "frame.html",
            &format!(
                "<!DOCTYPE html><html><body style=\"margin:0\"><iframe src=\"probe.html\" style=\"display:block;border:0;width:{width}px;\
                 height:4000px\"></iframe></body></html>"
            ),
        );
        let image = folder.path().join("shot.png");
        let shoot = format!("--screenshot={}", image.display());
        let told = open(browser, folder.path(), "frame.html", 1240, &["--dump-dom"]);
        let shown = open(browser, folder.path(), "page.html", width, &[&shoot]);
        let (told, shown) = match (told, shown) {
            (Ok([told, _]), Ok([_, shown])) => (told, shown),
            (told, shown) => {
                faults.extend([told.err(), shown.err()].into_iter().flatten());
                continue;
            }
        };
        // Whatever a browser writes to the console of a page without a program is a complaint.
        faults.extend(
            shown
                .lines()
                .filter(|line| line.contains(":CONSOLE"))
                .map(str::to_owned),
        );
        match told
            .split("data-found=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
        {
            Some(found) => faults.extend(judge(found, width)),
            None => faults.push(format!("at {width} px the page was not measured")),
        }
        faults.extend(blank(&image));
    }
    faults
}

/// Width of the window and of the page, images that show nothing, and elements that stick out, unless what they lie in scrolls.
const PROBE: &str = "const out = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 \
     && !e.closest('.wide') && !e.closest('pre')).map(e => e.tagName); \
     const broken = [...document.images].filter(i => !i.complete || i.naturalWidth === 0).length; \
     parent.document.documentElement.dataset.found = [innerWidth, document.documentElement.scrollWidth, broken, out.join(' ')].join(';');";

/// What the probe found amiss.
fn judge(found: &str, width: u32) -> Vec<String> {
    let fields: Vec<&str> = found.split(';').collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
    let mut faults = Vec::new();
    if number(0) != Some(width) {
        faults.push(format!("the page was not measured at {width} px: {found}"));
    }
    if number(1).is_none_or(|scroll| scroll > width) || fields.get(3).is_none_or(|out| !out.is_empty()) {
        faults.push(format!(
            "at {width} px something is wider than the window: {found}"
        ));
    }
    if number(2) != Some(0) {
        faults.push(format!("at {width} px an image shows nothing: {found}"));
    }
    faults
}

/// Whether a screenshot shows next to nothing: one in 500 pixels at least differs from the most common colour, and text has many shades.
fn blank(image: &Path) -> Option<String> {
    let pixels = match image::open(image) {
        Ok(picture) => picture.into_rgb8(),
        Err(error) => return Some(format!("no screenshot: {error}")),
    };
    let mut counts = std::collections::HashMap::new();
    for pixel in pixels.pixels() {
        *counts.entry(pixel.0).or_insert(0_usize) += 1;
    }
    let all: usize = counts.values().sum();
    let common = counts.values().copied().max().unwrap_or(0);
    (500 * (all - common) < all || counts.len() < 16)
        .then(|| format!("the screenshot is blank: {} colours", counts.len()))
}

#[test]
fn pages_of_images_points_and_series_open_without_complaint() {
    let _alone = alone();
    let Some(browser) = browser() else { return };
    let place = Place::new();
    let train = |run: &str, text: &str| {
        fs::write(place.path("own.toml"), text).expect("writable");
        ok(place.command(&["train", "--config", "own.toml", "--out", run, "--threads", "1"]));
    };
    train("images", DIGITS);
    // The sections of commands that run later.
    let quick = "--threads 1 --rows 4 --repeats 1 --bound-times 2 --rtol 0.1 --atol 0.1";
    let quick: Vec<&str> = quick.split(' ').collect();
    ok(place.command(&[&["likelihood", "--run", "images"], &quick[..]].concat()));
    ok(place.command(&["eval", "--run", "images", "--threads", "1"]));
    ok(place.command(&["report", "--run", "images"]));
    train("series", SERIES);
    ok(place.train("points", &[]));
    for run in ["images", "series", "points"] {
        let html = fs::read_to_string(place.path(run).join("report.html")).expect("readable");
        assert_eq!(faults(&browser, &html), Vec::<String>::new(), "{run}");
    }
}

/// The check above can fail: by each of these faults, which it names.
#[test]
fn every_kind_of_fault_is_found() {
    let _alone = alone();
    let Some(browser) = browser() else { return };
    let rows = vec![vec!["key".to_owned(), "value".to_owned()]; 40];
    let sound = report::Page::new("sound")
        .section("A table")
        .table(&["a", "b"], &rows)
        .to_html();
    assert_eq!(faults(&browser, &sound), Vec::<String>::new());
    let with = |part: &str| sound.replace("</main>", &format!("{part}</main>"));
    let unprotected = |part: &str| with(part).replace("default-src 'none';", "script-src 'unsafe-inline';");
    for (html, said) in [
        (
            unprotected("<script>missing.call()</script>"),
            "Uncaught ReferenceError: missing is not defined",
        ),
        (
            unprotected("<script>console.error('made up')</script>"),
            "made up",
        ),
        (with("<script>1</script>"), "Content Security Policy"),
        (
            with("<img alt=\"\" src=\"absent.png\"/>"),
            "Content Security Policy",
        ),
        (
            with("<svg viewBox=\"0 0 9 9\"><path d=\"M0 0LNaN 1\"/></svg>"),
            "attribute d: Expected number",
        ),
        (
            with("<img alt=\"\" src=\"data:image/png;base64,AAAA\"/>"),
            "an image shows nothing",
        ),
        (
            with("<p style=\"width:700px;max-width:none\">wide</p>"),
            "at 420 px something is wider",
        ),
        (
            sound.replace("<main>", "<main hidden=\"hidden\">"),
            "the screenshot is blank",
        ),
    ] {
        let found = faults(&browser, &html);
        assert!(
            found.iter().any(|fault| fault.contains(said)),
            "{said}: {found:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_browser_that_hangs_or_fails_is_ended_and_told_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = |text: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    };
    let started = Instant::now();
    let limit = Duration::from_millis(300);
    let error = run(script("sleep 50 & sleep 50"), folder.path(), limit);
    assert!(error.expect_err("it hangs").contains("it took more than 300ms"));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    let error = run(script("echo trouble >&2; exit 3"), folder.path(), LIMIT);
    assert!(error.expect_err("it fails").contains("trouble"));
    let found = run(script("echo text"), folder.path(), LIMIT).expect("it ends well");
    assert_eq!(found, ["text\n".to_owned(), String::new()]);
}

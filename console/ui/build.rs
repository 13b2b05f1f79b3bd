//! Builds the front end with npm into `OUT_DIR` and writes the table of its files.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            println!("cargo::error={}", sentence.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let source = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let node = node_version()?;

    // One cargo process at a time: `npm ci` takes away the packages that another one may be building with.
    let lock = File::create(source.join(LOCK_FILE)).map_err(|error| format!("cannot write {LOCK_FILE}: {error}"))?;
    lock.lock().map_err(|error| format!("cannot lock {LOCK_FILE}: {error}"))?;
    install(&source, &node)?;
    let dist = out.join("dist");
    let dist_text = dist.to_str().ok_or("the target directory's path is not UTF-8")?;
    npm(&source, &["run", "build", "--", "--outDir", dist_text, "--emptyOutDir"], "the web front end was not built")?;
    drop(lock);

    if let Ok(bytes) = fs::read_to_string(dist.join(SIZE_FILE)) {
        println!("the console's scripts and styles are {bytes} bytes gzipped");
    }
    let table = table(&dist).map_err(|error| format!("cannot read the built front end: {error}"))?;
    fs::write(out.join("assets.rs"), table).map_err(|error| format!("cannot write the table of files: {error}"))?;
    // Last, so that a failure is told alone: cargo shows all that a failed script printed, and runs it again anyway.
    watch(&source)
}

/// Runs again only when a source changed. `lib.rs` is no input of npm.
fn watch(source: &Path) -> Result<(), String> {
    let mut inputs: Vec<PathBuf> = INPUTS.iter().map(|name| source.join(name)).collect();
    let entries = fs::read_dir(source.join("src")).map_err(|error| format!("cannot read src: {error}"))?;
    inputs.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.extension() != Some("rs".as_ref())));
    for input in inputs {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    Ok(())
}

/// The version of Node, or a sentence about what is missing.
fn node_version() -> Result<String, String> {
    let missing =
        format!("Node {NODE_OLDEST_TEXT} or newer with npm is needed to build the web console: https://nodejs.org");
    let output =
        Command::new("node").arg("--version").output().map_err(|_| format!("node was not found. {missing}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut parts = version.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if (major, minor) >= NODE_OLDEST => {}
        _ => return Err(format!("node {version} is too old. {missing}")),
    }
    let npm = Command::new(NPM).arg("--version").output();
    if !npm.is_ok_and(|output| output.status.success()) {
        return Err(format!("npm was not found. {missing}"));
    }
    Ok(version)
}

/// Installs the packages unless exactly these are there. The stamp is written last, so half an installation has none.
fn install(source: &Path, node: &str) -> Result<(), String> {
    let lock =
        fs::read_to_string(source.join("package-lock.json")).map_err(|error| format!("package-lock.json: {error}"))?;
    let wanted = format!("{node} {} {}\n{lock}", std::env::consts::OS, std::env::consts::ARCH);
    let stamp = source.join("node_modules").join(".belay-stamp");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    npm(
        source,
        &["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        "the web front end's packages were not installed",
    )?;
    fs::write(&stamp, wanted).map_err(|error| format!("cannot write {}: {error}", stamp.display()))
}

/// Runs npm and is silent when it succeeds.
fn npm(source: &Path, arguments: &[&str], failure: &str) -> Result<(), String> {
    let mut command = Command::new(NPM);
    command.args(arguments).current_dir(source).env("NO_UPDATE_NOTIFIER", "1").env("NO_COLOR", "1");
    // A developer's setting must not decide which front end is built.
    command.env_remove("NODE_ENV");
    let output = command.output().map_err(|error| format!("npm did not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    for line in String::from_utf8_lossy(&text).lines().filter(|line| !line.trim().is_empty()) {
        println!("cargo::warning={line}");
    }
    Err(format!("{failure}: `npm {}` failed in {}; its output is above", arguments.join(" "), source.display()))
}

/// The Rust source of the table of files, sorted by path.
fn table(dist: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    collect(dist, dist, &mut files)?;
    files.sort();
    let mut table = String::from("static ASSETS: &[Asset] = &[\n");
    for (path, file) in files {
        let mut hasher = DefaultHasher::new();
        fs::read(&file)?.hash(&mut hasher);
        let etag = format!("\"{:016x}\"", hasher.finish());
        let content_type =
            content_type(&path).ok_or_else(|| io::Error::other(format!("{path}: unknown kind of file")))?;
        let immutable = path.starts_with("assets/");
        let _ = writeln!(
            table,
            "    Asset {{ path: {path:?}, bytes: include_bytes!({file:?}), content_type: {content_type:?}, \
             etag: {etag:?}, immutable: {immutable} }},"
        );
    }
    table.push_str("];\n");
    Ok(table)
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.file_name() != Some(SIZE_FILE.as_ref()) {
            let below = path.strip_prefix(root).map_err(io::Error::other)?;
            let name = below.to_str().ok_or_else(|| io::Error::other("a name is not UTF-8"))?.replace('\\', "/");
            files.push((name, path));
        }
    }
    Ok(())
}

fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is not set: run this through cargo"))
}

/// What npm's result depends on, beside the files in `src`.
const INPUTS: [&str; 9] = [
    "build.rs",
    "index.html",
    "openapi.json",
    "package-lock.json",
    "package.json",
    "public",
    "scripts",
    "tsconfig.json",
    "vite.config.js",
];

/// Held while npm works. It stays, because a lock on a deleted file would be nobody's.
const LOCK_FILE: &str = ".npm.lock";

/// Left by the build for this script alone.
const SIZE_FILE: &str = "shell-size.txt";

/// What Vite needs.
const NODE_OLDEST: (u32, u32) = (20, 19);
const NODE_OLDEST_TEXT: &str = "20.19";

const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

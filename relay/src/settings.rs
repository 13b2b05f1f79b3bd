//! One set of names for flags, environment and file.
//!
//! An option `--idle-timeout` of a program is also the variable `BELAY_IDLE_TIMEOUT` and the key `idle-timeout` of its
//! TOML file. The command line wins over the environment, the environment over the file, the file over the default. A key
//! that no command of the program knows is refused by name.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::builder::OsStr;
use clap::{Arg, ArgAction, Command, Parser};

/// The option that names the file; programs do not declare it, [`parse`] adds it.
const CONFIG: &str = "config";

/// Bytes of a configuration file; a larger one is somebody's mistake.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Why the settings could not be used. Each message names the file and the key.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file that was asked for cannot be read.
    #[error("the configuration file {path} cannot be read: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not TOML: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what, in one line.
        message: String,
    },
    /// No option has this name.
    #[error("the configuration file {path} has the unknown key `{key}`{hint}", path = path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key as written.
        key: String,
        /// Empty, or a suggestion.
        hint: String,
    },
    /// The value is a table or a date, where text, a number, a yes or no, or a list of those is expected.
    #[error("the configuration file {path} has a value for `{key}` that is not text, number, true, false or a list", path = path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// The command line, or a value from elsewhere, does not fit; prints itself as clap does, with its exit code.
    #[error(transparent)]
    Usage(#[from] clap::Error),
}

impl SettingsError {
    /// Prints the error as a program does at its start and ends the process: 0 after `--help`, 2 otherwise.
    pub fn exit(self) -> ! {
        match self {
            Self::Usage(usage) => usage.exit(),
            other => clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{other}\n")).exit(),
        }
    }
}

/// Reads the settings of program `P` from `args` (program name first), the environment, and the TOML file named by
/// `--config`, by `BELAY_CONFIG`, or else `default_file` if it exists.
pub fn parse<P: Parser>(
    args: impl IntoIterator<Item = OsString>,
    default_file: Option<&Path>,
) -> Result<P, SettingsError> {
    parse_as(args, default_file, |command| command)
}

/// As [`parse`], with a command line that `shown` may word otherwise.
pub fn parse_as<P: Parser>(
    args: impl IntoIterator<Item = OsString>,
    default_file: Option<&Path>,
    shown: impl FnOnce(Command) -> Command,
) -> Result<P, SettingsError> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut command = with_environment(P::command()).arg(config_option());
    let named = named_file(&args).or_else(|| std::env::var_os("BELAY_CONFIG").map(PathBuf::from));
    let file = named.or_else(|| default_file.filter(|path| path.exists()).map(Path::to_owned));
    if let Some(path) = file {
        for (key, value) in read(&path)? {
            command = apply(command, &path, &key, &value)?;
        }
    }
    let mut command = shown(command);
    let mut matches = command.clone().try_get_matches_from(args)?;
    P::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command).into())
}

/// The option that every program has.
pub fn config_option() -> Arg {
    Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .global(true)
        .value_parser(clap::value_parser!(PathBuf))
        .help("Read settings from this TOML file; keys are the names of the options")
        .env("BELAY_CONFIG")
}

/// The value of `--config` on the command line, which must be known before the rest can be parsed.
fn named_file(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1).take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if arg == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = arg.to_str().and_then(|arg| arg.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    None
}

fn read(path: &Path) -> Result<toml::Table, SettingsError> {
    let file = |source| SettingsError::File { path: path.to_owned(), source };
    let mut text = String::new();
    // What a file says of its own length is not true of every file.
    fs::File::open(path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text)).map_err(file)?;
    if text.len() as u64 > FILE_MAX_BYTES {
        return Err(file(io::Error::other(format!("larger than {FILE_MAX_BYTES} bytes"))));
    }
    text.parse().map_err(|error: toml::de::Error| SettingsError::Syntax {
        path: path.to_owned(),
        message: error.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// Gives every option of every command its environment variable.
fn with_environment(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let Some(name) = arg.get_long().filter(|name| !RESERVED.contains(name)).map(environment_name) else {
            return arg;
        };
        let arg = arg.env(OsStr::from(name));
        if matches!(arg.get_action(), ArgAction::Append) { arg.value_delimiter(',') } else { arg }
    });
    command.mut_subcommands(with_environment)
}

const RESERVED: [&str; 3] = ["help", "version", CONFIG];

fn environment_name(long: &str) -> String {
    format!("BELAY_{}", long.to_ascii_uppercase().replace('-', "_"))
}

/// Makes `value` the default of the option `key` in every command that has it.
fn apply(command: Command, path: &Path, key: &str, value: &toml::Value) -> Result<Command, SettingsError> {
    let known = option_names(&command);
    if !known.iter().any(|name| name == key) {
        let nearest = known.iter().min_by_key(|name| edit_distance(name, key));
        let hint = nearest
            .filter(|name| edit_distance(name, key) <= 3)
            .map_or_else(|| format!("; known are {}", known.join(", ")), |name| format!("; did you mean `{name}`?"));
        return Err(SettingsError::UnknownKey { path: path.to_owned(), key: key.to_owned(), hint });
    }
    let wrong = || SettingsError::Value { path: path.to_owned(), key: key.to_owned() };
    let values = match value {
        toml::Value::Array(items) => items.iter().map(scalar).collect::<Option<Vec<_>>>().ok_or_else(wrong)?,
        single => vec![scalar(single).ok_or_else(wrong)?],
    };
    Ok(with_default(command, key, &values))
}

fn with_default(command: Command, key: &str, values: &[String]) -> Command {
    let command = command.mut_args(|arg| {
        if arg.get_long() != Some(key) {
            return arg;
        }
        arg.required(false).default_values(values.iter().cloned().map(OsStr::from))
    });
    command.mut_subcommands(|sub| with_default(sub, key, values))
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn option_names(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(Arg::get_long).filter(|name| !RESERVED.contains(name));
    let mut names: Vec<String> = own.map(str::to_owned).collect();
    names.extend(command.get_subcommands().flat_map(option_names));
    names.sort();
    names.dedup();
    names
}

/// Levenshtein's distance between two short names.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Subcommand};

    use super::*;

    #[derive(Debug, Parser)]
    struct Sample {
        #[arg(long, global = true, default_value = "text")]
        log_format: String,
        #[command(subcommand)]
        command: SampleCommand,
    }

    #[derive(Debug, Subcommand)]
    enum SampleCommand {
        Serve {
            #[arg(long, default_value = "./sample-data")]
            data_sample: PathBuf,
            #[arg(long)]
            upstream_sample: Vec<String>,
            #[arg(long)]
            open_sample: bool,
            #[arg(long)]
            must_sample: u16,
        },
    }

    fn from(toml: &str, args: &[&str]) -> Result<Sample, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("belay.toml");
        fs::write(&path, toml).unwrap();
        let mut all: Vec<OsString> = vec!["sample".into(), "--config".into(), path.into()];
        all.extend(args.iter().map(OsString::from));
        parse(all, None)
    }

    #[test]
    fn the_file_fills_what_the_command_line_leaves_out() {
        let toml = "data-sample = '/x'\nupstream-sample = ['a', 'b']\nopen-sample = true\nmust-sample = 7\nlog-format = 'json'";
        let sample = from(toml, &["serve"]).unwrap();
        let SampleCommand::Serve { data_sample, upstream_sample, open_sample, must_sample } = sample.command;
        assert_eq!(sample.log_format, "json");
        assert_eq!((data_sample, upstream_sample), (PathBuf::from("/x"), vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!((open_sample, must_sample), (true, 7));
        let sample = from(toml, &["serve", "--data-sample", "/y", "--upstream-sample", "c"]).unwrap();
        let SampleCommand::Serve { data_sample, upstream_sample, .. } = sample.command;
        assert_eq!((data_sample, upstream_sample), (PathBuf::from("/y"), vec!["c".to_owned()]));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = from("must-sampel = 7", &["serve"]).unwrap_err().to_string();
        assert!(error.contains("`must-sampel`") && error.contains("did you mean `must-sample`"), "{error}");
        let error = from("config = 'x'", &["serve"]).unwrap_err().to_string();
        assert!(error.contains("unknown key `config`"), "{error}");
    }

    #[test]
    fn wrong_values_and_wrong_toml_are_named() {
        assert!(matches!(from("must-sample = 70000", &["serve"]), Err(SettingsError::Usage(_))));
        assert!(matches!(from("must-sample = {a = 1}", &["serve"]), Err(SettingsError::Value { .. })));
        assert!(matches!(from("must-sample = ", &["serve"]), Err(SettingsError::Syntax { .. })));
        let args = ["sample", "serve", "--config", "/nonexistent/belay.toml"].map(OsString::from);
        assert!(matches!(parse::<Sample>(args, None), Err(SettingsError::File { .. })));
    }

    #[test]
    fn every_option_has_its_variable() {
        let command = with_environment(Sample::command());
        let serve = command.find_subcommand("serve").unwrap();
        let variable =
            |id: &str| serve.get_arguments().find(|a| a.get_id() == id).unwrap().get_env().unwrap().to_owned();
        assert_eq!(variable("must_sample"), "BELAY_MUST_SAMPLE");
        assert_eq!(variable("open_sample"), "BELAY_OPEN_SAMPLE");
    }
}

//! `belay-console rules`: signing, publishing, listing, and judging stored reports again.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use belay_protocol::rules::{PACK_MAX_BYTES, PackRefusal};
use belay_protocol::signed_pack::PackProof;
use belay_protocol::{DeviceKey, Language};

use super::{Place, print, text};
use crate::clock::Clock;
use crate::data::DataDirectory;
use crate::local::LocalRequest;
use crate::number::TicketNumber;
use crate::rules::try_out;

#[derive(Debug, Subcommand)]
pub(super) enum Rules {
    /// Sign a rule pack with the key that the organization key has named for it; writes FILE.sig
    #[command(after_help = "Example:\n  belay-console rules sign our-rules.toml")]
    Sign {
        #[command(flatten)]
        place: Place,
        /// The pack, a TOML file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish a rule pack to the devices that come from now on; signs it unless FILE.sig is there
    #[command(after_help = "Example:\n  belay-console rules publish our-rules.toml")]
    Publish {
        #[command(flatten)]
        place: Place,
        /// The pack, a TOML file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the published rule packs
    #[command(after_help = "Example:\n  belay-console rules list --json")]
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Judge stored reports again and show what would change; changes nothing
    #[command(
        after_help = "Example:\n  belay-console rules rerun --pack our-rules.toml --ticket BL-10001-4\n\nWithout --pack by the newest published pack. The newest 200 reports are judged."
    )]
    Rerun {
        #[command(flatten)]
        place: Place,
        /// The pack, a TOML file, signed or not
        #[arg(long, value_name = "FILE")]
        pack: Option<PathBuf>,
        /// Only reports of the device with this key
        #[arg(long, value_name = "KEY", conflicts_with = "ticket")]
        device: Option<DeviceKey>,
        /// Only reports of this ticket
        #[arg(long, value_name = "NUMBER")]
        ticket: Option<TicketNumber>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Rules {
    pub(super) async fn run(self, language: Language) -> anyhow::Result<()> {
        match self {
            Self::Sign { place, file, json } => {
                let signed = sign(&place, &file, &read(&file)?)?;
                let (path, proof) = signed;
                let told = json!({ "signature": path, "signer": proof.delegation.signer.to_string() });
                print(json, &told, || text::pack_signed(&told, language))
            }
            Self::Publish { place, file, json: as_json } => {
                let pack = read(&file)?;
                let path = signature_path(&file);
                let proof: PackProof = match fs_err::read(&path) {
                    Ok(bytes) => serde_json::from_slice(&bytes)
                        .with_context(|| format!("{} is not what `rules sign` writes", path.display()))?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => sign(&place, &file, &pack)?.1,
                    Err(error) => return Err(error.into()),
                };
                let body = json!({ "text": pack, "proof": proof });
                let publish = LocalRequest::new(Method::POST, "/api/v1/rules", Some(body));
                let published = place.ask(&[publish]).await?.remove(0);
                print(as_json, &published, || text::pack_published(&published, language))
            }
            Self::List { place, json } => {
                let list = LocalRequest::new(Method::GET, "/api/v1/rules", None);
                let packs = place.ask(&[list]).await?.remove(0)["items"].take();
                print(json, &packs, || text::packs(&packs, language))
            }
            Self::Rerun { place, pack, device, ticket, json: as_json } => {
                let pack = pack.as_deref().map(read).transpose()?;
                let mut body = json!({});
                let device = device.map(|device| device.to_string());
                let ticket = ticket.map(|ticket| ticket.to_string());
                for (name, value) in [("text", pack), ("device", device), ("ticket", ticket)] {
                    if let Some(value) = value {
                        body[name] = Value::String(value);
                    }
                }
                let rerun = LocalRequest::new(Method::POST, "/api/v1/rules/rerun", Some(body));
                let reran = place.ask(&[rerun]).await?.remove(0);
                print(as_json, &reran, || text::reran(&reran, language))
            }
        }
    }
}

/// Signs a pack that holds its own rows, and writes the signature beside it.
fn sign(place: &Place, file: &Path, pack: &str) -> anyhow::Result<(PathBuf, PackProof)> {
    try_out(pack).with_context(|| format!("{} is not signed", file.display()))?;
    let signer = DataDirectory::at(&place.data).rules_signer(Clock::System.now())?;
    let (path, proof) = (signature_path(file), signer.sign(pack));
    fs_err::write(&path, serde_json::to_vec_pretty(&proof)?)?;
    Ok((path, proof))
}

fn signature_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

fn read(path: &Path) -> anyhow::Result<String> {
    // Looked at first: what is not a pack may be as large as a disk.
    if fs_err::metadata(path)?.len() > PACK_MAX_BYTES as u64 {
        bail!("{}: {}", path.display(), PackRefusal::TooLarge);
    }
    Ok(fs_err::read_to_string(path)?)
}

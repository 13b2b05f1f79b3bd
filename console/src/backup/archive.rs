//! The file itself: tar inside gzip inside age. Blocking, for a thread of its own.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::{EntrySum, Recipient};
use crate::secret::sha256;

/// Writes entries one after the other.
pub(super) struct ArchiveWriter<W: Write> {
    tar: tar::Builder<GzEncoder<age::stream::StreamWriter<W>>>,
    entries: BTreeMap<String, EntrySum>,
    made_at: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive that these recipients can read. `made_at` is in seconds since 1970.
    pub(super) fn begin(sink: W, recipients: &[Recipient], made_at: u64) -> io::Result<Self> {
        let keys = recipients.iter().map(|recipient| &recipient.key as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(keys).map_err(io::Error::other)?;
        let gzip = GzEncoder::new(encryptor.wrap_output(sink)?, Compression::fast());
        Ok(Self { tar: tar::Builder::new(gzip), entries: BTreeMap::new(), made_at })
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(self.made_at);
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, name, content)?;
        self.entries.insert(name.to_owned(), sum(content));
        Ok(())
    }

    /// Adds an entry whatever its name is.
    #[cfg(test)]
    pub(super) fn add_unchecked(&mut self, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.tar.append(&header, content).unwrap();
        self.entries.insert(name.to_owned(), sum(content));
    }

    /// The entries so far.
    pub(super) fn entries(&self) -> &BTreeMap<String, EntrySum> {
        &self.entries
    }

    /// Ends the archive: what is written without this is refused as cut off.
    pub(super) fn end(self) -> io::Result<W> {
        let mut sink = self.tar.into_inner()?.finish()?.finish()?;
        sink.flush()?;
        Ok(sink)
    }
}

/// Size and hash of an entry's content.
pub(super) fn sum(content: &[u8]) -> EntrySum {
    let sha256 = data_encoding::HEXLOWER.encode(&sha256(content));
    EntrySum { bytes: content.len() as u64, sha256 }
}

/// Reads entries one after the other; stops when `each` answers false.
pub(super) fn read<R: Read>(
    source: R,
    identities: &[Box<dyn age::Identity + Send + Sync>],
    mut each: impl FnMut(String, Vec<u8>) -> bool,
) -> Result<(), ReadError> {
    let decryptor = age::Decryptor::new_buffered(BufReader::new(source))?;
    if decryptor.is_scrypt() {
        return Err(ReadError::Decrypt(age::DecryptError::NoMatchingKeys));
    }
    let plain = decryptor.decrypt(identities.iter().map(|identity| identity.as_ref() as &dyn age::Identity))?;
    let mut archive = tar::Archive::new(GzDecoder::new(plain));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_str().map(str::to_owned).ok_or(ReadError::Foreign)?;
        if entry.header().entry_type() != tar::EntryType::Regular || entry.size() > ENTRY_MAX_BYTES {
            return Err(ReadError::Foreign);
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if !each(name, content) {
            return Ok(());
        }
    }
    // age marks the last part of its stream: what was cut off after the archive's end is found by reading on to it.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

/// A file is not a backup that can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Decrypt(#[from] age::DecryptError),
    #[error(transparent)]
    File(#[from] io::Error),
    #[error("it holds something that no backup holds")]
    Foreign,
}

/// Bytes of one entry: the manifest of a million blobs is the longest.
const ENTRY_MAX_BYTES: u64 = 256 * 1024 * 1024;

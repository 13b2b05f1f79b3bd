//! Bytes beside the database, named by what they are: the same ones are kept once.

use bytes::Bytes;
use object_store::path::Path as BlobPath;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions};

use super::{Store, StoreError};
use crate::secret::{same, sha256};

/// Bytes that are stored.
pub(super) struct Blob {
    pub(super) name: String,
    pub(super) sha256: [u8; 32],
    pub(super) size_bytes: i64,
}

impl Store {
    /// Stores bytes of which the caller knows the hash.
    pub(super) async fn put_blob(&self, bytes: Bytes, sha256: [u8; 32]) -> Result<Blob, StoreError> {
        let hex = data_encoding::HEXLOWER.encode(&sha256);
        let size_bytes = bytes.len() as i64;
        let name = format!("{}/{hex}", &hex[..2]);
        // Replaced as a whole by a rename, so that a blob left half-written by a crash is mended by filing it again.
        let options = PutOptions { mode: PutMode::Overwrite, ..Default::default() };
        self.inner.blobs.put_opts(&BlobPath::from(name.as_str()), bytes.into(), options).await?;
        Ok(Blob { name, sha256, size_bytes })
    }

    /// The bytes of this name; nothing when they are gone, or are not those that were filed under it.
    pub(crate) async fn blob_as_filed(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let bytes = match self.inner.blobs.get(&BlobPath::from(name)).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let hex = data_encoding::HEXLOWER.encode(&sha256(&bytes));
        Ok(name.ends_with(&hex).then_some(bytes))
    }

    /// The bytes of this name; nothing when they are not those that were stored.
    pub(super) async fn read_blob(&self, name: &str, hash: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let bytes = self.inner.blobs.get(&BlobPath::from(name)).await?.bytes().await?;
        Ok(same(&sha256(&bytes), hash).then_some(bytes))
    }
}

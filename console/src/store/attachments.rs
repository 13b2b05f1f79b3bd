//! Files on tickets: their rows here, their bytes beside the database.

use bytes::Bytes;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};
use serde_json::json;

use super::entity::attachment;
use super::tickets::{find, subject};
use super::{Actor, Attachment, AttachmentId, EventKind, NewAttachment, Store, StoreError, life};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::secret::{same, sha256};
use crate::ticket::TicketState;

/// Why a file was not put on a ticket.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// What is merged goes on elsewhere.
    #[error("the ticket goes on in another one: put the file there")]
    Merged,
    /// A ticket does not need more.
    #[error("a ticket has at most {ATTACHMENTS_MAX} files")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for AttachError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Puts a file on a ticket. The same one by the same name is there once.
    pub async fn attach(
        &self,
        actor: &Actor,
        number: TicketNumber,
        new: NewAttachment,
    ) -> Result<Attachment, AttachError> {
        // Before the bytes are written, so that a wrong number costs no disk.
        find(self.reader(), number).await?.ok_or(AttachError::NoTicket)?;
        let hash = sha256(&new.bytes);
        let blob = self.put_blob(new.bytes, hash).await?;
        let mut write = self.write(actor).await?;
        let ticket = find(&write.tx, number).await?.ok_or(AttachError::NoTicket)?;
        if ticket.state == TicketState::Merged {
            return Err(AttachError::Merged);
        }
        let known = attachment::Entity::find().filter(attachment::Column::TicketId.eq(ticket.id));
        let known = known.all(&write.tx).await?;
        let is_same = |row: &&attachment::Model| {
            same(&row.sha256, &hash) && row.name == new.name.as_str() && row.visibility == new.visibility
        };
        if let Some(known) = known.iter().find(is_same) {
            return Ok(known.clone().into());
        }
        if known.len() >= ATTACHMENTS_MAX {
            return Err(AttachError::TooMany);
        }
        let row = attachment::ActiveModel {
            ticket_id: Set(ticket.id),
            name: Set(new.name.into_string()),
            media_type: Set(new.media_type.to_owned()),
            visibility: Set(new.visibility),
            size_bytes: Set(blob.size_bytes),
            sha256: Set(blob.sha256.to_vec()),
            blob: Set(blob.name),
            added_by: Set(write.actor().to_string()),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        let details = json!({ "attachment": row.id, "name": row.name, "visibility": row.visibility });
        write.event(&ticket, EventKind::AttachmentAdded, details).await?;
        // A name may be a person's; the audit says which file by its id.
        let details = json!({ "attachment": row.id, "size_bytes": row.size_bytes, "visibility": row.visibility });
        write.audit("attachment.add", subject(&ticket), details).await?;
        life::touch(&mut write, ticket).await?;
        write.commit().await?;
        Ok(row.into())
    }

    /// The files of a ticket, oldest first.
    pub async fn list_attachments(&self, number: TicketNumber) -> Result<Vec<Attachment>, StoreError> {
        let Some(ticket) = find(self.reader(), number).await? else { return Ok(Vec::new()) };
        let rows = attachment::Entity::find().filter(attachment::Column::TicketId.eq(ticket.id));
        let rows = rows.order_by_asc(attachment::Column::Id).all(self.reader()).await?;
        Ok(rows.into_iter().map(Attachment::from).collect())
    }

    /// A file with its bytes, checked against their hash.
    pub async fn attachment(&self, id: AttachmentId) -> Result<Option<(Attachment, Bytes)>, StoreError> {
        let Some(row) = attachment::Entity::find_by_id(id.0).one(self.reader()).await? else { return Ok(None) };
        let bytes = self.read_blob(&row.blob, &row.sha256).await?;
        let bytes = bytes.ok_or_else(|| StoreError::Unreadable(format!("the bytes of attachment {id}")))?;
        Ok(Some((row.into(), bytes)))
    }
}

impl From<attachment::Model> for Attachment {
    fn from(row: attachment::Model) -> Self {
        Self {
            id: AttachmentId(row.id),
            name: row.name,
            media_type: row.media_type,
            visibility: row.visibility,
            size_bytes: row.size_bytes,
            sha256: data_encoding::HEXLOWER.encode(&row.sha256),
            added_by: row.added_by,
            created_at_ms: UnixMillis(row.created_at),
        }
    }
}

/// Files of one ticket.
pub(super) const ATTACHMENTS_MAX: usize = 50;

//! Devices that are shut out: by whom, since when, why, and how they came back.
//!
//! A revocation and the end of the device's sessions are one change. It is lifted and never deleted.

use std::collections::BTreeSet;

use sea_orm::sea_query::Query;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _,
};
use serde_json::json;
use tokio::sync::watch;

use belay_protocol::DeviceKey;

use super::entity::{device, revocation, session};
use super::write::Write;
use super::{
    Actor, Device, DeviceId, EndReason, Line, Once, OnceError, Revocation, SessionState, Store, StoreError, sessions,
};
use crate::clock::UnixMillis;

/// Why a device was not revoked or restored.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There is no such device.
    #[error("there is no such device")]
    NoDevice,
    /// The request's key was used for another.
    #[error(transparent)]
    Once(#[from] OnceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for RevokeError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Shuts a device out and ends its sessions. A device that is shut out already stays so, for the first reason.
    pub async fn revoke_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        reason: &Line,
        once: Option<&Once>,
    ) -> Result<Device, RevokeError> {
        self.change_revocation(actor, id, once, async |write, device| {
            if live_revocation(&write.tx, device).await?.is_some() {
                return Ok(());
            }
            let row = revocation::ActiveModel {
                device_id: Set(device),
                live_device_id: Set(Some(device)),
                reason: Set(reason.as_str().to_owned()),
                revoked_by: Set(write.actor().to_string()),
                revoked_at: Set(write.now.0),
                ..Default::default()
            };
            revocation::Entity::insert(row).exec_without_returning(&write.tx).await?;
            write.audit("device.revoke", subject(device), json!({ "reason": reason.as_str() })).await?;
            write.changes_revocations();
            let of_device = session::Entity::find().filter(session::Column::DeviceId.eq(device));
            let running = of_device.filter(session::Column::State.ne(SessionState::Ended));
            for session in running.all(&write.tx).await? {
                sessions::end_row(write, session, EndReason::Technician).await?;
            }
            Ok(())
        })
        .await
    }

    /// Lets a device in again, with a new code. Nothing happens to one that is not shut out.
    pub async fn restore_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        once: Option<&Once>,
    ) -> Result<Device, RevokeError> {
        self.change_revocation(actor, id, once, async |write, device| {
            let Some(live) = live_revocation(&write.tx, device).await? else { return Ok(()) };
            let mut row = live.into_active_model();
            row.live_device_id = Set(None);
            row.restored_by = Set(Some(write.actor().to_string()));
            row.restored_at = Set(Some(write.now.0));
            row.update(&write.tx).await?;
            write.audit("device.restore", subject(device), json!({})).await?;
            write.changes_revocations();
            Ok(())
        })
        .await
    }

    async fn change_revocation(
        &self,
        actor: &Actor,
        id: DeviceId,
        once: Option<&Once>,
        change: impl AsyncFnOnce(&mut Write, i64) -> Result<(), StoreError>,
    ) -> Result<Device, RevokeError> {
        let mut write = self.write(actor).await?;
        if let Some(once) = once
            && let Some(answered) = self.recall::<Device>(&write, once).await?
        {
            return Ok(answered?);
        }
        let row = device::Entity::find_by_id(id.0).one(&write.tx).await?.ok_or(RevokeError::NoDevice)?;
        change(&mut write, row.id).await?;
        let device = sessions::assemble_device(&write.tx, row).await?;
        if let Some(once) = once {
            self.remember(&write, once, &device).await?;
        }
        write.commit().await?;
        Ok(device)
    }

    /// The keys of all devices that are shut out.
    pub async fn revoked_devices(&self) -> Result<BTreeSet<DeviceKey>, StoreError> {
        let revoked = Query::select()
            .column(revocation::Column::LiveDeviceId)
            .from(revocation::Entity)
            .and_where(revocation::Column::LiveDeviceId.is_not_null())
            .to_owned();
        let devices = device::Entity::find().filter(device::Column::Id.in_subquery(revoked));
        let devices = devices.all(self.reader()).await?;
        let key = |device: device::Model| {
            let unreadable = StoreError::Unreadable(format!("device {}", device.id));
            device.key.try_into().map(DeviceKey).map_err(|_| unreadable)
        };
        devices.into_iter().map(key).collect()
    }

    /// Changes whenever a device was revoked or restored through this store.
    pub fn revocations(&self) -> watch::Receiver<()> {
        self.inner.revocations.subscribe()
    }
}

/// Says whether the device with this key is shut out.
pub(super) async fn is_revoked(db: &impl ConnectionTrait, key: &DeviceKey) -> Result<bool, DbErr> {
    let known = device::Entity::find().filter(device::Column::Key.eq(key.0.to_vec())).one(db).await?;
    match known {
        Some(device) => Ok(live_revocation(db, device.id).await?.is_some()),
        None => Ok(false),
    }
}

/// The revocation in force, as the desk shows it.
pub(super) async fn shown(db: &impl ConnectionTrait, device: i64) -> Result<Option<Revocation>, DbErr> {
    let live = live_revocation(db, device).await?;
    Ok(live.map(|row| Revocation { at_ms: UnixMillis(row.revoked_at), by: row.revoked_by, reason: row.reason }))
}

pub(super) async fn live_revocation(
    db: &impl ConnectionTrait,
    device: i64,
) -> Result<Option<revocation::Model>, DbErr> {
    revocation::Entity::find().filter(revocation::Column::LiveDeviceId.eq(device)).one(db).await
}

fn subject(device: i64) -> String {
    format!("device:{device}")
}

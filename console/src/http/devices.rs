//! Known machines, and shutting one out.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named, Paging, Params, once};
use super::tickets::not_blank;
use super::{Api, Page};
use crate::store::{Device, DeviceId, Line, OrganizationId};

/// Why a device is to be shut out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeDevice {
    /// One line for whoever wonders later.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    reason: Line,
}

/// Which devices.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// The id of the company.
    organization: Option<OrganizationId>,
}

/// Lists the known devices, newest first.
#[utoipa::path(get, path = "/api/v1/devices", operation_id = "devices", tag = "devices", params(Filter, Paging),
    responses((status = 200, body = Page<Device>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Params(filter): Params<Filter>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Device>>, Problem> {
    let (limit, before) = (paging.limit()?, paging.id()?.map(DeviceId));
    let devices = api.store.list_devices(filter.organization, before, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(devices, limit, |device| device.id.0)))
}

/// Shows a device.
#[utoipa::path(get, path = "/api/v1/devices/{id}", operation_id = "device", tag = "devices",
    params(("id" = i64, Path)),
    responses((status = 200, body = Device), (status = 404, body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, Named(id): Named<i64>) -> Result<Answer<Device>, Problem> {
    api.store.device(DeviceId(id)).await?.map(Answer).ok_or_else(Problem::not_found)
}

/// Shuts a device out: its sessions end, no code of it is good, and no relay connects it any more. A device that is shut
/// out already stays so, for the first reason.
#[utoipa::path(post, path = "/api/v1/devices/{id}/revoke", operation_id = "revoke_device", tag = "devices",
    request_body = RevokeDevice,
    params(("id" = i64, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 200, body = Device), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn revoke(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    headers: HeaderMap,
    Json { value, bytes }: Json<RevokeDevice>,
) -> Result<Answer<Device>, Problem> {
    not_blank("reason", Some(&value.reason))?;
    let once = once(&headers, &caller.actor, &format!("devices/{id}/revoke"), &bytes)?;
    Ok(Answer(api.store.revoke_device(&caller.actor, DeviceId(id), &value.reason, once.as_ref()).await?))
}

/// Lets a device that was shut out in again. Its customer needs a new code.
#[utoipa::path(post, path = "/api/v1/devices/{id}/restore", operation_id = "restore_device", tag = "devices",
    params(("id" = i64, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    responses((status = 200, body = Device), (status = 404, body = Problem)))]
pub(crate) async fn restore(
    State(api): State<Api>,
    Named(id): Named<i64>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer<Device>, Problem> {
    let once = once(&headers, &caller.actor, &format!("devices/{id}/restore"), b"")?;
    Ok(Answer(api.store.restore_device(&caller.actor, DeviceId(id), once.as_ref()).await?))
}

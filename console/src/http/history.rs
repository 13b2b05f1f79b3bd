//! A device's reports over time, and what changed between two of them.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use belay_protocol::report::Report as Facts;

use super::problem::Problem;
use super::request::{Named, Paging, Params};
use super::work::unreadable;
use super::{Api, Page, rules};
use crate::changes::Changes;
use crate::series::{Figures, SERIES_MAX_REPORTS, Series};
use crate::store::{DeviceId, Report, StoredReportId};

/// Lists the reports of a device with their findings, newest first.
#[utoipa::path(get, path = "/api/v1/devices/{id}/reports", operation_id = "reports_of_device", tag = "devices",
    params(("id" = i64, Path), Paging),
    responses((status = 200, body = Page<Report>), (status = 404, body = Problem)))]
pub(crate) async fn reports_of_device(
    State(api): State<Api>,
    Named(id): Named<i64>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Report>>, Problem> {
    let device = known(&api, id).await?;
    let (limit, before) = (paging.limit()?, paging.id()?.map(StoredReportId));
    let reports = api.store.list_reports_of_device(device, before, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(reports, limit, |report| report.id.0)))
}

/// Shows the figures of a device's newest 200 reports over time: how full disks and memory were, the load, and the way to
/// the relay. A value that a report does not say is missing, never zero.
#[utoipa::path(get, path = "/api/v1/devices/{id}/series", operation_id = "series_of_device", tag = "devices",
    params(("id" = i64, Path)),
    responses((status = 200, body = Series), (status = 404, body = Problem)))]
pub(crate) async fn series(State(api): State<Api>, Named(id): Named<i64>) -> Result<Answer<Series>, Problem> {
    let device = known(&api, id).await?;
    let mut heads = api.store.report_heads(device, SERIES_MAX_REPORTS + 1).await?;
    let more = heads.len() as u64 > SERIES_MAX_REPORTS;
    heads.truncate(SERIES_MAX_REPORTS as usize);
    let mut reports = Vec::with_capacity(heads.len());
    for head in heads {
        // A report that is gone or damaged is a gap: the others still have their say.
        let bytes = match api.store.report_bytes(head.id).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(report = %head.id, %error, "a report cannot be read");
                None
            }
        };
        // Decoding takes milliseconds, and two hundred times that would hold up everybody's requests.
        let reading = tokio::task::spawn_blocking(move || Some(Figures::of(&Facts::decode(&bytes?).ok()?)));
        reports.push((head, reading.await.ok().flatten()));
    }
    let pack = rules::in_use(&api).await?;
    Ok(Answer(Series::of(reports, more, &pack)))
}

/// Which report to compare with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// The id of an earlier report of the same device.
    since: i64,
}

/// Shows what changed from an earlier report of the same device to this one: findings, and at most 500 facts.
#[utoipa::path(get, path = "/api/v1/reports/{id}/changes", operation_id = "changes_of_report", tag = "reports",
    params(("id" = i64, Path), Since),
    responses((status = 200, body = Changes), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn changes(
    State(api): State<Api>,
    Named(id): Named<i64>,
    Params(Since { since }): Params<Since>,
) -> Result<Answer<Changes>, Problem> {
    let (report, facts) = read(&api, id).await?.ok_or_else(Problem::not_found)?;
    let no_such = || Problem::field("since", "since is not a report of the same device.");
    let (earlier, earlier_facts) = read(&api, since).await?.ok_or_else(no_such)?;
    if earlier.device != report.device {
        return Err(no_such());
    }
    let compared = tokio::task::spawn_blocking(move || Changes::between((&earlier, &earlier_facts), (&report, &facts)));
    compared.await.map(Answer).map_err(|error| {
        tracing::error!(%error, "two reports could not be compared");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "comparing_failed", "The reports could not be compared.")
    })
}

/// A report with its facts; nothing when there is none.
async fn read(api: &Api, id: i64) -> Result<Option<(Report, Facts)>, Problem> {
    let id = StoredReportId(id);
    let (Some(report), Some(bytes)) = (api.store.report(id).await?, api.store.report_bytes(id).await?) else {
        return Ok(None);
    };
    let facts = Facts::decode(&bytes).map_err(|error| unreadable(&error))?;
    Ok(Some((report, facts)))
}

async fn known(api: &Api, id: i64) -> Result<DeviceId, Problem> {
    api.store.device(DeviceId(id)).await?.map(|device| device.id).ok_or_else(Problem::not_found)
}

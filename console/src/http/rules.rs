//! Rule packs: what is published, publishing, and judging stored reports again.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use belay_protocol::DeviceKey;
use belay_protocol::report::Report as Facts;
use belay_protocol::rules::{Pack, PackRefusal, Standing};
use belay_protocol::signed_pack::PackProof;

use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named};
use super::{Api, tickets};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::rules::{self, Difference};
use crate::store::{DeviceId, NewPack, PublishError, PublishedPack, StoredReportId};

/// A pack that the desk has published.
#[derive(Serialize, ToSchema)]
pub(crate) struct PackView {
    /// Its name.
    id: String,
    /// Its version.
    version: u32,
    /// The key that signed it.
    signer: String,
    /// Until when devices take it over; what they have they keep.
    offered_until_ms: UnixMillis,
    /// Who published it.
    published_by: String,
    /// When.
    published_at_ms: UnixMillis,
    /// Bytes of its file.
    size_bytes: usize,
}

impl From<PublishedPack> for PackView {
    fn from(pack: PublishedPack) -> Self {
        Self {
            id: pack.pack.id.to_string(),
            version: pack.pack.version,
            signer: pack.proof.delegation.signer.to_string(),
            offered_until_ms: UnixMillis(pack.proof.delegation.not_after_unix_ms),
            published_by: pack.by,
            published_at_ms: pack.at_ms,
            size_bytes: pack.text.len(),
        }
    }
}

/// The packs of the desk.
#[derive(Serialize, ToSchema)]
pub(crate) struct PackList {
    /// Newest first.
    items: Vec<PackView>,
}

/// Lists the published rule packs, newest first.
#[utoipa::path(get, path = "/api/v1/rules", operation_id = "rules", tag = "rules",
    responses((status = 200, body = PackList)))]
pub(crate) async fn list(State(api): State<Api>) -> Result<Answer<PackList>, Problem> {
    let packs = api.store.list_packs(LISTED_PACKS).await?;
    Ok(Answer(PackList { items: packs.into_iter().map(PackView::from).collect() }))
}

const LISTED_PACKS: u64 = 100;

/// A pack with the organization's word for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishPack {
    /// The pack's file.
    text: String,
    /// What `belay-console rules sign` has written.
    #[schema(value_type = serde_json::Value)]
    proof: PackProof,
}

/// Publishes a rule pack: devices that come from now on are offered it. It must be signed by this organization, be newer
/// than what is published, and its own test rows must hold.
#[utoipa::path(post, path = "/api/v1/rules", operation_id = "publish_rules", tag = "rules", request_body = PublishPack,
    responses((status = 201, body = PackView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn publish(
    State(api): State<Api>,
    caller: Caller,
    Json { value, .. }: Json<PublishPack>,
) -> Result<(StatusCode, Answer<PackView>), Problem> {
    let published = api.store.newest_pack(Pack::base().pack_id().id.as_str()).await?;
    let (published, now) = (published.map(|published| published.pack), api.store.clock().now());
    let pack = rules::check(&value.text, value.proof, &api.profile.organization, published, now)?;
    let new = NewPack { pack, text: value.text, proof: value.proof };
    let published = api.store.publish_pack(&caller.actor, new).await?;
    Ok((StatusCode::CREATED, Answer(published.into())))
}

/// Which reports to judge again, and by what.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rerun {
    /// A pack's file, signed or not; without it the newest published one, or the one that comes with the console.
    text: Option<String>,
    /// Only reports of this device.
    #[schema(value_type = Option<String>)]
    device: Option<String>,
    /// Only reports of this ticket.
    #[schema(value_type = Option<String>)]
    ticket: Option<TicketNumber>,
}

/// What the rules would say.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reran {
    /// The pack's name.
    pack: String,
    /// Its version.
    version: u32,
    /// How many reports were judged, the newest of those asked for.
    judged: usize,
    /// How many older ones were left out is not counted; whether there are any.
    more: bool,
    /// Reports that this console cannot read.
    unreadable: Vec<StoredReportId>,
    /// Reports about which the rules would say something else, oldest first.
    different: Vec<DifferentReport>,
}

/// A report about which the rules would say something else.
#[derive(Serialize, ToSchema)]
pub(crate) struct DifferentReport {
    /// The report.
    report: StoredReportId,
    /// Its device.
    device: DeviceId,
    /// When it came.
    received_at_ms: UnixMillis,
    /// What would be different.
    #[serde(flatten)]
    difference: Difference,
}

/// Judges the newest stored reports again and says what would change. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/rules/rerun", operation_id = "rerun_rules", tag = "rules", request_body = Rerun,
    responses((status = 200, body = Reran), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn rerun(State(api): State<Api>, Json { value, .. }: Json<Rerun>) -> Result<Answer<Reran>, Problem> {
    if let Some(ticket) = value.ticket {
        tickets::known(&api, ticket).await?;
    }
    let device = value.device.as_deref().map(str::parse::<DeviceKey>).transpose();
    let device = device.map_err(|error| Problem::field("device", error.to_string()))?;
    let pack = match value.text {
        Some(text) => Arc::new(Pack::parse(&text).map_err(PackRefusal::from)?),
        None => in_use(&api).await?,
    };
    let mut reports = api.store.reports_to_judge(value.ticket, device.as_ref(), RERUN_MAX + 1).await?;
    let more = reports.len() as u64 > RERUN_MAX;
    reports.truncate(RERUN_MAX as usize);
    let id = pack.pack_id();
    let mut reran = Reran {
        pack: id.id.to_string(),
        version: id.version,
        judged: 0,
        more,
        unreadable: Vec::new(),
        different: Vec::new(),
    };
    let mut standings: BTreeMap<DeviceId, Standing> = BTreeMap::new();
    for (report, device, received_at_ms) in reports.into_iter().rev() {
        let facts = api.store.report_bytes(report).await?.and_then(|bytes| Facts::decode(&bytes).ok());
        let Some(facts) = facts else {
            reran.unreadable.push(report);
            continue;
        };
        reran.judged += 1;
        let (pack, mut standing) = (Arc::clone(&pack), standings.remove(&device).unwrap_or_default());
        let judged = tokio::task::spawn_blocking(move || {
            let difference = rules::rejudge(&pack, &facts, &mut standing);
            (difference, standing)
        });
        let (difference, standing) = judged.await.map_err(|error| {
            tracing::error!(%error, "a report could not be judged again");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "judging_failed", "A report could not be judged again.")
        })?;
        standings.insert(device, standing);
        if !difference.is_empty() {
            reran.different.push(DifferentReport { report, device, received_at_ms, difference });
        }
    }
    Ok(Answer(reran))
}

/// A section of the rules' documentation.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocsView {
    /// Its heading in English.
    title_en: String,
    /// Its heading in Chinese.
    title_zh: String,
    /// What is behind the findings, how to see it, and what helps for good; in English.
    text_en: String,
    /// The same in Chinese.
    text_zh: String,
}

/// Shows a section of the rules' documentation, which findings name.
#[utoipa::path(get, path = "/api/v1/rules/docs/{id}", operation_id = "rule_docs", tag = "rules",
    params(("id" = String, Path)),
    responses((status = 200, body = DocsView), (status = 404, body = Problem)))]
pub(crate) async fn docs(State(api): State<Api>, Named(id): Named<String>) -> Result<Answer<DocsView>, Problem> {
    let pack = in_use(&api).await?;
    // A desk's own pack may have dropped what findings from before it still name.
    let docs = pack.docs(&id).or_else(|| Pack::base().docs(&id)).ok_or_else(Problem::not_found)?;
    Ok(Answer(DocsView {
        title_en: docs.title.en.to_string(),
        title_zh: docs.title.zh.to_string(),
        text_en: docs.text.en.to_string(),
        text_zh: docs.text.zh.to_string(),
    }))
}

/// The rules that devices have when they are up to date: the newest that were published, or those of this program, which
/// an upgrade may have made newer.
pub(super) async fn in_use(api: &Api) -> Result<Arc<Pack>, Problem> {
    let base = Pack::base().pack_id();
    let published = api.store.newest_pack(base.id.as_str()).await?;
    let published = published.filter(|published| published.pack.version > base.version);
    let wanted = published.as_ref().map_or(&base, |published| &published.pack);
    // Reading a pack takes longer than all else that such a request does.
    let last = api.last_pack.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(pack) = last.filter(|pack| pack.pack_id() == *wanted) {
        return Ok(pack);
    }
    let text = published.as_ref().map_or(Pack::base_text(), |published| &published.text);
    let pack = Arc::new(Pack::parse(text).map_err(PackRefusal::from)?);
    *api.last_pack.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&pack));
    Ok(pack)
}

/// Reports that one request judges: some seconds of work.
const RERUN_MAX: u64 = 200;

impl From<PackRefusal> for Problem {
    fn from(refusal: PackRefusal) -> Self {
        let detail = format!("The rule pack is refused: {refusal}.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "rules_refused", detail)
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::NotNewer { .. } => {
                Self::new(StatusCode::CONFLICT, "rules_not_newer", format!("The rule pack is not newer: {error}."))
            }
            PublishError::Store(error) => error.into(),
        }
    }
}

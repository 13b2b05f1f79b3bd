//! Reports: their bytes as a blob, their row and findings in one transaction.

use bytes::Bytes;
use object_store::path::Path as BlobPath;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;

use belay_protocol::DeviceKey;

use super::entity::{device, finding, report, session};
use super::sessions::{Running, running};
use super::write::Write;
use super::{
    DeviceId, EventKind, Filed, Finding, NewContents, NewFinding, Report, SessionError, SessionId, Severity, Store,
    StoreError, StoredReportId, tickets,
};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::secret::{same, sha256};

/// Why a report was not filed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The bytes are not those that were announced. The peer's doing.
    #[error("the report's bytes do not have the announced hash")]
    WrongHash,
    /// The device filed other bytes under this id before. The peer's doing.
    #[error("another report was filed under this id")]
    IdReused,
    /// There is no session to file it in, or the store failed.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl From<StoreError> for FileError {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

impl From<DbErr> for FileError {
    fn from(error: DbErr) -> Self {
        StoreError::from(error).into()
    }
}

impl Store {
    /// Files a report with its findings under the ticket of its session. When it returns, everything is on the disk.
    ///
    /// A device that did not hear the answer files the same report again, under the same id: it is stored once.
    pub async fn file_report(
        &self,
        session: SessionId,
        report_id: [u8; 16],
        bytes: Bytes,
        announced_sha256: [u8; 32],
        contents: NewContents,
    ) -> Result<Filed, FileError> {
        let hash = sha256(&bytes);
        if !same(&hash, &announced_sha256) {
            return Err(FileError::WrongHash);
        }
        let actor = self.actor_of(session).await?;
        // The blob goes first and outside the turn: a blob without a row is a few wasted bytes, a row without a blob
        // would be a lost report.
        let size_bytes = bytes.len() as i64;
        let blob = self.put_blob(bytes, &hash).await?;
        let mut write = self.write(&actor).await?;
        let known = find_by_report_id(&write.tx, session, report_id).await?;
        if let Some(known) = known {
            if !same(&known.sha256, &hash) {
                return Err(FileError::IdReused);
            }
            return Ok(Filed { new: false, report: StoredReportId(known.id) });
        }
        let Running { session, ticket } = running(&write.tx, session).await?;
        let row = report::ActiveModel {
            device_id: Set(session.device_id),
            report_id: Set(report_id.to_vec()),
            session_id: Set(Some(session.id)),
            ticket_id: Set(Some(ticket.id)),
            sha256: Set(hash.to_vec()),
            size_bytes: Set(size_bytes),
            blob: Set(blob),
            withheld: Set(json!(contents.withheld).to_string()),
            received_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        let counts = insert_findings(&write, &row, contents.findings, contents.ok).await?;
        let details = json!({
            "report": row.id,
            "session": session.id,
            "size_bytes": size_bytes,
            "sha256": data_encoding::HEXLOWER.encode(&hash),
            "findings": counts,
            "withheld": contents.withheld,
        });
        write.event(&ticket, EventKind::ReportFiled, details.clone()).await?;
        write.audit("report.file", tickets::subject(&ticket), details).await?;
        write.commit().await?;
        Ok(Filed { new: true, report: StoredReportId(row.id) })
    }

    /// Stores bytes under their hash: the same bytes twice are one blob, and no peer chooses a name.
    async fn put_blob(&self, bytes: Bytes, hash: &[u8; 32]) -> Result<String, StoreError> {
        let hex = data_encoding::HEXLOWER.encode(hash);
        let name = format!("{}/{hex}", &hex[..2]);
        // Replaced as a whole by a rename, so that a blob left half-written by a crash is mended by filing it again.
        let options = PutOptions { mode: PutMode::Overwrite, ..Default::default() };
        self.inner.blobs.put_opts(&BlobPath::from(name.as_str()), bytes.into(), options).await?;
        Ok(name)
    }

    /// The bytes of a report, checked against their hash.
    pub async fn report_bytes(&self, id: StoredReportId) -> Result<Option<Bytes>, StoreError> {
        let Some(row) = report::Entity::find_by_id(id.0).one(self.reader()).await? else {
            return Ok(None);
        };
        let bytes = self.inner.blobs.get(&BlobPath::from(row.blob.as_str())).await?.bytes().await?;
        if !same(&sha256(&bytes), &row.sha256) {
            return Err(StoreError::Unreadable(format!("the bytes of report {id}")));
        }
        Ok(Some(bytes))
    }

    /// One report with its findings.
    pub async fn report(&self, id: StoredReportId) -> Result<Option<Report>, StoreError> {
        match report::Entity::find_by_id(id.0).one(self.reader()).await? {
            Some(row) => Ok(Some(assemble(self.reader(), row).await?)),
            None => Ok(None),
        }
    }

    /// At most `limit` reports of one ticket, of one device or of all, newest first, each with its device and when it came.
    pub async fn reports_to_judge(
        &self,
        ticket: Option<TicketNumber>,
        device: Option<&DeviceKey>,
        limit: u64,
    ) -> Result<Vec<(StoredReportId, DeviceId, UnixMillis)>, StoreError> {
        let mut query = report::Entity::find();
        if let Some(number) = ticket {
            let ticket = tickets::find(self.reader(), number).await?;
            query = query.filter(report::Column::TicketId.eq(ticket.map_or(0, |ticket| ticket.id)));
        }
        if let Some(key) = device {
            let device = device::Entity::find().filter(device::Column::Key.eq(key.0.to_vec()));
            let device = device.one(self.reader()).await?;
            query = query.filter(report::Column::DeviceId.eq(device.map_or(0, |device| device.id)));
        }
        let rows = query.order_by_desc(report::Column::Id).limit(limit).all(self.reader()).await?;
        let of = |row: report::Model| (StoredReportId(row.id), DeviceId(row.device_id), UnixMillis(row.received_at));
        Ok(rows.into_iter().map(of).collect())
    }

    /// At most `limit` reports older than `before`, of one ticket or of all, newest first.
    pub async fn list_reports(
        &self,
        ticket: Option<TicketNumber>,
        before: Option<StoredReportId>,
        limit: u64,
    ) -> Result<Vec<Report>, StoreError> {
        let mut query = report::Entity::find();
        if let Some(number) = ticket {
            let ticket = tickets::find(self.reader(), number).await?;
            query = query.filter(report::Column::TicketId.eq(ticket.map_or(0, |ticket| ticket.id)));
        }
        if let Some(before) = before {
            query = query.filter(report::Column::Id.lt(before.0));
        }
        let rows = query.order_by_desc(report::Column::Id).limit(limit).all(self.reader()).await?;
        let mut reports = Vec::with_capacity(rows.len());
        for row in rows {
            reports.push(assemble(self.reader(), row).await?);
        }
        Ok(reports)
    }
}

async fn find_by_report_id(
    db: &impl ConnectionTrait,
    id: SessionId,
    report_id: [u8; 16],
) -> Result<Option<report::Model>, FileError> {
    let session = session::Entity::find_by_id(id.0).one(db).await?.ok_or(SessionError::NoSession)?;
    let of_device = report::Entity::find().filter(report::Column::DeviceId.eq(session.device_id));
    Ok(of_device.filter(report::Column::ReportId.eq(report_id.to_vec())).one(db).await?)
}

/// Stores the findings and counts them by severity. What is in order is counted only.
async fn insert_findings(
    write: &Write,
    report: &report::Model,
    findings: Vec<NewFinding>,
    ok: u32,
) -> Result<serde_json::Value, DbErr> {
    let count = |severity| match severity {
        Severity::Ok => u64::from(ok),
        _ => findings.iter().filter(|finding| finding.severity == severity).count() as u64,
    };
    let counts = Severity::ALL.iter().map(|severity| (severity.as_str().to_owned(), json!(count(*severity)))).collect();
    let rows = findings.into_iter().map(|finding| finding::ActiveModel {
        report_id: Set(report.id),
        ticket_id: Set(report.ticket_id),
        device_id: Set(report.device_id),
        rule_id: Set(finding.rule_id),
        subject: Set(finding.subject),
        severity: Set(finding.severity),
        title_en: Set(finding.title_en),
        title_zh: Set(finding.title_zh),
        remedy_en: Set(finding.remedy_en),
        remedy_zh: Set(finding.remedy_zh),
        evidence: Set(finding.evidence.to_string()),
        fingerprint: Set(finding.fingerprint),
        created_at: Set(write.now.0),
        ..Default::default()
    });
    // One row a statement: a statement of all rows would pass the databases' limits of bound values.
    for row in rows {
        finding::Entity::insert(row).exec_without_returning(&write.tx).await?;
    }
    Ok(serde_json::Value::Object(counts))
}

async fn assemble(db: &impl ConnectionTrait, row: report::Model) -> Result<Report, StoreError> {
    let of_report = finding::Entity::find().filter(finding::Column::ReportId.eq(row.id));
    let mut findings = of_report.order_by_asc(finding::Column::Id).all(db).await?;
    findings.sort_by_key(|finding| urgency(finding.severity));
    Ok(Report {
        id: StoredReportId(row.id),
        report_id: data_encoding::HEXLOWER.encode(&row.report_id),
        device: DeviceId(row.device_id),
        session: row.session_id.map(SessionId),
        sha256: data_encoding::HEXLOWER.encode(&row.sha256),
        size_bytes: row.size_bytes,
        received_at_ms: UnixMillis(row.received_at),
        withheld: serde_json::from_str(&row.withheld)
            .map_err(|_| StoreError::Unreadable(format!("report {}", row.id)))?,
        findings: findings.into_iter().map(finding_from).collect::<Result<_, _>>()?,
    })
}

fn finding_from(row: finding::Model) -> Result<Finding, StoreError> {
    Ok(Finding {
        evidence: serde_json::from_str(&row.evidence)
            .map_err(|_| StoreError::Unreadable(format!("finding {}", row.id)))?,
        rule_id: row.rule_id,
        subject: row.subject,
        severity: row.severity,
        title_en: row.title_en,
        title_zh: row.title_zh,
        remedy_en: row.remedy_en,
        remedy_zh: row.remedy_zh,
        fingerprint: row.fingerprint,
    })
}

/// Worst first; what could not be looked at comes before what is fine.
const fn urgency(severity: Severity) -> u8 {
    match severity {
        Severity::Crit => 0,
        Severity::Warn => 1,
        Severity::Unknown => 2,
        Severity::Info => 3,
        Severity::Ok => 4,
    }
}

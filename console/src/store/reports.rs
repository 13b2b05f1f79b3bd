//! Reports: their bytes as a blob, their row and findings in one transaction.

use std::collections::BTreeMap;

use bytes::Bytes;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use serde_json::{Value, json};

use belay_protocol::DeviceKey;

use super::blobs::Blob;
use super::entity::{device, finding, report, session, ticket};
use super::revocations::live_revocation;
use super::sessions::{Running, meet_device, running};
use super::write::Write;
use super::{
    Actor, DeviceId, EventKind, Filed, Finding, Fix, NewContents, NewFinding, Report, ReportHead, SessionError,
    SessionId, Severity, Store, StoreError, StoredReportId, tickets,
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

/// Why a report that was carried here in a file was not filed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// The device is shut out.
    #[error("the device is shut out: let it in again first, if that is right")]
    Revoked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for ImportError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
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
        let blob = self.put_blob(bytes, hash).await?;
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
            ..Default::default()
        };
        let filed = file_row(&mut write, row, blob, &ticket, contents, json!({ "session": session.id })).await?;
        write.audit("report.file", tickets::subject(&ticket), filed.details).await?;
        write.commit().await?;
        Ok(Filed { new: true, report: filed.report })
    }

    /// Files a report that was carried here in a file, outside any session, whose device has signed it. The same file
    /// again is stored once, also under another ticket.
    pub async fn import_report(
        &self,
        actor: &Actor,
        number: TicketNumber,
        device: &DeviceKey,
        bytes: Bytes,
        contents: NewContents,
    ) -> Result<Filed, ImportError> {
        let hash = sha256(&bytes);
        if tickets::find(self.reader(), number).await?.is_none() {
            return Err(ImportError::NoTicket);
        }
        let blob = self.put_blob(bytes, hash).await?;
        let mut write = self.write(actor).await?;
        let ticket = tickets::find(&write.tx, number).await?.ok_or(ImportError::NoTicket)?;
        let device = meet_device(&write, device, ticket.organization_id).await?;
        if live_revocation(&write.tx, device.id).await?.is_some() {
            return Err(ImportError::Revoked);
        }
        let same_bytes = report::Column::Sha256.eq(hash.to_vec());
        let of_device = report::Entity::find().filter(report::Column::DeviceId.eq(device.id));
        if let Some(known) = of_device.filter(same_bytes).one(&write.tx).await? {
            return Ok(Filed { new: false, report: StoredReportId(known.id) });
        }
        let row = report::ActiveModel {
            device_id: Set(device.id),
            // Its sender gave it none; this one is the same each time it is imported.
            report_id: Set(hash[..16].to_vec()),
            session_id: Set(None),
            ..Default::default()
        };
        let filed = file_row(&mut write, row, blob, &ticket, contents, json!({ "device": device.id })).await?;
        write.audit("report.import", tickets::subject(&ticket), filed.details).await?;
        write.commit().await?;
        Ok(Filed { new: true, report: filed.report })
    }

    /// Stores bytes under their hash: the same bytes twice are one blob, and no peer chooses a name.
    /// The bytes of a report, checked against their hash.
    pub async fn report_bytes(&self, id: StoredReportId) -> Result<Option<Bytes>, StoreError> {
        let Some(row) = report::Entity::find_by_id(id.0).one(self.reader()).await? else {
            return Ok(None);
        };
        let bytes = self.read_blob(&row.blob, &row.sha256).await?;
        bytes.map(Some).ok_or_else(|| StoreError::Unreadable(format!("the bytes of report {id}")))
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

    /// At most `limit` reports of a device, newest first.
    pub async fn report_heads(&self, device: DeviceId, limit: u64) -> Result<Vec<ReportHead>, StoreError> {
        let of_device = report::Entity::find().filter(report::Column::DeviceId.eq(device.0));
        let rows = of_device.order_by_desc(report::Column::Id).limit(limit).all(self.reader()).await?;
        let head = |row: report::Model| ReportHead {
            id: StoredReportId(row.id),
            from_file: row.session_id.is_none(),
            received_at: UnixMillis(row.received_at),
        };
        Ok(rows.into_iter().map(head).collect())
    }

    /// At most `limit` reports of a device older than `before`, newest first.
    pub async fn list_reports_of_device(
        &self,
        device: DeviceId,
        before: Option<StoredReportId>,
        limit: u64,
    ) -> Result<Vec<Report>, StoreError> {
        self.page_of_reports(report::Entity::find().filter(report::Column::DeviceId.eq(device.0)), before, limit).await
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
        self.page_of_reports(query, before, limit).await
    }

    async fn page_of_reports(
        &self,
        mut query: Select<report::Entity>,
        before: Option<StoredReportId>,
        limit: u64,
    ) -> Result<Vec<Report>, StoreError> {
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

/// A report whose row and findings are stored, and its ticket told.
struct FiledRow {
    report: StoredReportId,
    /// For the audit.
    details: Value,
}

/// Stores the row and the findings and tells the ticket's log. `row` and `origin` say where the report is from.
async fn file_row(
    write: &mut Write,
    mut row: report::ActiveModel,
    blob: Blob,
    ticket: &ticket::Model,
    contents: NewContents,
    origin: Value,
) -> Result<FiledRow, StoreError> {
    (row.blob, row.sha256, row.size_bytes) = (Set(blob.name), Set(blob.sha256.to_vec()), Set(blob.size_bytes));
    (row.ticket_id, row.received_at) = (Set(Some(ticket.id)), Set(write.now.0));
    row.withheld = Set(json!(contents.withheld).to_string());
    let count = |counted: u32| contents.is_judged().then(|| i64::from(counted));
    (row.ok, row.pending) = (Set(count(contents.ok)), Set(count(contents.pending)));
    // What comes in a session was made a moment ago, whatever the device's clock says.
    let is_carried = !matches!(&row.session_id, Set(Some(_)));
    row.taken_at = Set(contents.taken_at.filter(|_| is_carried).map(|at| at.min(write.now).0));
    let row = row.insert(&write.tx).await?;
    let counts = insert_findings(write, &row, contents.findings, contents.ok, &contents.unlisted).await?;
    let mut details = json!({
        "report": row.id,
        "size_bytes": row.size_bytes,
        "sha256": data_encoding::HEXLOWER.encode(&row.sha256),
        "findings": counts,
        "withheld": contents.withheld,
    });
    if let (Value::Object(details), Value::Object(origin)) = (&mut details, origin) {
        details.extend(origin);
    }
    write.event(ticket, EventKind::ReportFiled, details.clone()).await?;
    Ok(FiledRow { report: StoredReportId(row.id), details })
}

/// Stores the findings and counts them by severity. What is in order is counted only.
async fn insert_findings(
    write: &Write,
    report: &report::Model,
    findings: Vec<NewFinding>,
    ok: u32,
    unlisted: &BTreeMap<Severity, u32>,
) -> Result<serde_json::Value, DbErr> {
    let count = |severity| match severity {
        Severity::Ok => u64::from(ok),
        _ => {
            let listed = findings.iter().filter(|finding| finding.severity == severity).count() as u64;
            listed + unlisted.get(&severity).copied().map_or(0, u64::from)
        }
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
        confidence: Set(Some(finding.confidence)),
        fixes: Set((!finding.fixes.is_empty()).then(|| json!(finding.fixes).to_string())),
        docs: Set(Some(finding.docs).filter(|docs| !docs.is_empty())),
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
    let ticket = match row.ticket_id {
        Some(id) => ticket::Entity::find_by_id(id).one(db).await?,
        None => None,
    };
    Ok(Report {
        id: StoredReportId(row.id),
        report_id: data_encoding::HEXLOWER.encode(&row.report_id),
        device: DeviceId(row.device_id),
        session: row.session_id.map(SessionId),
        ticket: ticket.map(|ticket| TicketNumber::from_serial(ticket.serial)),
        sha256: data_encoding::HEXLOWER.encode(&row.sha256),
        size_bytes: row.size_bytes,
        received_at_ms: UnixMillis(row.received_at),
        taken_at_ms: row.taken_at.map(UnixMillis),
        withheld: serde_json::from_str(&row.withheld)
            .map_err(|_| StoreError::Unreadable(format!("report {}", row.id)))?,
        findings: findings.into_iter().map(finding_from).collect::<Result<_, _>>()?,
        ok: row.ok,
        pending: row.pending,
    })
}

fn finding_from(row: finding::Model) -> Result<Finding, StoreError> {
    let unreadable = |_| StoreError::Unreadable(format!("finding {}", row.id));
    let fixes: Vec<String> = row.fixes.as_deref().map_or(Ok(Vec::new()), serde_json::from_str).map_err(unreadable)?;
    Ok(Finding {
        evidence: serde_json::from_str(&row.evidence).map_err(unreadable)?,
        confidence: row.confidence,
        fixes: fixes.into_iter().map(Fix::named).collect(),
        docs: row.docs,
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

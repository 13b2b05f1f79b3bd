//! Macros: steps that are often taken together on a ticket, taken at once or not at all.

use std::collections::BTreeSet;
use std::time::Duration;

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use belay_protocol::Text;

use super::entity::{contact, macro_row, organization, ticket, ticket_tag, user};
use super::tickets::{assemble, find};
use super::write::Write;
use super::{
    ARTICLE_MAX_BYTES, Actor, ChangeError, ChecklistError, Line, MacroId, NewArticle, Store, StoreError, Ticket,
    TicketChange, Visibility, checklists, life, thread,
};
use crate::life::Refused;
use crate::number::TicketNumber;
use crate::ticket::{Level, TicketState};

/// Steps that are often taken together. What is left out is not touched.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// A move to another state; one to `resolved` is none for a macro, because it says cause, fix and prevention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TicketState>,
    /// After how many hours a pending ticket wakes up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 8784)]
    pub wake_after_hours: Option<u32>,
    /// Whether whoever runs it becomes the owner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take: bool,
    /// The name of the group that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 256)]
    pub group: Option<Line>,
    /// A new impact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Level>,
    /// A new urgency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urgency: Option<Level>,
    /// Tags to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, max_items = 32)]
    pub tags: Vec<Line>,
    /// Something to be said; `{number}`, `{title}`, `{contact}`, `{customer}` and `{me}` are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub article: Option<MacroArticle>,
    /// Things to be done, put on the ticket.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, max_items = 100)]
    pub checklist: Vec<Line>,
}

/// What a macro says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MacroArticle {
    /// `public` for the customer, too; `internal` for the desk alone.
    pub visibility: Visibility,
    /// Plain text.
    #[schema(value_type = String, min_length = 1, max_length = 65536)]
    pub body: Text<ARTICLE_MAX_BYTES>,
}

/// A macro of the desk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Macro {
    /// Its id.
    pub id: MacroId,
    /// Its name.
    pub name: String,
    /// What it does.
    pub steps: Steps,
}

/// Why a macro was not kept or not run.
#[derive(Debug, thiserror::Error)]
pub enum MacroError {
    /// There is no such macro.
    #[error("there is no such macro")]
    NotThere,
    /// Another macro has this name.
    #[error("another macro has this name")]
    NameTaken,
    /// A desk does not need more.
    #[error("a desk has at most {MACROS_MAX} macros")]
    TooMany,
    /// A step that no macro can take.
    #[error("{0}")]
    BadStep(&'static str),
    /// The ticket does not allow a step. Nothing was done.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The checklist does not fit on the ticket. Nothing was done.
    #[error(transparent)]
    Checklist(#[from] ChecklistError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for MacroError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Steps {
    fn check(&self) -> Result<(), MacroError> {
        let pending = matches!(
            self.state,
            Some(TicketState::PendingCustomer | TicketState::PendingVendor | TicketState::PendingReminder)
        );
        match self.state {
            Some(TicketState::Resolved | TicketState::Closed | TicketState::Merged | TicketState::New) => {
                Err(MacroError::BadStep("A macro moves a ticket to open or to one of the pending states."))
            }
            Some(TicketState::PendingReminder) if self.wake_after_hours.is_none() => {
                Err(MacroError::BadStep("A reminder needs the hours after which it wakes the ticket."))
            }
            _ if self.wake_after_hours.is_some() && !pending => {
                Err(MacroError::BadStep("wake_after_hours goes with a pending state only."))
            }
            _ if self.wake_after_hours.is_some_and(|hours| !(1..=HOURS_MAX).contains(&hours)) => {
                Err(MacroError::BadStep("wake_after_hours is from 1 to 8784, a year."))
            }
            _ if self.checklist.len() > checklists::ITEMS_MAX => {
                Err(MacroError::BadStep("A checklist has at most 100 items."))
            }
            _ if self == &Self::default() => Err(MacroError::BadStep("A macro does something.")),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// The desk's macros by name.
    pub async fn list_macros(&self) -> Result<Vec<Macro>, StoreError> {
        let rows = macro_row::Entity::find().order_by_asc(macro_row::Column::Name).all(self.reader()).await?;
        rows.into_iter().map(Macro::try_from).collect()
    }

    /// Keeps a macro, in place of the one with this id if there is to be one.
    pub async fn keep_macro(
        &self,
        actor: &Actor,
        id: Option<MacroId>,
        name: &Line,
        steps: &Steps,
    ) -> Result<Macro, MacroError> {
        steps.check()?;
        let mut write = self.write(actor).await?;
        if let Some(group) = &steps.group
            && super::groups::named(&write.tx, group).await?.is_none()
        {
            return Err(ChangeError::NoSuchGroup.into());
        }
        let named = macro_row::Entity::find().filter(macro_row::Column::Name.eq(name.as_str()));
        if named.one(&write.tx).await?.is_some_and(|other| Some(other.id) != id.map(|id| id.0)) {
            return Err(MacroError::NameTaken);
        }
        let text = serde_json::to_string(steps).map_err(|error| DbErr::Json(error.to_string()))?;
        let row = match id {
            Some(id) => {
                let row = macro_row::Entity::find_by_id(id.0).one(&write.tx).await?;
                let mut row = row.ok_or(MacroError::NotThere)?.into_active_model();
                (row.name, row.steps) = (Set(name.as_str().to_owned()), Set(text));
                row.update(&write.tx).await?
            }
            None => {
                if macro_row::Entity::find().count(&write.tx).await? >= MACROS_MAX {
                    return Err(MacroError::TooMany);
                }
                let row = macro_row::ActiveModel {
                    name: Set(name.as_str().to_owned()),
                    steps: Set(text),
                    created_at: Set(write.now.0),
                    ..Default::default()
                };
                row.insert(&write.tx).await?
            }
        };
        write.audit("macro.keep", format!("macro:{}", row.id), json!({})).await?;
        let kept = Macro::try_from(row)?;
        write.commit().await?;
        Ok(kept)
    }

    /// Forgets a macro.
    pub async fn forget_macro(&self, actor: &Actor, id: MacroId) -> Result<(), MacroError> {
        let mut write = self.write(actor).await?;
        if macro_row::Entity::delete_by_id(id.0).exec(&write.tx).await?.rows_affected == 0 {
            return Err(MacroError::NotThere);
        }
        write.audit("macro.forget", format!("macro:{id}"), json!({})).await?;
        write.commit().await?;
        Ok(())
    }

    /// Takes all steps of a macro on a ticket that is still at `version`.
    pub async fn run_macro(
        &self,
        actor: &Actor,
        number: TicketNumber,
        version: i64,
        id: MacroId,
    ) -> Result<Ticket, MacroError> {
        let mut write = self.write(actor).await?;
        let kept = macro_row::Entity::find_by_id(id.0).one(&write.tx).await?;
        let Macro { name, steps, .. } = kept.ok_or(MacroError::NotThere)?.try_into()?;
        let row = find(&write.tx, number).await?.ok_or(ChangeError::NoTicket)?;
        if row.version != version {
            return Err(ChangeError::Stale { current: row.version }.into());
        }
        if row.state == TicketState::Merged {
            let to = steps.state.unwrap_or(TicketState::Open);
            return Err(ChangeError::Refused(Refused::NoSuchMove { from: row.state, to }).into());
        }
        let me = match actor.user() {
            Some(id) => user::Entity::find_by_id(id.0).one(&write.tx).await?,
            None => None,
        };
        if let Some(article) = &steps.article {
            let body = filled(&write, &article.body, &row, me.as_ref()).await?;
            let new = NewArticle { visibility: article.visibility, body: Text::truncating(body) };
            thread::insert_article(&mut write, &row, new).await?;
        }
        if !steps.checklist.is_empty() {
            checklists::add_items(&mut write, &row, steps.checklist.iter().map(Line::as_str)).await?;
        }
        let change = change(&write, &steps, &row, me.as_ref(), &name).await?;
        if self.take_change(&mut write, &row, change).await?.is_none() {
            life::touch(&mut write, row).await?;
        }
        let row = find(&write.tx, number).await?.ok_or(ChangeError::NoTicket)?;
        let ticket = assemble(&write.tx, row).await?;
        write.audit("macro.run", super::tickets::subject_of(number), json!({ "macro": id })).await?;
        write.commit().await?;
        Ok(ticket)
    }
}

async fn change(
    write: &Write,
    steps: &Steps,
    row: &ticket::Model,
    me: Option<&user::Model>,
    name: &str,
) -> Result<TicketChange, MacroError> {
    let tags = ticket_tag::Entity::find().filter(ticket_tag::Column::TicketId.eq(row.id)).all(&write.tx).await?;
    let mut all: BTreeSet<String> = tags.into_iter().map(|row| row.tag).collect();
    all.extend(steps.tags.iter().map(|tag| tag.to_lowercase()));
    let wake = steps.wake_after_hours.map(|hours| write.now.plus(HOUR * hours));
    let owner = if steps.take { me.map(|me| Some(Line::truncating(me.name.as_str()))) } else { None };
    let says_something = steps.article.as_ref().is_some_and(|article| article.visibility == Visibility::Public);
    // An answer to the customer begins the work, as by hand.
    let begun = (says_something && row.state == TicketState::New).then_some(TicketState::Open);
    Ok(TicketChange {
        // A macro that begins the work also serves where it has begun.
        state: steps.state.filter(|state| *state != row.state).or(begun),
        pending_until: wake.filter(|_| steps.state.is_some_and(|state| state != row.state)),
        impact: steps.impact,
        urgency: steps.urgency,
        group: steps.group.clone(),
        owner,
        // Whoever chose the macro has given its name as the reason.
        reason: Some(Line::truncating(name)),
        tags: (!steps.tags.is_empty()).then(|| all.iter().map(|tag| Line::truncating(tag.as_str())).collect()),
        ..TicketChange::default()
    })
}

/// The words of a macro with what they stand for. What is filled in is not looked through again.
async fn filled(write: &Write, body: &str, row: &ticket::Model, me: Option<&user::Model>) -> Result<String, DbErr> {
    let customer = organization::Entity::find_by_id(row.organization_id).one(&write.tx).await?;
    let contact = match row.contact_id {
        Some(id) => contact::Entity::find_by_id(id).one(&write.tx).await?,
        None => None,
    };
    let number = TicketNumber::from_serial(row.serial).to_string();
    let customer = customer.map(|row| row.name).unwrap_or_default();
    let values = [
        ("{number}", number.as_str()),
        ("{title}", &row.title),
        ("{contact}", contact.as_ref().map_or(customer.as_str(), |contact| &contact.name)),
        ("{customer}", &customer),
        ("{me}", me.map_or("", |me| &me.name)),
    ];
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        match values.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                text.push_str(value);
                rest = &rest[name.len()..];
            }
            None => {
                text.push('{');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    Ok(text)
}

impl TryFrom<macro_row::Model> for Macro {
    type Error = StoreError;

    fn try_from(row: macro_row::Model) -> Result<Self, StoreError> {
        let steps = serde_json::from_str(&row.steps);
        let steps = steps.map_err(|_| StoreError::Unreadable(format!("macro {}", row.id)))?;
        Ok(Self { id: MacroId(row.id), name: row.name, steps })
    }
}

const MACROS_MAX: u64 = 200;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A year.
const HOURS_MAX: u32 = 366 * 24;

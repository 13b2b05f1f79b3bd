//! Who may do what: one function, deny by default.

use crate::ticket::stored_enum;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

stored_enum! {
    /// What a user is at the desk.
    Role {
        /// Works on tickets.
        Technician = "technician",
        /// Works on tickets and answers for those of others.
        Supervisor = "supervisor",
        /// Also manages users.
        Admin = "admin",
        /// Sees everything, changes nothing.
        Auditor = "auditor",
    }
}

/// Something a signed-in user can ask for. Every route names exactly one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// See who one is, and sign out.
    UseOwnSignIn,
    /// See tickets, their events, sessions, devices, reports and findings.
    ReadDesk,
    /// Open and change tickets.
    WorkOnTickets,
    /// Mint a code that lets a customer's machine in.
    InviteCustomers,
    /// Shut a device out for good, and let it in again.
    RevokeDevices,
    /// Give the desk's devices newer rules.
    PublishRules,
    /// Make groups, and say which tickets go to them.
    ConfigureDesk,
    /// Create users and give them roles.
    ManageUsers,
    /// See the users of the desk.
    ReadUsers,
    /// Read the audit and check its chain.
    ReadAudit,
    /// Change how one's own account is proved: second factor, passkeys, tokens of programs.
    SecureOwnAccount,
    /// Take the whole audit away in one file.
    ExportAudit,
    /// Take the whole desk away in one encrypted file.
    BackUp,
    /// Read how much of everything there is, and how the console works.
    ReadMetrics,
}

impl Action {
    /// Every action, for tests over all of them.
    pub const ALL: &[Self] = &[
        Self::UseOwnSignIn,
        Self::ReadDesk,
        Self::WorkOnTickets,
        Self::InviteCustomers,
        Self::RevokeDevices,
        Self::PublishRules,
        Self::ConfigureDesk,
        Self::ManageUsers,
        Self::ReadUsers,
        Self::ReadAudit,
        Self::SecureOwnAccount,
        Self::ExportAudit,
        Self::BackUp,
        Self::ReadMetrics,
    ];
}

/// Whether `role` may do `action`. What is not listed is denied.
pub const fn allows(role: Role, action: Action) -> bool {
    use Action::*;
    match role {
        Role::Technician => {
            matches!(action, UseOwnSignIn | SecureOwnAccount | ReadDesk | WorkOnTickets | InviteCustomers | ReadUsers)
        }
        Role::Supervisor => {
            matches!(
                action,
                UseOwnSignIn
                    | SecureOwnAccount
                    | ReadDesk
                    | WorkOnTickets
                    | InviteCustomers
                    | RevokeDevices
                    | ConfigureDesk
                    | ReadUsers
                    | ReadAudit
                    | ReadMetrics
            )
        }
        Role::Admin => matches!(
            action,
            UseOwnSignIn
                | SecureOwnAccount
                | ReadDesk
                | WorkOnTickets
                | InviteCustomers
                | RevokeDevices
                | PublishRules
                | ConfigureDesk
                | ManageUsers
                | ReadUsers
                | ReadAudit
                | ExportAudit
                | ReadMetrics
        ),
        Role::Auditor => {
            matches!(
                action,
                UseOwnSignIn | SecureOwnAccount | ReadDesk | ReadUsers | ReadAudit | ExportAudit | ReadMetrics
            )
        }
    }
}

/// Whether `action` is for whoever has the console's own account on its machine, and for no role.
pub const fn is_for_the_machine(action: Action) -> bool {
    matches!(action, Action::BackUp)
}

/// Whether a sign-in may do `action` only shortly after its user has proved who they are.
pub const fn needs_fresh_proof(action: Action) -> bool {
    matches!(action, Action::ManageUsers | Action::SecureOwnAccount | Action::ExportAudit)
}

/// Whether a program may be given `action`: nothing that is about people and their ways in, and nothing that asks for a
/// fresh proof, which no program can give.
pub const fn fits_a_token(action: Action) -> bool {
    !needs_fresh_proof(action) && !is_for_the_machine(action) && !matches!(action, Action::UseOwnSignIn)
}

/// Whether doing `action` is a look that the audit tells, also when nothing is changed by it.
pub const fn is_a_look(action: Action) -> bool {
    matches!(action, Action::ReadDesk | Action::ReadUsers | Action::ReadAudit | Action::ExportAudit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_changes_nothing_and_only_an_admin_manages_users() {
        let changing = [
            Action::WorkOnTickets,
            Action::InviteCustomers,
            Action::RevokeDevices,
            Action::PublishRules,
            Action::ConfigureDesk,
            Action::ManageUsers,
        ];
        for action in changing {
            assert!(!allows(Role::Auditor, action), "{action:?}");
        }
        assert!(!allows(Role::Technician, Action::RevokeDevices) && allows(Role::Supervisor, Action::RevokeDevices));
        for role in Role::ALL {
            assert_eq!(allows(*role, Action::ManageUsers), *role == Role::Admin);
        }
    }

    #[test]
    fn no_program_manages_people_or_their_ways_in() {
        for action in [Action::UseOwnSignIn, Action::SecureOwnAccount, Action::ManageUsers, Action::ExportAudit] {
            assert!(!fits_a_token(action), "{action:?}");
        }
        assert!(fits_a_token(Action::ReadDesk) && fits_a_token(Action::WorkOnTickets));
    }

    #[test]
    fn nobody_takes_the_desk_away_from_afar() {
        assert!(Role::ALL.iter().all(|role| !allows(*role, Action::BackUp)) && !fits_a_token(Action::BackUp));
    }

    #[test]
    fn every_role_may_sign_out() {
        assert!(Role::ALL.iter().all(|role| allows(*role, Action::UseOwnSignIn)));
    }
}

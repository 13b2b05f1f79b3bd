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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    ];
}

/// Whether `role` may do `action`. What is not listed is denied.
pub const fn allows(role: Role, action: Action) -> bool {
    use Action::*;
    match role {
        Role::Technician => matches!(action, UseOwnSignIn | ReadDesk | WorkOnTickets | InviteCustomers | ReadUsers),
        Role::Supervisor => {
            matches!(
                action,
                UseOwnSignIn
                    | ReadDesk
                    | WorkOnTickets
                    | InviteCustomers
                    | RevokeDevices
                    | ConfigureDesk
                    | ReadUsers
                    | ReadAudit
            )
        }
        Role::Admin => matches!(
            action,
            UseOwnSignIn
                | ReadDesk
                | WorkOnTickets
                | InviteCustomers
                | RevokeDevices
                | PublishRules
                | ConfigureDesk
                | ManageUsers
                | ReadUsers
                | ReadAudit
        ),
        Role::Auditor => matches!(action, UseOwnSignIn | ReadDesk | ReadUsers | ReadAudit),
    }
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
    fn every_role_may_sign_out() {
        assert!(Role::ALL.iter().all(|role| allows(*role, Action::UseOwnSignIn)));
    }
}

//! Second factors, passkeys, tokens of programs, and what a sign-in remembers of its browser.

use super::*;

/// Only adds, so that the console before it can go on with the same database.
pub(super) struct Accounts;

impl MigrationName for Accounts {
    fn name(&self) -> &str {
        "m2026_06_accounts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Accounts {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut column in [text_null("by"), text_null("source"), text_null("agent"), big_integer_null("verified_at")] {
            manager.alter_table(Table::alter().table("sign_ins").add_column(&mut column).to_owned()).await?;
        }
        for table in tables() {
            manager.create_table(table).await?;
        }
        for (name, table) in [
            ("sign_ins_of_user", "sign_ins"),
            ("recovery_codes_of_user", "recovery_codes"),
            ("passkeys_of_user", "passkeys"),
            ("api_tokens_of_user", "api_tokens"),
        ] {
            manager.create_index(Index::create().name(name).table(table).col("user_id").to_owned()).await?;
        }
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    let mut seeds = table(
        "totp_seeds",
        vec![
            big_integer("user_id").primary_key().to_owned(),
            blob("sealed"),
            big_integer("created_at"),
            big_integer_null("confirmed_at"),
            big_integer_null("last_step"),
        ],
    );
    refers(&mut seeds, "totp_seeds", "user_id", "users");
    let mut codes = table("recovery_codes", vec![blob("code_mac").primary_key().to_owned(), big_integer("user_id")]);
    refers(&mut codes, "recovery_codes", "user_id", "users");
    let mut passkeys = table(
        "passkeys",
        vec![
            big_pk_auto("id"),
            big_integer("user_id"),
            text("name"),
            blob("credential_id").unique_key().to_owned(),
            text("credential"),
            big_integer("created_at"),
            big_integer_null("last_used_at"),
        ],
    );
    refers(&mut passkeys, "passkeys", "user_id", "users");
    let mut tokens = table(
        "api_tokens",
        vec![
            big_pk_auto("id"),
            big_integer("user_id"),
            text("name"),
            blob("token_hash").unique_key().to_owned(),
            text("actions"),
            big_integer("created_at"),
            big_integer("expires_at"),
            big_integer_null("last_used_at"),
            big_integer_null("revoked_at"),
        ],
    );
    refers(&mut tokens, "api_tokens", "user_id", "users");
    let spent = table("spent_challenges", vec![blob("sha256").primary_key().to_owned(), big_integer("expires_at")]);
    vec![seeds, codes, passkeys, tokens, spent]
}

//! Years of work, written straight into a database: through the console it would take days of flushes.

use std::fmt::Write as _;

use belay_console::data::DataDirectory;
use belay_console::number::TicketNumber;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use sea_orm::{ConnectionTrait as _, Database, TransactionTrait as _};

/// What tickets are about in English.
pub(crate) const ENGLISH: &[&str] = &[
    "printer", "paper", "driver", "network", "cable", "screen", "invoice", "update", "restart", "password", "login",
    "slow", "noise", "battery", "keyboard", "scanner", "server", "backup", "licence", "camera", "router", "memory",
    "browser", "mail", "folder", "shared", "error", "window", "sound", "office",
];

/// The same in Chinese, where a word has two characters.
pub(crate) const CHINESE: &[&str] = &[
    "打印", "网络", "屏幕", "发票", "更新", "密码", "登录", "缓慢", "电池", "键盘", "扫描", "备份", "内存", "邮件",
    "错误", "声音", "驱动", "磁盘", "路由", "窗口",
];

/// Companies of the desk.
const COMPANIES: u32 = 500;

/// Rows of one statement: more would only make the statement longer.
const ROWS: u32 = 500;

/// One ticket in so many is not finished.
const ACTIVE_ONE_IN: u32 = 20;

/// Writes `tickets` tickets with `articles` articles each, and their log.
pub(crate) async fn fill(
    data: &DataDirectory,
    database: Option<&str>,
    tickets: u32,
    articles: u32,
    seed: u64,
) -> anyhow::Result<()> {
    let url = match database {
        Some(url) => url.to_owned(),
        None => format!("sqlite://{}", data.database().display()),
    };
    let db = Database::connect(url).await?;
    let mut random = StdRng::seed_from_u64(seed);
    let companies = rows(0..COMPANIES, |text, id| write!(text, "('Company {id}', 0)"));
    db.execute_unprepared(&format!("INSERT INTO organizations (name, created_at) VALUES {companies}")).await?;
    for begin in (0..tickets).step_by(ROWS as usize) {
        let batch = begin..tickets.min(begin + ROWS);
        let tx = db.begin().await?;
        let values = rows(batch.clone(), |text, id| ticket(text, id, &mut random));
        tx.execute_unprepared(&format!(
            "INSERT INTO tickets (serial, title, description, organization_id, state, impact, urgency, priority, \
             channel, version, created_at, updated_at, group_id) VALUES {values}"
        ))
        .await?;
        for article in 0..articles {
            let values = rows(batch.clone(), |text, id| {
                let visibility = if article % 2 == 0 { "public" } else { "internal" };
                let body = sentence(&mut random, 30);
                write!(text, "({}, '{visibility}', 'user:1', '{body}', {})", id + 1, i64::from(id) * 1_000)
            });
            tx.execute_unprepared(&format!(
                "INSERT INTO articles (ticket_id, visibility, author, body, created_at) VALUES {values}"
            ))
            .await?;
            let values = rows(batch.clone(), |text, id| {
                let payload = r#"{"article":1,"visibility":"public"}"#;
                write!(text, "({}, 'article_added', 'user:1', '{payload}', {})", id + 1, i64::from(id) * 1_000)
            });
            tx.execute_unprepared(&format!("INSERT INTO events (ticket_id, kind, actor, payload, at) VALUES {values}"))
                .await?;
        }
        tx.commit().await?;
    }
    db.close().await?;
    Ok(())
}

fn ticket(text: &mut String, id: u32, random: &mut StdRng) -> std::fmt::Result {
    let serial = TicketNumber::FIRST.serial() + i64::from(id);
    let state = if random.random_range(0..ACTIVE_ONE_IN) > 0 {
        "closed"
    } else {
        ["new", "open", "pending_customer", "pending_vendor"].choose(random).copied().unwrap_or("new")
    };
    let priority = random.random_range(1..=4);
    let company = random.random_range(1..=COMPANIES);
    let (title, description) = (sentence(random, 5), sentence(random, 20));
    let at = i64::from(id) * 1_000;
    write!(
        text,
        "({serial}, '{title} serial{id}', '{description}', {company}, '{state}', 'medium', 'medium', 'p{priority}', \
         'phone', 1, {at}, {at}, 1)"
    )
}

/// Words of which a common one is in every second text and a rare one in few, as words are.
fn sentence(random: &mut StdRng, words: usize) -> String {
    let mut text = String::new();
    for at in 0..words {
        // The product of two draws prefers the beginning of a list.
        let share: f64 = random.random::<f64>() * random.random::<f64>();
        if random.random_bool(0.25) {
            text.push_str(CHINESE[(share * CHINESE.len() as f64) as usize]);
        } else {
            if at > 0 {
                text.push(' ');
            }
            text.push_str(ENGLISH[(share * ENGLISH.len() as f64) as usize]);
        }
    }
    text
}

fn rows(ids: std::ops::Range<u32>, mut row: impl FnMut(&mut String, u32) -> std::fmt::Result) -> String {
    let mut text = String::new();
    for id in ids {
        if !text.is_empty() {
            text.push(',');
        }
        row(&mut text, id).expect("a string takes every text");
    }
    text
}

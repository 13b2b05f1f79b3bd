//! What others have to tell an end, until the end's own task says it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use belay_protocol::message::FromRelay;
use quinn::Connection;
use tokio::sync::Notify;

use crate::close::Close;

/// Messages that wait for an agent. An end that does not read this many is closed rather than buffered for.
const AGENT_MESSAGES_MAX: usize = 64;

/// Messages that wait for a desk, which is told of every one of its agents when it comes back.
const DESK_MESSAGES_MAX: usize = 50_000;

/// An end's messages.
#[derive(Debug)]
pub(super) struct Mailbox {
    connection: Connection,
    messages_max: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<FromRelay>,
    is_closed: bool,
}

impl Mailbox {
    pub(super) fn new(connection: Connection, is_desk: bool) -> Self {
        let messages_max = if is_desk { DESK_MESSAGES_MAX } else { AGENT_MESSAGES_MAX };
        Self { connection, messages_max, state: Mutex::default(), arrived: Notify::new() }
    }

    /// Adds a message; `false` when too many wait.
    pub(super) fn put(&self, message: FromRelay) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.messages.len() >= self.messages_max {
            return false;
        }
        state.messages.push_back(message);
        drop(state);
        self.arrived.notify_one();
        true
    }

    /// Closes the end's connection.
    pub(super) fn close(&self, why: Close) {
        why.close(&self.connection);
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.arrived.notify_one();
    }

    /// The next message; `None` once the mailbox is closed. Cancel-safe.
    pub(super) async fn next(&self) -> Option<FromRelay> {
        loop {
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.is_closed {
                    return None;
                }
                if let Some(message) = state.messages.pop_front() {
                    if state.messages.is_empty() {
                        state.messages.shrink_to_fit();
                    }
                    return Some(message);
                }
            }
            self.arrived.notified().await;
        }
    }
}

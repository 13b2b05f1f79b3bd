//! Talking to the service manager that started us, if one did (sd_notify(3)). Its absence is no error.

use std::time::Duration;

/// The service manager.
#[derive(Debug, Clone, Copy)]
pub(super) struct Supervisor;

#[cfg(target_os = "linux")]
impl Supervisor {
    /// The relay listens, or goes on after a reload.
    pub(super) fn ready(self) {
        tell(&[sd_notify::NotifyState::Ready]);
    }

    /// The configuration is being read again.
    pub(super) fn reloading(self) {
        // The clock without which no reload may be announced has always an answer on Linux.
        if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
            tell(&[sd_notify::NotifyState::Reloading, now]);
        }
    }

    /// The relay is about to stop and needs `within` for it.
    pub(super) fn stopping(self, within: Duration) {
        let microseconds = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
        tell(&[sd_notify::NotifyState::Stopping, sd_notify::NotifyState::ExtendTimeoutUsec(microseconds)]);
    }

    /// The relay lives.
    pub(super) fn alive(self) {
        tell(&[sd_notify::NotifyState::Watchdog]);
    }

    /// How often the service manager wants to hear that; half of the time after which it acts.
    pub(super) fn heartbeat(self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|after| after / 2).filter(|every| !every.is_zero())
    }
}

#[cfg(target_os = "linux")]
fn tell(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

#[cfg(not(target_os = "linux"))]
impl Supervisor {
    pub(super) fn ready(self) {}

    pub(super) fn reloading(self) {}

    pub(super) fn stopping(self, _: Duration) {}

    pub(super) fn alive(self) {}

    pub(super) fn heartbeat(self) -> Option<Duration> {
        None
    }
}

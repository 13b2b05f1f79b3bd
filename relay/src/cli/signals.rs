//! What a person or a service manager asks of a running relay.

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To stop: SIGTERM or Ctrl-C.
    Stop,
    /// To read the configuration again: SIGHUP.
    Reload,
}

/// Hears signals from its making on.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    heard: [(Asked, tokio::signal::unix::Signal); 3],
}

#[cfg(unix)]
impl Signals {
    /// Made before the relay says that it is ready, since whoever is told so may ask at once. Needs a tokio runtime.
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            heard: [
                (Asked::Stop, signal(SignalKind::interrupt())?),
                (Asked::Stop, signal(SignalKind::terminate())?),
                (Asked::Reload, signal(SignalKind::hangup())?),
            ],
        })
    }

    /// The next one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Asked {
        std::future::poll_fn(|cx| {
            let mut heard = self.heard.iter_mut();
            let asked = heard.find_map(|(asked, signal)| signal.poll_recv(cx).is_ready().then_some(*asked));
            asked.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
        })
        .await
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    pub(super) async fn next(&mut self) -> Asked {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a way to hear it the program runs until it is killed.
            std::future::pending::<()>().await;
        }
        Asked::Stop
    }
}

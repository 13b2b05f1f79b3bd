//! Being asked to stop.

/// Listens from this call on for Ctrl-C, and for SIGTERM as service managers send it; the future waits for either.
///
/// Called before a program says that it is ready, since whoever is told so may ask it to stop at once. Must be called
/// within a runtime.
#[cfg(unix)]
pub fn requested() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};

    let signals = signal(SignalKind::interrupt()).and_then(|one| Ok((one, signal(SignalKind::terminate())?)));
    async {
        match signals {
            Ok((mut interrupt, mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            // Without a way to hear a signal the program runs until it is killed.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub async fn requested() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a way to hear it the program runs until it is killed.
        std::future::pending::<()>().await;
    }
}

//! Being asked to stop.

/// Waits for Ctrl-C, or on Unix for SIGTERM as service managers send it.
pub async fn requested() {
    #[cfg(unix)]
    {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        if let Ok(mut terminate) = terminate {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a way to hear the signal the program runs until it is killed.
        std::future::pending::<()>().await;
    }
}

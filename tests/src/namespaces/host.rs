//! A thread of this process that lives in a network namespace.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Namespace;

/// A runtime on one thread inside a namespace: sockets that its tasks open are the namespace's.
#[derive(Debug)]
pub struct Host {
    runtime: Handle,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts one in `namespace`.
    pub fn start(namespace: &Namespace) -> anyhow::Result<Self> {
        let path = format!("/run/netns/{}", namespace.name);
        let file = File::open(&path).with_context(|| path.clone())?;
        let stop = CancellationToken::new();
        let (started, starting) = mpsc::sync_channel(1);
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(std::io::Error::from)
                .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
            match runtime {
                Ok(runtime) => {
                    let _ = started.send(Ok(runtime.handle().clone()));
                    runtime.block_on(stopped.cancelled());
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        });
        let runtime = starting.recv().context("the thread of a host died")?.with_context(|| path)?;
        Ok(Self { runtime, stop, thread: Some(thread) })
    }

    /// Runs `future` inside, to its end or until what this returns is dropped.
    pub async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.spawn(future).await?
    }

    /// Stops everything inside until what this returns is dropped: nothing is read, nothing is answered.
    pub fn freeze(&self) -> mpsc::Sender<()> {
        let (thaw, thawed) = mpsc::channel();
        self.runtime.spawn(async move {
            // It blocks the thread, and that is the point; it ends with an error when the sender is dropped.
            let _ = thawed.recv();
        });
        thaw
    }

    /// Runs `future` inside beside others.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio_util::task::AbortOnDropHandle<T> {
        tokio_util::task::AbortOnDropHandle::new(self.runtime.spawn(future))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

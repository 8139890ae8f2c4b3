//! The service's listener: TLS first, then HTTP/1.1 or HTTP/2, until it is told to stop.

use std::{future::Future, sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Options, Store, routes};

/// A client that has not finished its handshake by then is none.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Time for open requests to end.
const GRACE: Duration = Duration::from_secs(5);

/// Serves records on `listener` until `stop` resolves.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let tls = TlsAcceptor::from(Arc::new(options.identity.server_config(options.gateway.clone())?));
    let watching = tokio::spawn(Arc::clone(&options.identity).watch());
    let store = Arc::new(Store::open(&options.data, options.clock.now())?);
    let service = TowerToHyperService::new(routes::router(store, options));
    let open = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: others will end.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let (tls, service, watcher) = (tls.clone(), service.clone(), open.watcher());
        tokio::spawn(async move {
            let stream = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::info!(%error, "a client was refused"),
                Err(_) => return,
            };
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new());
            builder.http2().timer(TokioTimer::new());
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
    watching.abort();
    // Streams of events do not end by themselves.
    let _ = tokio::time::timeout(GRACE, open.shutdown()).await;
    Ok(())
}

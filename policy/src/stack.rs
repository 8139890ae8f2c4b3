//! A thread with room for what calls itself.

use cardea_core::{Diagnostic, Diagnostics};

/// The deepest text that [`crate::budget`] lets through takes 2 MiB when optimised and less than 16 MiB when not; of what
/// is not used, only addresses are taken.
const STACK: usize = 64 * 1024 * 1024;

/// Does `work` there. Threads of pools have 2 MiB, which a text of a few hundred bytes could overflow.
pub(crate) fn with_room<T: Send>(work: impl FnOnce() -> Result<T, Diagnostics> + Send) -> Result<T, Diagnostics> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("policies".to_owned()).stack_size(STACK).spawn_scoped(scope, work);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(Diagnostic::new("policies", format!("there is no thread to read them: {error}")).into()),
        }
    })
}

//! (being written)

use super::{Context, Ended, Failure};

/// None yet.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Not there yet.
pub async fn run(_arguments: Arguments, _context: &Context) -> Ended {
    Err(Failure::Misused("this command is not there yet".to_owned()))
}

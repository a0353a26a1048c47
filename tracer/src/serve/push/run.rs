//! The turns of it: figures from the board, a request, a pause.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    Push,
    client::{Client, Refusal, Taken},
    pace::pause,
};
use crate::{
    output::{
        escape,
        metrics::{Snapshot, export_request},
    },
    serve::{Board, Target},
};

/// A push takes no longer, connecting included.
const PATIENCE: Duration = Duration::from_secs(10);
/// The last one does not hold up the end for long.
const PARTING: Duration = Duration::from_secs(2);
/// Nothing is known yet: it has just begun.
const SOON: Duration = Duration::from_millis(250);
/// The longest text of a collector that is told.
const MOST_SAID: usize = 200;

/// How pushes went.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Works,
    Partly,
    Fails,
}

/// Pushes until that is ended, and then once more what has not been.
pub(in crate::serve) async fn run(push: Push, board: &Board, mut ended: oneshot::Receiver<()>) {
    let mut turns = Turns::new(push);
    loop {
        let turn = async {
            let pause = turns.next(board, PATIENCE).await;
            sleep(pause).await;
        };
        tokio::select! {
            // Also when the sender is gone.
            _ = &mut ended => break,
            () = turn => {}
        }
    }
    if turns.failures == 0 {
        turns.next(board, PARTING).await;
    }
}

struct Turns {
    push: Push,
    client: Client,
    /// Nothing is said while things go as they should.
    state: State,
    failures: u32,
    /// What arrived last: it is not told again.
    last: Option<Arc<Snapshot>>,
}

impl Turns {
    fn new(push: Push) -> Self {
        let client = Client::new(push.target.clone());
        Self { push, client, state: State::Works, failures: 0, last: None }
    }

    /// Pushes what is on the board, and tells how long to wait for the next time.
    async fn next(&mut self, board: &Board, patience: Duration) -> Duration {
        let Some(published) = board.published() else { return SOON };
        let snapshot = &published.snapshot;
        if self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, snapshot)) {
            return self.push.every;
        }
        let sent = match export_request(snapshot, board.served(), self.push.since_ns) {
            Ok(figures) => timeout(patience, self.client.send(figures)).await.unwrap_or_else(|_too_long| {
                let why = format!("no answer within {} s", patience.as_secs());
                Err(Refusal { why, after: None })
            }),
            Err(error) => Err(Refusal { why: error.to_string(), after: None }),
        };
        let asked = match sent {
            Ok(taken) => {
                self.failures = 0;
                self.last = Some(Arc::clone(snapshot));
                self.took(&taken);
                None
            }
            Err(Refusal { why, after }) => {
                self.failures = self.failures.saturating_add(1);
                self.failed(&why);
                after
            }
        };
        pause(self.push.every, self.failures, asked)
    }

    fn took(&mut self, taken: &Taken) {
        match taken {
            Taken::Whole => {
                self.change(State::Works, |target| format!("figures are pushed to {target} again"));
            }
            Taken::Partly(count, why) => self.change(State::Partly, |target| {
                format!("{target} takes figures but leaves out {count} of them: {}", short(why))
            }),
        }
    }

    fn failed(&mut self, why: &str) {
        log::debug!("figures are not pushed: {why}");
        self.change(State::Fails, |target| {
            format!(
                "figures cannot be pushed to {target}: {}; tracing goes on, /metrics has them, and it tries \
                 again at most every five minutes",
                short(why)
            )
        });
    }

    /// Says so, once, if it was otherwise before.
    fn change(&mut self, state: State, told: impl FnOnce(&Target) -> String) {
        if self.state != state {
            self.state = state;
            (self.push.say)(&told(&self.push.target));
        }
    }
}

/// Words of somebody else, harmless and not too many.
fn short(words: &str) -> String {
    escape(words).chars().take(MOST_SAID).collect()
}

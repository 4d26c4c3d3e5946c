//! The queue of a thread that writes a log.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

/// The pause between two attempts to put an entry into a full queue.
const PAUSE: Duration = Duration::from_millis(10);

/// Puts `entry` into `queue`, and waits until the thread that reads the queue answers. Waits for
/// room if the queue is full. Returns false if the answer does not come within `timeout`, or if the
/// thread ends without an answer.
pub(crate) fn ask_within<T>(
    queue: &SyncSender<T>,
    mut entry: T,
    answer: &Receiver<()>,
    timeout: Duration,
) -> bool {
    let begun = Instant::now();
    while let Err(TrySendError::Full(not_sent)) = queue.try_send(entry) {
        if begun.elapsed() > timeout {
            return false;
        }
        entry = not_sent;
        thread::sleep(PAUSE);
    }
    answer.recv_timeout(timeout.saturating_sub(begun.elapsed())).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn a_full_queue_is_waited_for() {
        let (queue, entries) = sync_channel(1);
        queue.send(1).unwrap();
        let (answers, answer) = sync_channel(1);
        let (starts, started) = sync_channel(1);
        let asker = thread::spawn(move || {
            starts.send(()).unwrap();
            ask_within(&queue, 2, &answer, LONG)
        });
        started.recv().unwrap();
        assert_eq!([entries.recv().unwrap(), entries.recv().unwrap()], [1, 2]);
        answers.send(()).unwrap();
        assert!(asker.join().unwrap());
    }

    #[test]
    fn a_thread_that_does_not_answer_is_not_waited_for_without_end() {
        let (queue, entries) = sync_channel(1);
        let (answers, answer) = sync_channel(1);
        // There is room, but no answer.
        assert!(!ask_within(&queue, 1, &answer, SHORT));
        // There is no room.
        assert!(!ask_within(&queue, 2, &answer, SHORT));
        assert_eq!(entries.try_iter().collect::<Vec<_>>(), [1]);
        // The thread has ended, without and with an answer.
        drop(entries);
        answers.send(()).unwrap();
        drop(answers);
        assert!(ask_within(&queue, 3, &answer, LONG));
        assert!(!ask_within(&queue, 4, &answer, LONG));
    }
}

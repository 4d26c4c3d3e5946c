//! A running `mcpid connect`, and a client that asks it one request after another.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running `mcpid connect` whose stdin and stdout the test holds.
pub(crate) struct RunningBridge {
    child: Child,
    client: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl RunningBridge {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let client = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        RunningBridge { child, client, answers }
    }

    /// Sends a ping, and returns the text of the error in its answer.
    pub(crate) fn error_of(&mut self, id: u32) -> String {
        let client = self.client.as_mut().unwrap();
        writeln!(client, r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#).unwrap();
        let answer: Value = serde_json::from_str(&self.answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], id);
        answer["error"]["message"].as_str().unwrap().to_owned()
    }

    /// Closes the bridge's stdin, and checks that the bridge ends well.
    pub(crate) fn ends_well(mut self) {
        drop(self.client.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for RunningBridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

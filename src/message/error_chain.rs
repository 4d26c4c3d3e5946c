//! An error and its causes in one line.

use crate::secret::json_fault;

use super::shown::{MOST_PRINTED, capped};

/// Returns an error and its causes, joined with colons in one line. Each part is cut to a maximum
/// length. For invalid JSON, only the position is given, because the parser's own message repeats
/// the input.
pub fn chain(error: &dyn std::error::Error) -> String {
    let part = |text: String| capped(&text, MOST_PRINTED).into_owned();
    let mut line = part(error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = part(match error.downcast_ref() {
            Some(json) => json_fault(json),
            None => error.to_string(),
        });
        // Some libraries repeat the text of a cause in the error above it.
        let is_repeated = line
            .strip_suffix(&*why)
            .is_some_and(|before| before.is_empty() || before.ends_with(": "));
        if !is_repeated {
            line.push_str(": ");
            line.push_str(&why);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::error::Error;
    use std::fmt;

    use super::chain;

    /// An error for this test, with a message and perhaps a cause.
    #[derive(Debug)]
    struct Told(&'static str, Option<Box<Told>>);

    impl fmt::Display for Told {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Told {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &(dyn Error + 'static))
        }
    }

    #[test]
    fn a_cause_that_the_error_above_it_repeats_is_told_once() {
        for (words, line) in [
            (&["lost", "refused"][..], "lost: refused"),
            (&["lost", "refused", "refused"], "lost: refused"),
            (&["lost", "open: refused", "refused"], "lost: open: refused"),
            (&["refused", "refused"], "refused"),
            // A cause is left out only if the message above it ends with exactly this text after a
            // separator.
            (&["not refused", "refused"], "not refused: refused"),
            (&["refused", "lost", "refused"], "refused: lost: refused"),
        ] {
            let cause = |cause, words: &&'static str| Some(Box::new(Told(words, cause)));
            let error = words.iter().rev().fold(None, cause).unwrap();
            assert_eq!(chain(&*error), line);
        }
    }
}

//! Lines that are drawn again and again at the foot of a terminal, and what is written above them.

use std::io;
use std::sync::{Mutex, PoisonError};

use console::Term;
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

/// The lines of the run under way.
static DRAWN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// How often they are drawn in a second at most.
const HERTZ: u8 = 20;

/// What a terminal shows of a key that interrupts, typed twice.
const ECHO: u16 = 4;

/// Begins to draw on stderr.
pub fn begin() -> MultiProgress {
    let terminal = Narrow(Term::buffered_stderr());
    let lines = MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(Box::new(terminal), HERTZ));
    *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(lines.clone());
    lines
}

/// Nothing is drawn any more.
pub fn end() {
    if let Some(lines) = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that is gone needs no clearing.
        let _ = lines.clear();
    }
}

/// Writes to the same terminal with `write`, above the lines that are drawn.
pub fn above<R>(write: impl FnOnce() -> R) -> R {
    match &*DRAWN.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(lines) => lines.suspend(write),
        None => write(),
    }
}

/// A terminal that says it is narrower. What is drawn fills its last line, and the echo of Ctrl-C behind that would go to a line of its
/// own, so that the lines are drawn one further down and the first one stays where it was.
#[derive(Debug)]
struct Narrow(Term);

#[deny(clippy::missing_trait_methods)]
impl TermLike for Narrow {
    fn width(&self) -> u16 {
        TermLike::width(&self.0).saturating_sub(ECHO)
    }

    fn height(&self) -> u16 {
        TermLike::height(&self.0)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.0.write_line(s)
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.0.write_str(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

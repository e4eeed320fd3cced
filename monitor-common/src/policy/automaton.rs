//! Walking a byte string through deterministic automata.
//!
//! Every kind of text has two automata, walked side by side: one for patterns that begin at a fixed place (`/etc/..`),
//! one for patterns that float (`**/..`). Apart they are as large as their sum, in one they would be as large as their
//! product.
//!
//! All automata share one table of words. A half state is the index of its row: word 0 says what it accepts when the
//! input ends there (0: nothing), word `1 + class` is the next half state. Row 0 is dead. What a half state accepts is
//! the index of a record, because what both say together is more than what each says alone:
//!
//! ```text
//! floating:  number n of the set, answer if the fixed half accepts nothing
//! fixed:     answer if the floating half accepts nothing, answers for n = 1, 2, ..
//! ```

/// Two half states: the fixed one below, the floating one above. 0 is dead.
pub type State = u64;

/// Puts two half states together.
#[inline(always)]
#[must_use]
pub const fn state(fixed: u32, floating: u32) -> State {
    fixed as u64 | (floating as u64) << 32
}

/// Read access to the tables of the automata.
pub trait Automata {
    /// The word at `index`; 0 where there is none.
    fn word(&self, index: u32) -> u32;
    /// The class of `byte`.
    fn class(&self, byte: u8) -> u32;

    /// One byte further.
    #[inline(always)]
    fn step(&self, from: State, byte: u8) -> State {
        let class = self.class(byte);
        state(self.half_step(from as u32, class), self.half_step((from >> 32) as u32, class))
    }

    /// One byte further in one automaton. The dead state is left without a look: the fixed half of most paths dies
    /// early.
    #[inline(always)]
    fn half_step(&self, half: u32, class: u32) -> u32 {
        if half == 0 { 0 } else { self.word(half.wrapping_add(1).wrapping_add(class)) }
    }

    /// What the input accepts if it ends in `at`: 0, or a number that the compiler gave.
    #[inline(always)]
    fn accepts(&self, at: State) -> u32 {
        let fixed = self.word(at as u32);
        let floating = self.word((at >> 32) as u32);
        match (fixed, floating) {
            (0, 0) => 0,
            (0, record) => self.word(record.wrapping_add(1)),
            (record, 0) => self.word(record),
            (record, other) => self.word(record.wrapping_add(self.word(other))),
        }
    }
}

/// The deepest path the lexical walk follows; deeper ones are an `opaque-path`.
pub const LEXICAL_DEPTH: usize = 64;

/// Walks a path as a user wrote it: empty components and `.` change nothing and `..` takes one back, without asking
/// the file system. The kernel's own paths have no such components and take the plain steps.
///
/// The stack holds the state at the end of each component, so a path costs one step a byte however it is written.
pub struct LexicalWalk {
    /// State behind the first slash, which is also the end of the path `/`.
    root: State,
    /// State at the end of the last but one complete component, without its slash.
    outer: State,
    /// State at the end of the last complete component.
    named: State,
    /// State behind the slash after it.
    base: State,
    /// State inside the component that follows.
    inner: State,
    /// Complete components.
    depth: u32,
    /// Bytes of the component so far, and how many of them lead it as dots; both stop at 3.
    length: u8,
    dots: u8,
    /// True once more than [`LEXICAL_DEPTH`] components were met: the answer is then not to be trusted.
    pub overflow: bool,
}

impl LexicalWalk {
    /// Starts at the root directory with the automaton's `start` state.
    #[inline(always)]
    pub fn new<A: Automata>(automata: &A, start: State, stack: &mut [State; LEXICAL_DEPTH]) -> Self {
        let root = automata.step(start, b'/');
        stack[0] = start;
        Self {
            root,
            outer: start,
            named: start,
            base: root,
            inner: root,
            depth: 0,
            length: 0,
            dots: 0,
            overflow: false,
        }
    }

    /// Takes one byte of an absolute path (the first slash may be given or left out).
    #[inline(always)]
    pub fn push<A: Automata>(&mut self, automata: &A, stack: &mut [State; LEXICAL_DEPTH], byte: u8) {
        if byte == b'/' {
            self.close(automata, stack);
            return;
        }
        self.inner = automata.step(self.inner, byte);
        if byte == b'.' && self.dots == self.length && self.dots < 3 {
            self.dots += 1;
        }
        if self.length < 3 {
            self.length += 1;
        }
    }

    /// What the path accepts if it ends here: `/a/b/`, `/a/b/.` and `/a/b/c/..` are `/a/b`.
    #[inline(always)]
    pub fn accepts<A: Automata>(&self, automata: &A) -> u32 {
        let dots = self.dots == self.length;
        let (state, depth) = if dots && self.length == 2 {
            (self.outer, self.depth.saturating_sub(1))
        } else if dots && self.length < 2 {
            (self.named, self.depth)
        } else {
            return automata.accepts(self.inner);
        };
        automata.accepts(if depth == 0 { self.root } else { state })
    }

    #[inline(always)]
    fn close<A: Automata>(&mut self, automata: &A, stack: &mut [State; LEXICAL_DEPTH]) {
        let dots = self.dots == self.length;
        if dots && self.length == 2 {
            // The root directory is its own parent.
            if self.depth > 0 {
                self.depth -= 1;
            }
            self.named = stack[(self.depth as usize) & (LEXICAL_DEPTH - 1)];
            self.base = automata.step(self.named, b'/');
            self.outer = stack[(self.depth.saturating_sub(1) as usize) & (LEXICAL_DEPTH - 1)];
        } else if self.length > 2 || !dots {
            if self.depth as usize + 1 < LEXICAL_DEPTH {
                self.depth += 1;
            } else {
                self.overflow = true;
            }
            stack[(self.depth as usize) & (LEXICAL_DEPTH - 1)] = self.inner;
            self.outer = self.named;
            self.named = self.inner;
            self.base = automata.step(self.inner, b'/');
        }
        self.inner = self.base;
        self.length = 0;
        self.dots = 0;
    }
}

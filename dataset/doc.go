// Package dataset gives corpora of labelled audit events and cuts them into windows and parts.
//
// The words, used the same way everywhere:
//
//   - A raw line is one line of a file; an event is one request with all its stages. Every count here
//     is in events unless it says raw lines.
//   - A context is the event that started something, its trigger, and all events that it caused. The
//     label of an event is the own label of its context's trigger. One context is one object that a
//     command changed; contexts of one command share an operation.
//   - User-caused events belong to contexts that a person or a CI account started; every other event
//     is background and a context of its own.
//   - An ambiguous event is one whose cause the recording does not know for sure. It stays in windows
//     as input and is never learnt from or scored as if it were known.
//   - A corpus is a recording with that truth: found by name (one is embedded in this package), or a file.
//     Events of before the first action and of the recording itself are left out, counted.
//   - A window is W consecutive events of a sequence, written as two numbers; nothing is copied. A
//     sequence shorter than W makes one short window, which its user pads and masks.
//   - A protocol says how a corpus is cut into training, validation and test: [SplitPaper] as the
//     paper did (its parts share events), [SplitBlocked] honestly, [SplitUnseen] with actions that training never shows, [SplitAll] for a model to ship.
//
// Corpora are published, so a recording enters through [Import], which masks secrets with [Masker];
// [ScanSecrets] looks for what masking should have removed, in ways of its own.
package dataset

// Package truth says of every event of a recording what caused it.
//
// A recording is an audit log at level RequestResponse and the journal of the commands that were run
// while it was written. Every request of a person's process names its command (the stamp in its user
// agent), which makes the contexts. Everything else is tied to a context by the identity of objects:
// uid and owners, the one object that a name meant at the time, bindings, the object that an Event or
// a token is about, what changed in an object, or lying inside exactly one request. Time only orders;
// it never decides alone. A cause that is not sure is not guessed: the event has no context and
// carries its candidates.
//
// [Label] does that. [Routes] and [Check] judge it by means that do not read identity: tokens that
// travelled through names, and the schedule of recordings in which one command ran at a time.
package truth

// Package query is the language in which one asks for contexts: conditions speak of the event that
// started a context, its trigger, and the answer is whole contexts. It completes the language of the
// paper "Sharpening Kubernetes Audit Logs with Context Awareness" (section 5.10, Table 7) and gives it
// types; nothing that a user writes is ever run as code.
//
//	expression  = conjunction { "or" conjunction }
//	conjunction = factor { "and" factor }
//	factor      = { "not" } ( "(" expression ")" | condition )
//	condition   = operand                              exists(...), any(...) or all(...)
//	            | operand ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) operand
//	            | operand ( "<" | "<=" ) operand ( "<" | "<=" ) operand      or both turned round
//	operand     = text | number | time | "true" | "false" | path | function "(" expression ")"
//	path        = name { "." name | "[" text "]" | "[" number "]" }
//	time        = 2026-11-22T05:04:03Z | 2026-11-22 | 22/11/2026 | now | now-1h30m | now+7d
//	text        = "..." | '...', with Go's escapes, or `...` as it is
//
// Functions: exists(PATH); any(E), all(E) and count(E), in which E speaks of each event of the context
// in turn; regexp(TEXT), only beside == and !=, in RE2's syntax and not anchored. The empty expression
// matches every context.
//
// Names are the audit event's (objectRef.namespace, requestObject.spec.replicas,
// annotations["authorization.k8s.io/decision"]), the paper's short ones in any case (username,
// namespace, stagetimestamp), and the context's own: id, label, operation, parent and size, its number
// of events. [Names] lists them.
//
// Meaning, where one could doubt:
//
//   - Types are checked before anything is evaluated. A text beside a time is read as a time, a text or
//     number beside label as a label.
//   - Text fields that are absent are empty: namespace == "" finds requests without one. Whatever else
//     is absent (a status, a member of a body, every field of a trigger that is not in the log) satisfies
//     no comparison but !=, for a != b is not (a == b).
//   - Of a list, one element that fits is enough, and a step into a list is a step into each element:
//     user.groups == "system:masters", requestObject.spec.containers.image == "busybox".
//   - Members of bodies have the type that they have in JSON; numbers are compared as float64.
//   - Dates without a time are midnight UTC; now is the moment of compiling unless [Options] say another.
package query

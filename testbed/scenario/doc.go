// Package scenario turns scenarios, which are data, into a plan of actions.
//
// A [Library] is read from TOML files: the kinds of objects with their manifests, the charts, the
// roles of people, and the scenarios themselves. [Library.Plan] expands it under a [Profile] and a
// seed: parameters, objects, names, order, neighbours and think times are drawn; the same seed gives
// the same actions in the same order. Nothing here talks to a cluster.
//
// The schema is described in testbed/scenarios/README.md.
package scenario

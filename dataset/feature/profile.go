// Package feature turns events into rows of small numbers: which fields of an event a model sees,
// how each is read, and which id stands for which value.
//
// A [Profile] is a table of fields. Three exist. [Paper] has the 39 of the reference, columns and ids as
// it has them, its dead columns included. [Honest] has the same information with the dead
// columns alive, absent told from empty, both Event APIs, and no text that only one environment
// knows. [Linked] adds how an event lies to others of its log. An [Encoder] is a profile with the vocabularies learned from some events; it is what a
// model file carries.
package feature

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8ntext/suggest"
)

// Encodings of a field: how its value becomes one of the texts that are numbered.
const (
	encText      = "text"      // the value as it is
	encClass     = "class"     // one word of a closed or checked set; anything else is "other"
	encPresence  = "presence"  // absent, empty or present
	encBucket    = "bucket"    // a number or a count: 0, 1, 2, 3-4, 5-8, 9-16, 17-64, 65+
	encBinarised = "binarised" // 1 if not empty, 0 if empty, null if absent
	encVerb      = "verb id"   // the reference's merged verbs, 1 to 5
	encAge       = "age"       // a time between two requests, in ten classes
)

// Values of [Field.Source].
const (
	fromPaper  = "paper"  // one of the reference's 39, or the same information read soundly
	fromHonest = "honest" // the reference does not have it
	fromLinked = "linked" // of other events of the log
)

// Field is one column: what it is called, what it says and how it is encoded.
type Field struct {
	Path     string // unique in its profile; where a value has one place in the event, that place
	Meaning  string
	Encoding string // text, class, presence, bucket, binarised, verb id or age
	Source   string // paper: one of the reference's, or its information read soundly; honest: new; linked: of other events

	agent bool     // the value derives from the client's user agent
	needs []string // the paths of the bodies that read is given, in this order
	read  func(r *row, in []slot) value
}

// Profile is a table of fields in the order of the columns. The zero value has none; profiles come
// from [Paper], [Honest], [Linked] and [ByName].
type Profile struct {
	name   string
	rising bool // ids from 0 in order of first appearance, null a value like others
	linked bool // fields need relations
	limit  int  // values per field
	fields []Field
}

// Paper is the reference's feature set: 39 columns in alphabetical order, ids rising from 0 in order
// of first appearance, null a category of its own. Ten columns are null on every real event: the
// reference asks for metadata.ownerReferences.kind where its flattening writes
// metadata.ownerReferences[0].kind, and for parts of involvedObject that do not exist. They are
// kept so that results compare.
//
// In one point it differs on purpose: an apiGroup "core" or a null namespace, which the reference's
// labelling tool writes into events and raw logs never have, count as absent, so that training
// and use see the same.
func Paper() Profile {
	return Profile{name: "paper", rising: true, limit: 1<<16 - 1, fields: paperFields()}
}

// Honest is the default feature set. Ids 0, 1 and 2 are unknown, absent and empty in every field.
// Vocabularies are small: names of objects, namespaces, hosts, images, versions and custom resources
// are never values, only whether they are there or which class they belong to.
func Honest() Profile {
	return Profile{name: "honest", limit: 256, fields: honestFields()}
}

// Linked is [Honest] and relations to other events of the log, found by identity: what kind of request,
// by whom and how long ago last changed the event's object, what that depends on and its namespace; which
// of people's changes it goes back to; what created and what deletes it; and where a person reads, what the
// same person did before and does next. Names, uids and addresses tie events together and are never
// values.
//
// It needs the events in order and has state, which starts anew with each part of a corpus and each
// log and is bounded as that of an [identity.Tracker]. What a person reads is encoded when the person's
// next change is known, at most 64 events later. Without bodies the ties are names alone.
func Linked() Profile {
	return Profile{name: "linked", linked: true, limit: 256, fields: linkedFields()}
}

// Names lists the names that [ByName] knows.
func Names() []string { return []string{"honest", "linked", "paper"} }

// ByName returns the profile of that name.
func ByName(name string) (Profile, error) {
	switch name {
	case "paper":
		return Paper(), nil
	case "honest":
		return Honest(), nil
	case "linked":
		return Linked(), nil
	}
	return Profile{}, fmt.Errorf("unknown feature profile %q: use one of %s", name, strings.Join(Names(), ", "))
}

// Name is "paper", "honest" or "linked", also after [Profile.Without].
func (p Profile) Name() string { return p.name }

// Stream starts a log whose events are read by [Stream.NextText] alone: it has no vocabularies.
func (p Profile) Stream() *Stream { return newEncoder(p).Stream() }

// Absent tells whether a text of [Stream.NextText] stands for a field that the event does not have.
func (p Profile) Absent(text string) bool {
	return p.rising && text == textNull || !p.rising && text == textAbsent
}

// Ties is [Encoder.Ties] of the profile's encoders.
func (p Profile) Ties() int {
	if p.linked {
		return ties
	}
	return 0
}

// Fields lists the columns in order. The slice is the caller's.
func (p Profile) Fields() []Field { return slices.Clone(p.fields) }

// paths are the paths of the columns in order.
func (p Profile) paths() []string {
	paths := make([]string, len(p.fields))
	for i, f := range p.fields {
		paths[i] = f.Path
	}
	return paths
}

// Without returns the profile less the fields of the given paths; one that ends in * stands for every path
// that begins so. A path that the profile does not have is an error that names the nearest; so is a profile
// with nothing left.
func (p Profile) Without(paths ...string) (Profile, error) {
	drop := make(map[string]bool, len(paths))
	for _, path := range paths {
		prefix, several := strings.CutSuffix(path, "*")
		found := false
		for _, f := range p.fields {
			if f.Path == path || several && strings.HasPrefix(f.Path, prefix) {
				drop[f.Path], found = true, true
			}
		}
		if !found {
			return Profile{}, fmt.Errorf("profile %s has no field %q: did you mean %q?", p.name, path, suggest.Nearest(path, p.paths()))
		}
	}
	rest := p
	rest.fields = slices.DeleteFunc(slices.Clone(p.fields), func(f Field) bool { return drop[f.Path] })
	if len(rest.fields) == 0 {
		return Profile{}, fmt.Errorf("no field of profile %s is left: keep at least one", p.name)
	}
	return rest, nil
}

// Table is the profile as a Markdown table, its columns aligned: number, path, meaning, encoding, source.
func (p Profile) Table() string {
	rows := [][]string{{"#", "field", "meaning", "encoding", "source"}}
	for i, f := range p.fields {
		rows = append(rows, []string{strconv.Itoa(i), "`" + f.Path + "`", f.Meaning, f.Encoding, f.Source})
	}
	var widths [5]int
	for _, r := range rows {
		for c, cell := range r {
			widths[c] = max(widths[c], len(cell))
		}
	}
	var b strings.Builder
	for i, r := range rows {
		for c, cell := range r {
			fmt.Fprintf(&b, "| %-*s ", widths[c], cell)
		}
		b.WriteString("|\n")
		if i == 0 {
			for _, w := range widths {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

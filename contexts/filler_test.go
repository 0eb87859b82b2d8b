package contexts

import (
	"fmt"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
)

// TestFiller: what a builder made of a log is made again from the bare contexts and the log.
func TestFiller(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := logs(t)
		for i, e := range events { // two events a line at times
			e.Stages[0].Position.Line = 1 + i - i%rapid.SampledFrom([]int{1, 2}).Draw(t, "a line")
		}
		want := rebuilt(Options{Level: Identity}, events...)
		bare := make([]*Context, len(want))
		for i, c := range want {
			bare[i] = &Context{ID: c.ID, Label: c.Label, User: c.User, Operation: c.Operation, Parent: c.Parent, Trigger: c.Trigger, Members: c.Members}
		}
		f := NewFiller(bare)
		var got []*Context
		for _, e := range events {
			got = append(got, f.Push(e)...)
		}
		slices.SortFunc(got, func(a, b *Context) int { return a.Members[0].Event - b.Members[0].Event })
		if f.Missing() != 0 || len(got) != len(want) {
			t.Fatalf("%d of %d contexts, %d events missing", len(got), len(want), f.Missing())
		}
		// A builder knows of an object's uid what it knows when it looks: the same, or no less.
		noUID := cmp.Transformer("name", func(o identity.Object) string { return fmt.Sprint(o.Group, o.Resource, o.Namespace, o.Name) })
		if diff := cmp.Diff(want, got, noUID, cmpopts.IgnoreFields(Context{}, "Provisional", "Continued", "Objects", "MoreObjects")); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestFillerOfPart: events that are not read any more, or are in no context, are no others.
func TestFillerOfPart(t *testing.T) {
	var events []*audit.Event
	for i, text := range []string{"0 alice create configmaps shop/a 201", "9 bob create configmaps shop/b 201", "18 carol create configmaps shop/c 201"} {
		e := line(text, "")
		e.Stages[0].Position.Line = i + 1
		events = append(events, e)
	}
	list := rebuilt(Options{Level: Identity}, events...)
	f := NewFiller([]*Context{{ID: "x", Trigger: list[1].Trigger, Members: list[1].Members}, {ID: "y", Trigger: list[2].Trigger, Members: list[2].Members}})
	var got []*Context
	for _, e := range events[1:2] {
		got = append(got, f.Push(e)...)
	}
	if len(got) != 1 || got[0].Actor.User != "bob" || got[0].Members[0].Event != 0 || got[0].Trigger.Event != 0 || f.Missing() != 1 {
		t.Errorf("%d contexts, the first %+v, %d events missing", len(got), got[0], f.Missing())
	}
}

// FuzzSight: a body reads the same whether it is stepped over or decoded.
func FuzzSight(f *testing.F) {
	f.Add(`{"kind":"Pod","metadata":{"labels":{"a":"b"},"resourceVersion":"7"},"spec":{},"status":{"x":1}}`)
	f.Add(`{"k\u0069nd":"Pod","metadata":{"labels":{"a":1}},"items":[{"metadata":{"name":"x"}}],"items":[]}`)
	f.Add(`{"kind":"Endpoints","subsets":[{"addresses":[{"targetRef":{"name":"p"}}]}],"message":"a\"b","note":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		v := jsontext.Value(text)
		if !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			return
		}
		slow := &sight{}
		read1(v, slow)
		if diff := cmp.Diff(slow, readSight(v), cmp.AllowUnexported(sight{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: decoded (-), stepped over (+):\n%s", text, diff)
		}
	})
}

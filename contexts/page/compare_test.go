package page

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	evil := `<script>alert(1)</script>"'\u202e` + "\x1b[31m"
	a := Grouping{Name: "a" + evil, Contexts: []Group{
		{ID: "c0", Who: "alice", What: "create deployments.apps", On: "shop/web", Events: []int{0, 1, 2, 3}},
		{ID: "c4", Who: evil, What: evil, On: evil, Events: []int{4}},
		{ID: "c5", Who: "bob", What: "get pods", On: "shop/*", Events: []int{5, 6}},
	}}
	b := Grouping{Name: "b", Contexts: []Group{
		{ID: "c0", Who: "alice", What: "create deployments.apps", On: "shop/web", Events: []int{0, 1, 2}},
		{ID: "c3", Who: "bob", What: "get pods", On: "shop/*", Events: []int{3, 4, 5, 6, 7}},
	}}
	write := func() string {
		var out bytes.Buffer
		if err := Compare(&out, Comparison{A: a, B: b}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text := write()
	for _, want := range []string{
		"7 events are in both, 0 only in A, 1 only in B", "<b>1</b>of A in several of B", "<b>1</b>of B from several of A",
		`<b class="n">4 events</b> <span class="mono">c0</span>`, `width:75%`, `<span class="n">1 of 5</span>`,
		`<b class="n">5 events</b> <span class="mono">c3</span>`, "&lt;script&gt;", `d="M`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, bad := range []string{"<script", "\x1b", "\u202e", "http:", "https:", "ZgotmplZ"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if text != write() {
		t.Error("two pages of the same differ")
	}
	if err := Compare(new(bytes.Buffer), Comparison{A: a, B: Grouping{Contexts: []Group{{ID: "x", Events: []int{99}}}}}); err == nil {
		t.Error("two logs were compared")
	}
	var many Grouping
	for i := range 300 {
		many.Contexts = append(many.Contexts, Group{ID: fmt.Sprint(i), Events: []int{2 * i, 2*i + 1}})
	}
	one := Grouping{Contexts: []Group{{ID: "all"}}}
	for e := range 600 {
		one.Contexts[0].Events = append(one.Contexts[0].Events, e)
	}
	var out bytes.Buffer
	if err := Compare(&out, Comparison{A: many, B: one}); err != nil || !strings.Contains(out.String(), "and 288 more") {
		t.Errorf("a row is not bounded: %v", err)
	}
}

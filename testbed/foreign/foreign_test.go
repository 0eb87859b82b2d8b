package foreign

import (
	"regexp"
	"slices"
	"testing"
)

func TestParseReport(t *testing.T) {
	got, err := parseReport([]byte(`[{"SpecReports":[
		{"LeafNodeType":"SynchronizedBeforeSuite","LeafNodeText":""},
		{"ContainerHierarchyTexts":["[sig-apps] Job","with a policy"],"LeafNodeType":"It","LeafNodeText":"should run"},
		{"ContainerHierarchyTexts":["[sig-apps] Job"],"LeafNodeType":"It","LeafNodeText":"should end"},
		{"ContainerHierarchyTexts":["[sig-apps] Job"],"LeafNodeType":"It","LeafNodeText":"should end"}]}]`))
	want := []string{"[sig-apps] Job should end", "[sig-apps] Job with a policy should run"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := parseReport([]byte("panic: ")); err == nil {
		t.Error("what is no report is accepted")
	}
}

func TestChoose(t *testing.T) {
	all := []string{"a one", "a two", "a three [Slow]", "b one", "a four", "a five"}
	focus, skip := regexp.MustCompile("^a"), regexp.MustCompile(Skip)
	first := choose(all, focus, skip, 7)
	if again := choose(all, focus, skip, 7); !slices.Equal(first, again) {
		t.Errorf("the same seed gives %q and %q", first, again)
	}
	sorted := slices.Sorted(slices.Values(first))
	if want := []string{"a five", "a four", "a one", "a two"}; !slices.Equal(sorted, want) {
		t.Errorf("chosen %q, want %q", sorted, want)
	}
	if got := choose(all, nil, nil, 7); len(got) != len(all) {
		t.Errorf("%d of %d chosen without a choice", len(got), len(all))
	}
}

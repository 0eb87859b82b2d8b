package plots

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/cmpimg"
)

// someTree is a tree with chains, as equality splits make them, and some depth.
func someTree(leaves int) []TreeNode {
	var nodes []TreeNode
	var grow func(leaves int, share float64) int
	grow = func(leaves int, share float64) int {
		i := len(nodes)
		if leaves == 1 {
			nodes = append(nodes, TreeNode{Lines: []string{fmt.Sprintf("delete apps/replicasets (one, namespaced) %d", i), "312 rows (3.2 %), 98 % pure"}, Share: share, Class: i})
			return i
		}
		nodes = append(nodes, TreeNode{Lines: []string{fmt.Sprintf("objectRef.resource@%d = namespaces", -i%7), fmt.Sprintf("%d rows, gini 0.8", leaves*100)}, Share: share})
		yes := max(1, leaves*(1+i%3)/7)
		nodes[i].Yes = grow(yes, share*float64(yes)/float64(leaves))
		nodes[i].No = grow(leaves-yes, share*float64(leaves-yes)/float64(leaves))
		return i
	}
	grow(leaves, 1)
	return nodes
}

func TestDecisionTree(t *testing.T) {
	serial(t)
	hostile := []TreeNode{{Lines: []string{"<script>alert(1)</script>\x1b[31m"}, Yes: 1, No: 2, Share: 1}, {Lines: []string{strings.Repeat("long ", 90)}}, {Lines: []string{""}, Share: 1}}
	for name, nodes := range map[string][]TreeNode{"tree.png": someTree(9), "tree-hostile.png": hostile} {
		t.Run(name, func(t *testing.T) {
			f, err := DecisionTree("tree", "A tree", "", nodes)
			if err != nil {
				t.Fatal(err)
			}
			samePicture(t, f, name)
			var svg bytes.Buffer
			if err := f.Write(&svg, "svg"); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(svg.String(), "<script") || strings.Contains(svg.String(), "\x1b") {
				t.Error("text of a node is markup in the SVG")
			}
		})
	}
	for name, nodes := range map[string][]TreeNode{
		"none": {}, "a loop": {{Yes: 1, No: 2}, {Yes: 1, No: 2}, {}}, "a child that is not there": {{Yes: 1, No: 7}, {}}, "two parents": {{Yes: 1, No: 1}, {}},
	} {
		if _, err := DecisionTree("tree", "", "", nodes); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func samePicture(t *testing.T, f *Figure, name string) {
	t.Helper()
	var got bytes.Buffer
	if err := f.Write(&got, "png"); err != nil {
		t.Fatal(err)
	}
	same, err := cmpimg.Equal("png", got.Bytes(), golden(t, name, got.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !same {
		t.Errorf("the picture differs from testdata/%s: look at it after go test -update", name)
	}
}

func TestDiagrams(t *testing.T) {
	serial(t)
	matrix := [][]float64{{0, .1, 1, .3}, {math.NaN(), .02, .5, 0}}
	m, err := Matrix("m", "", "", []string{"objectRef.resource", "verb"}, []string{"-2", "-1", "0", "1"}, matrix)
	if err != nil {
		t.Fatal(err)
	}
	samePicture(t, m, "matrix.png")
	b, err := Bars("b", "", "", []Bar{{"verb", .5, .4, .6}, {"user.class", .25, 0, 0}, {"nothing", 0, 0, .1}})
	if err != nil {
		t.Fatal(err)
	}
	samePicture(t, b, "bars.png")
	l, err := Lines("l", "", "", "leaves", "agreement", true, []Line{{"best first", []float64{1, 10, 100}, []float64{.1, .6, .8}}, {"top-k", []float64{3, 30}, []float64{.2, .5}}})
	if err != nil {
		t.Fatal(err)
	}
	samePicture(t, l, "lines.png")

	stacks := []Stack{{Name: "verb@0 = delete: yes"}, {Name: "no"}, {Name: "\x1b[31m<script>", Parts: []Part{{"class 0", .1}}}}
	for i := range 9 {
		stacks[i%2].Parts = append(stacks[i%2].Parts, Part{fmt.Sprintf("class %d", i), float64(9-i) / 45})
	}
	stacks[0].Parts = append(stacks[0].Parts, Part{"", .3})
	s, err := Stacks("s", "", "", stacks)
	if err != nil {
		t.Fatal(err)
	}
	samePicture(t, s, "stacks.png")
	h, err := Histograms("h", "", "", []Histogram{
		{"verb@0 = delete? rule 1", []Bin{{"delete", .2, .9}, {"get", .5, 0}, {"4 other values", .3, .1}}},
		{"\x1b[31m<script>", []Bin{{"", 1, 1}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	samePicture(t, h, "histograms.png")

	for name, err := range map[string]error{
		"no stacks":         second(Stacks("s", "", "", nil)),
		"a part of NaN":     second(Stacks("s", "", "", []Stack{{Parts: []Part{{Value: math.NaN()}}}})),
		"no values":         second(Histograms("h", "", "", []Histogram{{}})),
		"a share of two":    second(Histograms("h", "", "", []Histogram{{Bins: []Bin{{All: 2}}}})),
		"no cells":          second(Matrix("m", "", "", nil, nil, nil)),
		"ragged":            second(Matrix("m", "", "", []string{"a", "b"}, []string{"c"}, [][]float64{{1}, {1, 2}})),
		"no bars":           second(Bars("b", "", "", nil)),
		"a bar of NaN":      second(Bars("b", "", "", []Bar{{Value: math.NaN()}})),
		"no points":         second(Lines("l", "", "", "", "", false, nil)),
		"logarithm of zero": second(Lines("l", "", "", "", "", true, []Line{{"", []float64{0}, []float64{1}}})),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second(_ *Figure, err error) error { return err }

package plots

import (
	"fmt"
	"strings"
	"testing"
)

// referenceWindows is Tables 5 and 6 as typed off the paper a second time:
// W: training s / F1 / ms per line.
const referenceWindows = `
 5: 177.50+-27.45 / .8103+-.0240 /  .2
10: 195.15+-42.63 / .9267+-.0173 /  .3
20: 240.10+-41.85 / .9681+-.0093 /  .4
30: 238.35+-36.24 / .9791+-.0099 /  .5
40: 261.55+-51.51 / .9808+-.0068 /  .7
50: 300.70+-43.77 / .9866+-.0047 /  .8
60: 319.60+-43.94 / .9820+-.0082 / 1.0
`

func TestPaperWindows(t *testing.T) {
	p := paperValues(t)
	lines := strings.Split(strings.TrimSpace(referenceWindows), "\n")
	if len(p.Windows) != len(lines) {
		t.Errorf("%d window lengths, the paper has %d", len(p.Windows), len(lines))
	}
	for _, line := range lines {
		var w PaperWindow
		if _, err := fmt.Sscanf(line, "%d: %f+-%f / %f+-%f / %f", &w.Length,
			&w.TrainSeconds[0], &w.TrainSeconds[1], &w.F1[0], &w.F1[1], &w.InferMS); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got := p.Window(w.Length); got == nil || *got != w {
			t.Errorf("W = %d: %+v, the paper has %+v", w.Length, got, w)
		}
	}
	if p.Window(61) != nil {
		t.Error("a window length that the paper does not have is found")
	}
}

func TestPaperClasses(t *testing.T) {
	c := paperValues(t).Classes
	if c.RedAboveWeight != 3000 || c.RedBelowAccuracy != 0.96 {
		t.Errorf("the rule for red is %g and %g, the paper's is 3000 and .96", c.RedAboveWeight, c.RedBelowAccuracy)
	}
	for _, test := range []struct {
		point ClassPoint
		want  bool
	}{
		{ClassPoint{Weight: 3000, Accuracy: 0.96}, false},
		{ClassPoint{Weight: 3001, Accuracy: 1}, true},
		{ClassPoint{Weight: 1, Accuracy: 0.959}, true},
	} {
		if got := c.Picked(test.point); got != test.want {
			t.Errorf("weight %g, accuracy %g: picked is %v", test.point.Weight, test.point.Accuracy, got)
		}
	}
	want := []PaperClass{{"patch leases (one)", 1}, {"create pods (one)", 1}, {"update replicasets (one)", 0.96}, {"list limitranges", 0.95}}
	if fmt.Sprint(c.Named) != fmt.Sprint(want) {
		t.Errorf("named classes %v, the paper's are %v", c.Named, want)
	}
}

package experiments

import (
	"fmt"
	"strconv"
	"strings"

	"k8ntext/dataset/label"
	"k8ntext/metrics"
	"k8ntext/model"
)

// Cells are a confusion matrix without its zeros. As text, which a result file holds, a cell is
// "TRUE>GIVEN:COUNT", and cells stand in ascending order with a space between.
type Cells []metrics.Cell

// MarshalText writes the cells.
func (c Cells) MarshalText() ([]byte, error) {
	var text []byte
	for i, cell := range c {
		if i > 0 {
			text = append(text, ' ')
		}
		text = fmt.Appendf(text, "%d>%d:%d", cell.True, cell.Predicted, cell.Count)
	}
	return text, nil
}

// UnmarshalText reads what [Cells.MarshalText] wrote.
func (c *Cells) UnmarshalText(text []byte) error {
	*c = nil
	for _, part := range strings.Fields(string(text)) {
		truth, rest, _ := strings.Cut(part, ">")
		given, count, _ := strings.Cut(rest, ":")
		t, err1 := strconv.ParseInt(truth, 10, 32)
		g, err2 := strconv.ParseInt(given, 10, 32)
		n, err3 := strconv.ParseInt(count, 10, 64)
		if err1 != nil || err2 != nil || err3 != nil || n <= 0 {
			return fmt.Errorf("cell %q of a confusion matrix is not TRUE>GIVEN:COUNT", part)
		}
		*c = append(*c, metrics.Cell{True: label.Label(t), Predicted: label.Label(g), Count: n})
	}
	return nil
}

// marginBins is how many equal parts of 0 to 1 margins are counted in.
const marginBins = 20

// Margins counts events by the margin at which the network's label won, see [model.Prediction]: bin i holds
// margins from i/20 on. Events whose label is not known for sure are not counted.
type Margins struct {
	Events [marginBins]int `json:"events"`
	Right  [marginBins]int `json:"right"`
	Second [marginBins]int `json:"second"` // not right, but the second choice is
}

func (m *Margins) add(p model.Prediction, truth label.Label) {
	bin := min(max(int(p.Margin*marginBins), 0), marginBins-1)
	m.Events[bin]++
	switch truth {
	case p.Label:
		m.Right[bin]++
	case p.RunnerUp:
		m.Second[bin]++
	}
}

// margins counts what a network said of the events of a corpus that can be scored.
func (e *evaluation) margins(predictions map[int32]model.Prediction) *Margins {
	m := new(Margins)
	for _, event := range e.split.TestEvents() {
		truth := e.corpus.Labels[event]
		if truth >= 0 && metrics.Class(e.corpus.Class[event])&metrics.Ambiguous == 0 {
			m.add(predictions[event], truth)
		}
	}
	return m
}

// confusionOf counts outcomes that can be scored.
func confusionOf(outcomes []metrics.Outcome) Cells {
	c := new(metrics.Confusion)
	for _, o := range outcomes {
		if o.True >= 0 && o.Class&metrics.Ambiguous == 0 {
			c.Add(o.True, o.Predicted, 1)
		}
	}
	return c.Cells()
}

package plots

import "strconv"

// Hyperparameters are the settings of a network and its training, as Table 4 has them.
type Hyperparameters struct {
	Name                                                       string
	Window, Features, MaxEpochs, Patience, ReducePatience      int
	Batch, Stride, WindowsPerEpoch, Parameters, Units1, Units2 int
	LearningRate, ReduceFactor, Dropout                        float64
	TestShare, ValidationShare                                 float64 // 0: the protocol cuts otherwise
	Input                                                      string
}

// HyperparameterTable is the paper's Table 4, the settings of this report beside it.
func HyperparameterTable(columns []Hyperparameters, p Paper, note string) *Table {
	n := p.Network
	g := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	share := func(x float64) string {
		if x == 0 {
			return none
		}
		return g(x)
	}
	count := func(x int) string { return thousands(float64(x)) }
	t := &Table{ID: "table4", Title: "Table 4: hyperparameters", Note: note, Columns: []string{"setting", "paper"}}
	for _, c := range columns {
		t.Columns = append(t.Columns, c.Name)
	}
	row := func(name, paper string, of func(Hyperparameters) string) {
		cells := []string{name, paper}
		for _, c := range columns {
			cells = append(cells, of(c))
		}
		t.Rows = append(t.Rows, cells)
	}
	row("window W", count(n.Window), func(h Hyperparameters) string { return count(h.Window) })
	row("features |F|", count(n.Features), func(h Hyperparameters) string { return count(h.Features) })
	row("input", "one number per feature", func(h Hyperparameters) string { return h.Input })
	row("units per direction, layers 1 and 2", "4 |F|, 3 |F|", func(h Hyperparameters) string { return count(h.Units1) + ", " + count(h.Units2) })
	row("trainable parameters", n.Parameters, func(h Hyperparameters) string { return count(h.Parameters) })
	row("dropout", g(n.Dropout), func(h Hyperparameters) string { return g(h.Dropout) })
	row("learning rate", g(n.LearningRate), func(h Hyperparameters) string { return g(h.LearningRate) })
	row("epochs, at most", count(n.MaxEpochs), func(h Hyperparameters) string { return count(h.MaxEpochs) })
	row("early stopping after epochs without a better loss", count(n.EarlyStoppingPatience), func(h Hyperparameters) string { return count(h.Patience) })
	row("learning rate reduced by, after epochs", g(n.ReduceFactor)+", "+count(n.ReducePatience), func(h Hyperparameters) string { return g(h.ReduceFactor) + ", " + count(h.ReducePatience) })
	row("windows per step", "not stated", func(h Hyperparameters) string { return count(h.Batch) })
	row("windows of an epoch", "all", func(h Hyperparameters) string {
		text := "all"
		if h.Stride > 1 {
			text = "every " + strconv.Itoa(h.Stride) + "th"
		}
		if h.WindowsPerEpoch > 0 {
			text += ", at most " + count(h.WindowsPerEpoch)
		}
		return text
	})
	row("test part, validation part", g(n.TestShare)+", "+g(n.ValidationShare), func(h Hyperparameters) string { return share(h.TestShare) + ", " + share(h.ValidationShare) })
	return t
}

// Package plots draws every figure and lays out every table of a report from plain numbers. It knows
// no model and no experiment.
package plots

import (
	_ "embed"
	"fmt"

	"github.com/BurntSushi/toml"
)

//go:embed paper.toml
var paperTOML string

// Paper holds the paper's own values, to stand beside ours.
type Paper struct {
	Trainings string        `toml:"trainings"` // that the values of Windows are of
	Device    string        `toml:"device"`    // that they ran on
	Windows   []PaperWindow `toml:"window"`    // by length
	Classes   PaperClasses  `toml:"classes"`
}

// PaperWindow is one row of the paper's Tables 5 and 6.
type PaperWindow struct {
	Length       int        `toml:"length"`
	TrainSeconds [2]float64 `toml:"train_seconds"` // mean and standard deviation of 20 runs on a GPU
	F1           [2]float64 `toml:"f1"`            // the same runs
	InferMS      float64    `toml:"infer_ms"`      // per line
}

// PaperClasses is how the paper's Figure 9 picks the classes that it shows in red, and what it says of them.
type PaperClasses struct {
	RedAboveWeight   float64      `toml:"red_above_weight"`
	RedBelowAccuracy float64      `toml:"red_below_accuracy"`
	Named            []PaperClass `toml:"named"`
}

// PaperClass is one class that the paper names.
type PaperClass struct {
	Name     string  `toml:"name"`
	Accuracy float64 `toml:"accuracy"`
}

// LoadPaper returns the paper's values.
func LoadPaper() (Paper, error) {
	var p Paper
	meta, err := toml.Decode(paperTOML, &p)
	if err != nil {
		return Paper{}, fmt.Errorf("read the paper's values: %w", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Paper{}, fmt.Errorf("read the paper's values: unknown key %q", unknown[0])
	}
	return p, nil
}

// Window is the paper's row for one window length, nil where the paper has none.
func (p *Paper) Window(length int) *PaperWindow {
	for i := range p.Windows {
		if p.Windows[i].Length == length {
			return &p.Windows[i]
		}
	}
	return nil
}

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
	Splits    PaperSplits   `toml:"splits"`
	Removal   PaperRemoval  `toml:"removal"`
	Folds     PaperFolds    `toml:"folds"`
	Network   PaperNetwork  `toml:"network"`
	Corpus    PaperCorpus   `toml:"corpus"`
	Costs     []PaperCost   `toml:"cost"`
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

// PaperSplits is the paper's Figure 7: F1 by the shares of test and validation part. A row may be
// shorter than there are validation shares: the sweep was halted.
type PaperSplits struct {
	Test       []float64   `toml:"test"`
	Validation []float64   `toml:"validation"`
	F1         [][]float64 `toml:"f1"`
}

// PaperRemoval is what the paper's Figure 6 and its text say of removing features.
type PaperRemoval struct {
	Trainings     string     `toml:"trainings"`
	Axis          [2]float64 `toml:"axis"`
	Plotted       string     `toml:"plotted"` // what its values are
	Worst         []string   `toml:"worst"`
	BetterWithout []string   `toml:"better_without"`
	RunToRun      [2]float64 `toml:"run_to_run"` // F1 of single trainings of the same setting
	RunToRunStd   float64    `toml:"run_to_run_std"`
}

// PaperFolds is what the paper's Figure 8 and its text say of contiguous folds.
type PaperFolds struct {
	Shown []int      `toml:"shown"` // K
	Best  PaperFold  `toml:"best"`
	Last  [2]float64 `toml:"last"` // lowest and highest accuracy of the last fold
	// Logged are values of single runs.
	Logged []PaperLogged `toml:"logged"`
}

// PaperFold is the accuracy of one fold, counted from 1.
type PaperFold struct {
	Folds    int     `toml:"folds"`
	Fold     int     `toml:"fold"`
	Accuracy float64 `toml:"accuracy"`
}

// PaperLogged is the accuracy over the folds of one K.
type PaperLogged struct {
	Folds   int     `toml:"folds"`
	Mean    float64 `toml:"mean"`
	Lowest  float64 `toml:"lowest"`
	Highest float64 `toml:"highest"`
}

// PaperNetwork is the paper's Table 4 and what it says of its network.
type PaperNetwork struct {
	Window                int     `toml:"window"`
	Features              int     `toml:"features"`
	Classes               int     `toml:"classes"`
	Parameters            string  `toml:"parameters"`
	Bytes                 string  `toml:"bytes"`
	MaxEpochs             int     `toml:"max_epochs"`
	LearningRate          float64 `toml:"learning_rate"`
	EarlyStoppingPatience int     `toml:"early_stopping_patience"`
	ReduceFactor          float64 `toml:"reduce_factor"`
	ReducePatience        int     `toml:"reduce_patience"`
	Dropout               float64 `toml:"dropout"`
	TestShare             float64 `toml:"test_share"`
	ValidationShare       float64 `toml:"validation_share"`
	Repetitions           int     `toml:"repetitions"`
}

// PaperCorpus is what the paper says of its dataset and of contexts.
type PaperCorpus struct {
	Lines          int         `toml:"lines"`
	Bytes          string      `toml:"bytes"`
	Actions        int         `toml:"actions"`
	Executions     int         `toml:"executions"`
	Space          int         `toml:"space"`
	Kubernetes     string      `toml:"kubernetes"`
	Nodes          int         `toml:"nodes"`
	LineCharacters int         `toml:"line_characters"`
	Sizes          []PaperSize `toml:"sizes"`
	LabelsOf50     int         `toml:"labels_of_50"`
	LabelsOf100    int         `toml:"labels_of_100"`
	Claim          float64     `toml:"claim"`
}

// PaperSize is the share of labels whose contexts have so many lines on average, up to the next size.
type PaperSize struct {
	From  int     `toml:"from"`
	Share float64 `toml:"share"`
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

// PaperCost is how many lines the paper counts of actions of one kind.
type PaperCost struct {
	Action string `toml:"action"` // our label's words
	N      int    `toml:"n"`      // actions
	Lines  int    `toml:"lines"`  // of all of them
}

// Cost is the paper's count of the kind of action, nil where it has none.
func (p *Paper) Cost(action string) *PaperCost {
	for i := range p.Costs {
		if p.Costs[i].Action == action {
			return &p.Costs[i]
		}
	}
	return nil
}

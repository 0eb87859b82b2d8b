// Package metrics measures how well events are labelled: counts, F1, kappa, intervals, as flat records.
package metrics

// Record is one measured number with all that is needed to read it. Records are the only thing that
// tables and figures are drawn from.
type Record struct {
	Corpus   string  `json:"corpus"`
	Protocol string  `json:"protocol"` // paper, blocked, ...
	Fold     int     `json:"fold"`     // -1: over all folds
	Method   string  `json:"method"`   // network, own-label, identity, tree, naive-bayes, majority
	Subset   string  `json:"subset"`   // all, user, nontrigger, own-wrong, by-rule, ...; "/seen" and "/unseen" appended
	Metric   string  `json:"metric"`   // accuracy, f1-macro, ...
	Value    float64 `json:"value"`
	N        int     `json:"n"`    // what the value is over: events, windows' positions or trainings
	Low      float64 `json:"low"`  // 95 % interval; Low == High == Value where none can be given
	High     float64 `json:"high"` // see Note
	Seed     uint64  `json:"seed"`
	Note     string  `json:"note,omitempty"` // what the interval covers, or why there is none
}

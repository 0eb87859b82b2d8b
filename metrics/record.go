// Package metrics measures how well events are labelled: counts, F1, kappa, intervals, as flat records.
//
// [Score] turns the outcomes of one method on one part of a corpus into records, [Confusion]
// accumulates what is too much to keep (every position of every window), [MergeFolds] and
// [OverTrainings] put the records of several folds or trainings together. The package knows neither
// networks nor corpora: it sees labels, bits and numbers.
package metrics

// Record is one measured number with all that is needed to read it. Records are the only thing that
// tables and figures are drawn from.
type Record struct {
	Corpus   string  `json:"corpus"`
	Protocol string  `json:"protocol"` // paper, blocked, ...
	Fold     int     `json:"fold"`     // AllFolds: over all folds
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

// AllFolds is the fold of a record that speaks of all folds of a protocol.
const AllFolds = -1

// Subsets of events. Each but Windows also exists with [Seen] and [Unseen] appended.
const (
	SubsetAll        = "all"        // every labelled event, requests without objectRef included
	SubsetUser       = "user"       // caused by a person or CI account, triggers included
	SubsetNonTrigger = "nontrigger" // user-caused events without the triggers
	SubsetOwnWrong   = "own-wrong"  // events whose own label is not their label: the headline
	SubsetByRule     = "by-rule"    // background events whose label a control-plane rule gives
	SubsetBackground = "background" // events of contexts that no user started

	Seen   = "/seen"   // the event's label occurs in the training part
	Unseen = "/unseen" // it does not

	SubsetWindows = "windows"  // all (window, position) pairs, as the paper counts; n is pairs
	SubsetClass   = "windows/" // with a label's number appended: the pairs whose true label it is
)

// Metrics of labels. The macro averages come in two conventions. The plain names average over the
// classes that occur in the truth; a class that is never predicted has precision 0. The names with
// "-union" are the reference's: classes of truth or prediction, and averages drop what is undefined
// (scikit-learn's zero_division=NaN), so a class that is predicted but never true has F1 0 and no
// recall, and one that is never predicted has no precision.
const (
	Accuracy            = "accuracy"
	F1Macro             = "f1-macro"
	F1MacroUnion        = "f1-macro-union"
	PrecisionMacro      = "precision-macro"
	PrecisionMacroUnion = "precision-macro-union"
	RecallMacro         = "recall-macro" // the same in both conventions
	Kappa               = "kappa"        // Cohen's; over one component of the label: kappa-r, -s, -n, -u, -v
	KappaResource       = "kappa-r"
	KappaSubresource    = "kappa-s"
	KappaNamespaced     = "kappa-n"
	KappaSingle         = "kappa-u"
	KappaVerb           = "kappa-v"

	// WorstClass is the accuracy of the label that is right least often, of those with 20 and more events;
	// n is its events.
	WorstClass = "accuracy/worst-class"

	// Accuracy with the ambiguous events counted in; everywhere else they are left out.
	AccuracyCandidates = "accuracy/ambiguous-candidates" // right if the label is among the candidates
	AccuracyAmbiguous  = "accuracy/ambiguous-wrong"      // all of them wrong

	// What [Abstain] measures. The first two are followed by the threshold, as in coverage@0.9.
	Coverage      = "coverage@"    // share of the events that are answered
	AccuracyAbove = "accuracy@"    // of those
	AUROCUnseen   = "auroc-unseen" // how well confidence tells events of seen labels from those of unseen ones
	AUROCWrong    = "auroc-wrong"  // how well it tells right answers from wrong ones

	// Predicted is the start of the metric of a confusion cell: the share of the class of the record's
	// subset that got the label whose number follows.
	Predicted = "predicted/"
)

// A group is what must agree for records to be put together.
type group struct {
	corpus, protocol string
	fold             int
	method           string
	subset, metric   string
	seed             uint64
}

// groupBy splits records by the key that mask leaves, groups in the order of their first record.
func groupBy(records []Record, mask func(*group)) [][]Record {
	index := make(map[group]int)
	var groups [][]Record
	for _, r := range records {
		g := group{r.Corpus, r.Protocol, r.Fold, r.Method, r.Subset, r.Metric, r.Seed}
		mask(&g)
		i, ok := index[g]
		if !ok {
			i = len(groups)
			index[g] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

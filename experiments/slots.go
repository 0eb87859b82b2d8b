package experiments

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Sections of a report, in their order.
const (
	sectionTables     = "The paper's tables"
	sectionFigures    = "The paper's figures"
	sectionStatistics = "What the repetitions can tell"
	sectionFurther    = "Beyond the paper"
)

// A slot is a place in the report for an artefact of the paper. Where nothing was measured for it, the
// report says so in its place.
type slot struct {
	id, title string
	differs   string                   // what is not as in the paper, and why
	gives     func(e *Experiment) bool // whether results of the experiment fill it; nil: it needs no results
}

// varies tells whether an experiment's settings have these keys and no others.
func (e *Experiment) varies(keys ...string) bool {
	return slices.Equal(slices.Sorted(maps.Keys(e.point(0))), keys)
}

// slots are the paper's tables and figures in its order.
func slots() []slot {
	const (
		shorter = "Our networks are those of the paper, its windows, split and score; trained on a log of our own, for as many steps as the note says, on processors. The paper's dataset is not public."
	)
	var (
		windows = func(e *Experiment) bool { return e.Name == windowExperiment }
		queries = func(e *Experiment) bool { return e.Protocol == ProtocolQuery }
		removal = func(e *Experiment) bool { return e.varies("model.without") }
		splits  = func(e *Experiment) bool {
			return e.Protocol == ProtocolPaper && e.varies("test_share", "validation_share")
		}
		folds = func(e *Experiment) bool { return e.Protocol == ProtocolBlocked && e.varies("folds") }
	)
	return []slot{
		{"table1", "Table 1: symbols", "The wording is ours. Everything counts events, which are requests, and not lines, which are stages of requests.", nil},
		{
			"table2", "Table 2: features",
			"The paper prints a part of its 39 features. Ten of them never vary, since its flattening writes ownerReferences[0].kind where the list asks for ownerReferences.kind, and two are no fields of Kubernetes; they stay in for comparison. " +
				"Other profiles (k8ntext feature list) have them mended.", nil,
		},
		{"table3", "Table 3: fields of an event that give a label", "The paper prints the fields alone. Its 1,356 labels are 339 pairs of resource and verb with every combination of the two flags, most of which no request can have.", nil},
		{"table4", "Table 4: hyperparameters", "The first column of ours is the paper's network as its last published code has it, whose epochs are 35; the second is the network that this program ships.", nil},
		{"table5", "Table 5: training time and F1 score by window size", shorter + " Times are of other machines and other numbers of steps: compare how they grow.", windows},
		{"table6", "Table 6: inference time per event by window size", "Ours are of processors, the paper's of a GPU.", windows},
		{"table7", "Table 7: query times", "The paper asks what its programs have in memory, and so do we: contexts whose events were read. Conditions speak of the trigger in both.", queries},
		{"figure1", "Figure 1: one line of an audit log", "The paper shows a Deployment's creation from its cluster (about 4,700 characters), we one from ours, secrets masked.", nil},
		{"figure2", "Figure 2: where a cluster's audit log comes from", "Drawn anew.", nil},
		{"figure3", "Figure 3: a context as a graph", "The paper draws user agents, we the accounts that asked, since one program runs under several.", nil},
		{"figure4", "Figure 4: from audit log to contexts", "Drawn anew, of this program.", nil},
		{"figure5", "Figure 5: layers of the network", "Drawn from the program's own list of layers. Beside the paper's stack stands that of the network that this program ships.", nil},
		{
			"figure6", "Figure 6: what leaving out a feature changes",
			shorter + " The paper's figure plots precision under the title F1; we draw that, then F1, then each feature's difference with its interval, corrected for looking at many.", removal,
		},
		{
			"figure7", "Figure 7: F1 by the shares of test and validation part",
			shorter + " The paper's caption speaks of a confusion matrix, and its text of shares of 0.1 % where 10 % is meant.", splits,
		},
		{
			"figure8", "Figure 8: accuracy of contiguous folds",
			"The paper cuts windows, so that folds share up to W-1 events at their edges, stops on the training's own loss, and runs each K once; ours leaves a gap, purges contexts that lie on both sides, and validates on the last tenth of the training part.", folds,
		},
		{
			"figure9", "Figure 9: class accuracy against weight",
			shorter + " The paper's text gives lease renewals a weight of 500,000, which no test part of its size can have; it fits all window positions of its log.", windows,
		},
		{"figure10", "Figure 10: labels by the average size of their contexts", "The paper counts lines and leaves out labels of custom resources; we count events and all labels.", nil},
	}
}

// arrange puts the artefacts into the order of the report: the paper's in its order, then the others in the
// order in which they were drawn. Where one of the paper's is missing it says so if the report is of the whole
// paper, or of an experiment that gives it.
func (rep *Report) arrange(whole bool, planned []Experiment) {
	place := make(map[string]int)
	for i, s := range slots() {
		place[s.id] = i + 1
		j := slices.IndexFunc(rep.Artefacts, func(a Artefact) bool { return a.ID == s.id })
		if j < 0 {
			var names []string
			for i := range planned {
				if s.gives != nil && s.gives(&planned[i]) && !slices.Contains(names, planned[i].Name) {
					names = append(names, planned[i].Name)
				}
			}
			missing := "Not in this report: none of its experiments measures it."
			switch {
			case len(names) > 0:
				missing = fmt.Sprintf("Not in this report: it needs results of %s.", strings.Join(names, " or "))
			case !whole:
				continue
			}
			rep.Artefacts = append(rep.Artefacts, Artefact{ID: s.id, Title: s.title, Missing: missing})
			j = len(rep.Artefacts) - 1
		}
		a := &rep.Artefacts[j]
		a.Differs = s.differs
		a.Section = sectionTables
		if s.id[:3] == "fig" {
			a.Section = sectionFigures
		}
	}
	sections := []string{sectionTables, sectionFigures, sectionStatistics, sectionFurther}
	for i := range rep.Artefacts {
		if a := &rep.Artefacts[i]; a.Section == "" || place[a.ID] == 0 && (a.Section == sectionTables || a.Section == sectionFigures) {
			a.Section = sectionFurther
		}
	}
	slices.SortStableFunc(rep.Artefacts, func(a, b Artefact) int {
		return cmp.Or(
			cmp.Compare(slices.Index(sections, a.Section), slices.Index(sections, b.Section)),
			cmp.Compare(place[a.ID], place[b.ID]),
		)
	})
}

// Sections are the artefacts by section, in order.
func (rep *Report) Sections() []Section {
	var all []Section
	for _, a := range rep.Artefacts {
		if len(all) == 0 || all[len(all)-1].Title != a.Section {
			all = append(all, Section{Title: a.Section})
		}
		s := &all[len(all)-1]
		s.Artefacts = append(s.Artefacts, a)
	}
	return all
}

// Section is a part of the report.
type Section struct {
	Title     string
	Artefacts []Artefact
}

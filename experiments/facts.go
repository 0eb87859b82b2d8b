package experiments

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"k8ntext/dataset"
)

// aboutCorpus says how large a corpus is.
func aboutCorpus(c *dataset.Corpus) string {
	users := 0
	for _, x := range c.Contexts {
		if x.User {
			users++
		}
	}
	return fmt.Sprintf("Corpus %s: %s in %s, %s of which users started (digest %.12s).",
		c.Name, count(len(c.Events), "event"), count(len(c.Contexts), "context"), number(users), c.Digest)
}

// aboutTrainings says how many networks were trained how far.
func aboutTrainings(results []*Result) string {
	trained, cut, steps := 0, 0, 0
	for _, r := range results {
		if r.History == nil {
			continue
		}
		trained++
		steps += r.Sizes.Steps
		if cutShort(r) {
			cut++
		}
	}
	text := fmt.Sprintf("%s with a result", count(len(results), "trial"))
	if trained > 0 {
		text += fmt.Sprintf("; %s of networks with %s in all", count(trained, "training"), count(steps, "optimiser step"))
	}
	if cut > 0 {
		text += fmt.Sprintf(". %s of %s ended at the last allowed epoch, before early stopping: those numbers say what short trainings reach, not what the method can", number(cut), number(trained))
	}
	return text + "."
}

// cutShort tells whether a training ended because its epochs were used up.
func cutShort(r *Result) bool { return r.History != nil && len(r.History.Epochs) >= r.Config.MaxEpochs }

// gaps says what of the plan is not in the results, one line for each reason and experiment.
func gaps(trials []Trial, results []*Result, missing []Trial, strangers []string) []string {
	const named = 3 // trials of a line that are named
	var lines []string
	planned := make(map[string]int)
	var order []string
	for _, t := range trials {
		if planned[t.Experiment] == 0 {
			order = append(order, t.Experiment)
		}
		planned[t.Experiment]++
	}
	for _, experiment := range order {
		line := func(what string, items []string) {
			if len(items) == 0 {
				return
			}
			n := len(items)
			if n > named {
				items = append(items[:named:named], fmt.Sprintf("and %d more", n-named))
			}
			lines = append(lines, fmt.Sprintf("%s: %d of %s %s: %s.", experiment, n, count(planned[experiment], "trial"), what, strings.Join(items, "; ")))
		}
		var absent, failed []string
		for _, t := range missing {
			if t.Experiment == experiment {
				absent = append(absent, t.Describe())
			}
		}
		for _, r := range results {
			if r.Trial.Experiment == experiment && r.Error != "" {
				failed = append(failed, fmt.Sprintf("%s (%s)", r.Trial.Describe(), r.Error))
			}
		}
		line("without a result yet", absent)
		line("failed", failed)
	}
	if n := len(strangers); n > 0 {
		names := make([]string, min(n, named))
		for i := range names {
			names[i] = filepath.Base(strangers[i])
		}
		if n > named {
			names = append(names, fmt.Sprintf("and %d more", n-named))
		}
		lines = append(lines, fmt.Sprintf("%s of no planned trial, left out: %s. They are of another version of the experiments, corpus or program; delete them if nobody needs them.",
			count(n, "result file"), strings.Join(names, ", ")))
	}
	return lines
}

// training is how far a set of trainings went, in words.
func training(results []*Result) string {
	var steps, windows, events []int
	for _, r := range results {
		steps = append(steps, r.Sizes.Steps)
		windows = append(windows, r.Sizes.TrainWindows)
		events = append(events, r.Sizes.TrainEvents)
	}
	return fmt.Sprintf("%s steps of %d windows, drawn from %s windows over %s events",
		span(steps), results[0].Sizes.Batch, span(windows), span(events))
}

// span is the range of some whole numbers.
func span(x []int) string {
	low, high := slices.Min(x), slices.Max(x)
	if low == high {
		return number(low)
	}
	return number(low) + " to " + number(high)
}

var digits = regexp.MustCompile(`\d+`)

// merge makes one of texts that differ only in their numbers, each number becoming a [span]; texts
// that differ otherwise stand side by side.
func merge(texts []string) string {
	distinct := slices.Compact(slices.Sorted(slices.Values(texts)))
	if len(distinct) == 0 {
		return ""
	}
	columns := make([][]int, len(digits.FindAllString(distinct[0], -1)))
	for _, t := range distinct {
		numbers := digits.FindAllString(t, -1)
		if digits.ReplaceAllString(t, "#") != digits.ReplaceAllString(distinct[0], "#") {
			return strings.Join(distinct, "; ")
		}
		for i, n := range numbers {
			value, err := strconv.Atoi(n)
			if err != nil {
				return strings.Join(distinct, "; ")
			}
			columns[i] = append(columns[i], value)
		}
	}
	i := -1
	return digits.ReplaceAllStringFunc(distinct[0], func(string) string { i++; return span(columns[i]) })
}

// number writes a count the way that people read it: 12,345.
func number(n int) string { return message.NewPrinter(language.English).Sprintf("%d", n) }

// count is a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return number(n) + " " + thing
}

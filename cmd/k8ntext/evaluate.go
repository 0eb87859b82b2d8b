package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"k8ntext/experiments"
	"k8ntext/metrics"
	"k8ntext/model"
)

func (a *app) evaluateCommand() *cobra.Command {
	var (
		m           modelFlags
		v           voteFlags
		e           engine
		x           experiments.Experiment
		corpora     []string
		test        []string
		modelPath   string
		includeSeen bool
		all         bool
		seed        uint64
	)
	c := &cobra.Command{
		Use:   "evaluate",
		Short: "Measure how well events of a labelled corpus are labelled, beside the baselines",
		Long: `Without -m, trains a network for every fold of the protocol and scores it and the
baselines on the fold's test part:

  blocked  contiguous folds in time with gaps; no event, window or context is shared
  unseen   the same folds; each leaves a random group of people's actions out of its
           training, so that what is scored as unseen is
  cross    trains on the corpora of --corpus, tests on those of --test, each by itself
  paper    shuffled overlapping windows, scored by position as the paper does: leaks,
           for comparison only

With -m, scores a model as it is, only on events that it was not trained on.`,
		Example: `  k8ntext evaluate --corpus sequential-1.34 --protocol blocked
  k8ntext evaluate --protocol cross --corpus sequential-1.34 --test busy.jsonl.zst,old.jsonl
  k8ntext evaluate --protocol unseen --corpus base-dev --abstain 0.5,0.9,0.99 -o json
  k8ntext evaluate --protocol paper --preset paper --set max_epochs=5
  k8ntext evaluate --preset paper --device opencl
  k8ntext evaluate -m my.k8ntext --corpus other.jsonl.zst -o json`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			on, threads, err := e.target()
			if err != nil {
				return err
			}
			var records []metrics.Record
			if cmd.Flags().Changed("model") {
				for _, f := range []string{"protocol", "folds", "preset", "set", "methods", "test", "leave-out", "abstain"} {
					if cmd.Flags().Changed(f) {
						return usagef("--%s has no meaning with -m: the model is scored as it is", f)
					}
				}
				tagger, err := loadModel(modelPath)
				if err != nil {
					return err
				}
				for _, name := range corpora {
					scores, err := experiments.EvaluateModel(cmd.Context(), tagger, name, includeSeen, model.VoteOptions{
						Rule: v.rule, Stride: v.stride, Threads: threads, Kernels: on.Kernels, Device: on.OpenCL, FallBack: on.FallBack,
					})
					if err != nil {
						return err
					}
					records = append(records, scores...)
				}
			} else {
				if includeSeen {
					return usagef("--include-seen has a meaning only with -m")
				}
				if _, err := m.config(); err != nil {
					return err
				}
				protocols := []string{experiments.ProtocolBlocked, experiments.ProtocolUnseen, experiments.ProtocolPaper, experiments.ProtocolCross}
				if !slices.Contains(protocols, x.Protocol) {
					return usagef("unknown protocol %q: use one of %s", x.Protocol, strings.Join(protocols, ", "))
				}
				if x.LeaveOut != "" && x.Protocol != experiments.ProtocolUnseen {
					return usagef("--leave-out goes with --protocol %s", experiments.ProtocolUnseen)
				}
				if (x.Protocol == experiments.ProtocolCross) != (len(test) > 0) {
					return usagef("--test CORPUS and --protocol %s go together", experiments.ProtocolCross)
				}
				for _, method := range x.Methods {
					if !slices.Contains(experiments.Methods(), method) {
						return usagef("unknown method %q: use some of %s", method, strings.Join(experiments.Methods(), ", "))
					}
				}
				x.Model, x.Corpus, x.Test = m.keys, corpora, test
				p := a.newProgress()
				records, err = experiments.Evaluate(cmd.Context(), x, seed, experiments.EvaluateOptions{
					Device: on, Threads: threads,
					Progress: func(fold, folds int, s model.Progress) {
						p.show("training %d of %d, epoch %d of at most %d, loss %.4f, at most %v left in it", fold, folds, s.Epoch, s.MaxEpochs, s.Loss, roundETA(s.Remaining))
					},
				})
				p.done()
				if err != nil {
					return err
				}
			}
			if len(records) == 0 {
				return errors.New("nothing could be scored: the corpus has no labelled event outside the training")
			}
			if a.output == "json" {
				return metrics.WriteJSONL(a.stdout, records)
			}
			return a.printScores(records, all)
		},
	}
	m.add(c)
	v.add(c)
	e.flags(c.Flags())
	e.deviceFlag(c.Flags())
	c.Flags().StringSliceVar(&corpora, "corpus", []string{"sequential-1.34"}, "labelled corpus: a name of corpus list, or a path; may be several")
	c.Flags().StringSliceVar(&test, "test", nil, "with --protocol cross: the corpora that are tested")
	c.Flags().StringVar(&x.Protocol, "protocol", experiments.ProtocolBlocked, "blocked, unseen, cross or paper")
	c.Flags().IntVar(&x.Folds, "folds", 5, "folds of the protocols blocked and unseen")
	c.Flags().StringVar(&x.LeaveOut, "leave-out", "", "with --protocol unseen: action (the default) or scenario")
	c.Flags().Float64SliceVar(&x.Abstain, "abstain", nil, "thresholds of the network's confidence at which leaving events unanswered is scored, for --all")
	c.Flags().StringSliceVar(&x.Methods, "methods", experiments.UsualMethods(), "what to score, of "+strings.Join(experiments.Methods(), ", "))
	c.Flags().StringVarP(&modelPath, "model", "m", "", `score this model file as it is; "" is the model in this program`)
	c.Flags().BoolVar(&includeSeen, "include-seen", false, "with -m: score events of the model's training too, marked in every record")
	c.Flags().BoolVar(&all, "all", false, "print every metric and every fold, not the accuracies over all folds alone")
	c.Flags().Uint64Var(&seed, "seed", 1, "seed of the trainings")
	return c
}

// printScores prints a table of records for each corpus: the accuracies over all folds, or everything.
func (a *app) printScores(records []metrics.Record, all bool) error {
	var corpora []string
	for _, r := range records {
		if !slices.Contains(corpora, r.Corpus) {
			corpora = append(corpora, r.Corpus)
		}
	}
	for _, name := range corpora {
		of := slices.DeleteFunc(slices.Clone(records), func(r metrics.Record) bool { return r.Corpus != name })
		if err := a.printCorpusScores(of, all); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printCorpusScores(records []metrics.Record, all bool) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"method", "subset", "metric", "fold", "value", "95 % interval", "n", "note"})
	folds := false
	for _, r := range records {
		folds = folds || r.Fold == metrics.AllFolds
	}
	for _, r := range records {
		main := (r.Metric == metrics.Accuracy || r.Metric == metrics.F1Macro || r.Metric == metrics.F1MacroUnion) && (!folds || r.Fold == metrics.AllFolds)
		if !all && !main {
			continue
		}
		fold, interval := "all", "–"
		if r.Fold != metrics.AllFolds {
			fold = fmt.Sprint(r.Fold + 1)
		}
		if r.Low != r.High {
			interval = fmt.Sprintf("%.3f–%.3f", r.Low, r.High)
		}
		t.AppendRow(table.Row{r.Method, r.Subset, r.Metric, fold, fmt.Sprintf("%.4f", r.Value), interval, r.N, r.Note})
	}
	first := records[0]
	_, err := fmt.Fprintf(a.stdout, "corpus %s, protocol %s, seed %d\n%s\n", printable(first.Corpus), strings.TrimSpace(first.Protocol), first.Seed, t.Render())
	return err
}

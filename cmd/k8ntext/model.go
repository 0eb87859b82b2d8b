package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
	"k8ntext/model"
)

func (a *app) modelCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "Look at models",
		Example: `  k8ntext model show
  k8ntext model show --preset paper`,
	}
	c.AddCommand(a.modelShowCommand())
	return c
}

func (a *app) modelShowCommand() *cobra.Command {
	var preset string
	c := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Print a model's layers, parameters, configuration and where it came from",
		Long: `Print the layers, parameters, configuration and provenance of the model in FILE, of
the model in this program if none is given, or, with --preset, what a training with
that preset makes. The keys of the configuration are those of train --set.`,
		Example: `  k8ntext model show
  k8ntext model show my.model -o json
  k8ntext model show --preset paper`,
		Args: argsError(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var v modelView
			switch {
			case preset != "" && len(args) > 0:
				return usagef("a FILE and --preset: give one of them")
			case preset != "":
				config, err := model.Preset(preset)
				if err != nil {
					return usageError{err}
				}
				if v, err = viewPreset(preset, config); err != nil {
					return err
				}
			default:
				path := ""
				if len(args) > 0 {
					path = args[0]
				}
				t, err := loadModel(path)
				if err != nil {
					return err
				}
				v = viewModel(path, t)
			}
			if a.output == "json" {
				return a.writeJSON(v)
			}
			return v.write(a.stdout)
		},
	}
	c.Flags().StringVar(&preset, "preset", "", "show a preset instead of a model: paper or default")
	return c
}

// modelView is a model as model show prints it.
type modelView struct {
	File           string            `json:"file,omitempty"`
	Preset         string            `json:"preset,omitempty"`
	Config         model.Config      `json:"config"`
	Fields         int               `json:"fields"`
	Vocabulary     int               `json:"vocabulary"` // ids of all fields; 0: the preset's come from the corpus
	LabelSpace     string            `json:"label_space"`
	Labels         int               `json:"labels"`
	CRDGroups      []string          `json:"crd_groups,omitempty"`
	Layers         []model.Layer     `json:"layers"`
	Trainable      int               `json:"trainable"`
	Statistics     int               `json:"statistics"`
	Total          int               `json:"total"`
	Bytes          int               `json:"bytes"` // as float32
	Provenance     *model.Provenance `json:"provenance,omitempty"`
	TrainingEvents int               `json:"training_events,omitempty"`
}

func viewModel(path string, t *model.Tagger) modelView {
	v := modelView{File: path, Config: t.Config, Provenance: &t.Provenance, TrainingEvents: len(t.Provenance.TrainingEvents)}
	for _, n := range t.Encoder.Sizes() {
		v.Vocabulary += n
	}
	v.describe(t.Network(), t.Space)
	return v
}

// viewPreset shows a model that does not exist yet: what its vocabularies hold, only a corpus can tell.
func viewPreset(name string, c model.Config) (modelView, error) {
	p, err := feature.ByName(c.Features)
	if err != nil {
		return modelView{}, err
	}
	space, err := label.ByName(c.Labels, nil)
	if err != nil {
		return modelView{}, err
	}
	v := modelView{Preset: name, Config: c}
	v.describe(c.Network(make([]int, len(p.Fields())), space.M()), space)
	return v, nil
}

func (v *modelView) describe(n model.NetworkConfig, space *label.Space) {
	v.Fields = n.Fields
	v.LabelSpace, v.Labels, v.CRDGroups = space.Name(), len(space.Labels()), space.CRDGroups()
	v.Layers = n.Layers()
	v.Trainable, v.Statistics = n.Parameters()
	v.Total = v.Trainable + v.Statistics
	v.Bytes = 4 * v.Total
}

// write prints the view for people. Text from a model file is quoted: it may hold anything.
func (v *modelView) write(w io.Writer) error {
	var b bytes.Buffer
	switch {
	case v.Preset != "":
		fmt.Fprintf(&b, "Preset %s\n", v.Preset)
	case v.File != "":
		fmt.Fprintf(&b, "Model %s\n", v.File)
	default:
		fmt.Fprintln(&b, "The model in this program")
	}
	fmt.Fprintf(&b, "  %d features of profile %s", v.Fields, v.Config.Features)
	if v.Vocabulary > 0 {
		fmt.Fprintf(&b, " with %s values in all", thousands(v.Vocabulary))
	}
	fmt.Fprintf(&b, ", windows of %d events, %s labels of space %s", v.Config.Window, thousands(v.Labels), v.LabelSpace)
	if n := len(v.CRDGroups); n > 0 {
		fmt.Fprintf(&b, " with %d groups of custom resources", n)
	}
	b.WriteString("\n\n")

	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "output\tparameters\tstatistics\t  layer")
	for _, l := range v.Layers {
		fmt.Fprintf(t, "%d\t%s\t%s\t  %s: %s\n", l.Output, thousands(l.Trainable), thousands(l.Statistics), l.Name, l.Kind)
	}
	t.Flush()
	fmt.Fprintf(&b, "\n%s trainable parameters + %s batch-norm statistics = %s (%.2f MiB)\n",
		thousands(v.Trainable), thousands(v.Statistics), thousands(v.Total), float64(v.Bytes)/(1<<20))
	if v.Preset != "" && v.Config.Input == model.InputEmbedding {
		fmt.Fprintf(&b, "and %d for each value of a field, which the corpus decides\n", v.Config.Embedding)
	}

	b.WriteString("\nConfiguration\n")
	config, err := toml.Marshal(v.Config)
	if err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	for line := range bytes.Lines(config) {
		fmt.Fprintf(&b, "  %s", line)
	}
	if p := v.Provenance; p != nil {
		b.WriteString("\nProvenance\n")
		fmt.Fprintf(&b, "  corpus %q, digest %q\n", p.Corpus, p.CorpusDigest)
		fmt.Fprintf(&b, "  protocol %q, ", p.Protocol)
		if p.Fold >= 0 {
			fmt.Fprintf(&b, "fold %d, ", p.Fold)
		}
		fmt.Fprintf(&b, "seed %d, kernels %q, commit %q\n", p.Seed, p.Kernels, p.Commit)
		fmt.Fprintf(&b, "  weights of epoch %d of %d, loss %.6g\n", p.BestEpoch, p.Epochs, p.Loss)
		fmt.Fprintf(&b, "  trained on %s events with %s labels\n", thousands(v.TrainingEvents), thousands(len(p.Labels)))
	}
	_, err = w.Write(b.Bytes())
	return err
}

// thousands writes a count as 718,841.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/model"
	"k8ntext/model/device/opencl"
	"k8ntext/model/pretrained"
)

// voteFlags say how windows agree on a label.
type voteFlags struct {
	rule   string
	stride int
}

func (v *voteFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&v.rule, "vote", model.RuleSum, "how windows agree: sum, majority (the paper) or centre")
	c.Flags().IntVar(&v.stride, "stride", 0, "events between the starts of windows, 1 for all of them; 0: a quarter of the model's window, which is measured to label as well for a fifth of the time or less")
}

// loadModel reads the model file at path; none: the model in the program.
func loadModel(path string) (*model.Tagger, error) {
	if path == "" {
		return pretrained.Default()
	}
	return model.Load(path)
}

func (a *app) predictCommand() *cobra.Command {
	var (
		v         voteFlags
		e         engine
		modelPath string
		batch     int
	)
	c := &cobra.Command{
		Use:   "predict FILE...",
		Short: "Label every event of audit logs with the kind of action that caused it",
		Long: `Reads audit logs (JSON lines, EventLists or webhook batches; plain, gzip or
zstd; - is standard input) and writes one JSON object per event, in order of time:
the event's last stage as it was read, with one more member,

  "k8ntext": {"label": 70048, "name": "delete apps/replicasets ...", "margin": 0.93,
              "runner_up": 4496, "trigger_estimated": true}

trigger_estimated says that the event's own label is the assigned one: it is taken
for the event that started the action. Bad lines are skipped and counted on stderr.
Memory does not grow with the log.`,
		Example: `  k8ntext predict audit.log > labelled.jsonl
  k8ntext predict -o text /var/log/kubernetes/audit*.log.gz
  kubectl logs my-audit-sink | k8ntext predict --stride 1 -`,
		Args: argsError(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			on, threads, err := e.target()
			if err != nil {
				return err
			}
			tagger, err := loadModel(modelPath)
			if err != nil {
				return err
			}
			labeler, err := tagger.Labeler(model.VoteOptions{
				Rule: v.rule, Stride: v.stride, Batch: batch, Threads: threads,
				Kernels: on.Kernels, Device: on.OpenCL, FallBack: on.FallBack,
			})
			if errors.Is(err, opencl.ErrUnavailable) {
				return err
			}
			if err != nil {
				return usageError{err}
			}
			defer labeler.Close()
			reader, err := a.openLogs(cmd, args, audit.Options{KeepRaw: true})
			if err != nil {
				return err
			}
			defer reader.Close()
			out := bufio.NewWriterSize(a.stdout, 1<<16)
			w := predictionWriter{w: out, space: tagger.Space, text: cmd.Flags().Changed("output") && a.output == "text"}
			err = predict(cmd, reader, labeler, &w, a.remark)
			if flushErr := out.Flush(); err == nil && flushErr != nil {
				err = fmt.Errorf("write labelled events: %w", flushErr)
			}
			a.reportSkipped(reader.Summary())
			if err == nil && w.written == 0 {
				err = errors.New("no audit event in the input: is it a Kubernetes audit log (audit.k8s.io, JSON)?")
			}
			return err
		},
	}
	v.add(c)
	e.flags(c.Flags())
	e.deviceFlag(c.Flags())
	c.Flags().StringVarP(&modelPath, "model", "m", "", "model file; none: the model in this program")
	c.Flags().IntVar(&batch, "batch", 32, "windows computed at once; 1 gives every event as early as can be")
	return c
}

// openLogs opens audit logs; "-" is the command's standard input.
func (a *app) openLogs(cmd *cobra.Command, paths []string, o audit.Options) (*audit.Reader, error) {
	if len(paths) == 1 && paths[0] == "-" {
		return audit.NewReader(a.stdin, "-", o), nil
	}
	return audit.Open(cmd.Context(), o, paths...)
}

// predict streams events through the labeler.
func predict(cmd *cobra.Command, r *audit.Reader, l *model.Labeler, w *predictionWriter, remark func(string)) error {
	for {
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if rec.Problem != nil {
			remark(rec.Problem.Error())
			continue
		}
		done, err := l.Push(rec.Event)
		if err != nil {
			return err
		}
		if err := w.write(done); err != nil {
			return err
		}
	}
	done, err := l.Flush()
	if err != nil {
		return err
	}
	return w.write(done)
}

// predictionWriter writes labelled events as JSON lines, or one short line of text each.
type predictionWriter struct {
	w       io.Writer
	space   *label.Space
	text    bool
	written int
	line    []byte
}

// verdict is the object that an event gets.
type verdict struct {
	Label            label.Label `json:"label"`
	Name             string      `json:"name"`
	Margin           float64     `json:"margin"`
	RunnerUp         label.Label `json:"runner_up"`
	TriggerEstimated bool        `json:"trigger_estimated"`
}

func (w *predictionWriter) write(events []model.Labelled) error {
	for _, e := range events {
		name := w.space.Describe(e.Label)
		var err error
		if w.text {
			mark := " "
			if e.TriggerEstimated {
				mark = "*"
			}
			w.line = fmt.Appendf(w.line[:0], "%s %s %-40s %s %s %q\n", e.Event.RequestReceived.UTC().Format("2006-01-02T15:04:05.000000Z"), mark, name,
				e.Event.Verb, printable(e.Event.RequestURI), e.Event.User.Username)
		} else {
			w.line, err = audit.AppendJSON(w.line[:0], e.Event, "k8ntext", verdict{e.Label, name, e.Margin, e.RunnerUp, e.TriggerEstimated})
			w.line = append(w.line, '\n')
		}
		if err != nil {
			return err
		}
		if _, err := w.w.Write(w.line); err != nil {
			return fmt.Errorf("write labelled events: %w", err)
		}
		w.written++
	}
	return nil
}

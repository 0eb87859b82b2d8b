package labelling

import (
	"bufio"
	"fmt"
	"io"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// Format says how a labelled log is written: one line an event, as its last stage was read, with
// members more.
type Format string

// The formats.
const (
	// Reference is the format of the paper's tools, which dataset.Load reads too: label is a number of
	// the paper's space, -1 for none; cplabel tells that a rule gave it.
	Reference Format = "reference"

	// Ours is that of k8ntext predict: k8ntext holds label and name in the session's space, and by,
	// which is input, rule, hand or skipped.
	Ours Format = "k8ntext"
)

// Write writes the log as far as it is labelled. The events must have been read with
// audit.Options.KeepRaw. Foreign counts labels that the paper's space has no words for: in the
// reference's format they are -1.
func (s *Session) Write(w io.Writer, format Format) (foreign int, err error) {
	out := bufio.NewWriterSize(w, 1<<16)
	paper := label.Paper()
	var line []byte
	for i, e := range s.events {
		switch format {
		case Reference:
			number := translate(s.labels[i], s.space, paper)
			if number < 0 && s.labels[i] >= 0 {
				foreign++
			}
			line, err = audit.AppendJSON(line[:0], e, "label", int64(number))
			if err == nil && s.origins[i] == Rule {
				more := *e
				more.Raw = line
				line, err = audit.AppendJSON(nil, &more, "cplabel", true)
			}
		case Ours:
			line, err = audit.AppendJSON(line[:0], e, "k8ntext", verdict{s.labels[i], s.space.Describe(s.labels[i]), s.origins[i], s.rules[i]})
		default:
			return 0, fmt.Errorf("unknown format %q of a labelled log: use %s or %s", format, Reference, Ours)
		}
		if err != nil {
			return foreign, fmt.Errorf("write labelled log: %w", err)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return foreign, fmt.Errorf("write labelled log: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return foreign, fmt.Errorf("write labelled log: %w", err)
	}
	return foreign, nil
}

type verdict struct {
	Label label.Label `json:"label"`
	Name  string      `json:"name"`
	By    Origin      `json:"by"`
	Rule  string      `json:"rule,omitzero"`
}

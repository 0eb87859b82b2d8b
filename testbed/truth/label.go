package truth

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Files of a recording.
const (
	AuditFile    = "audit.log"
	JournalFile  = "journal.jsonl"
	LabelledFile = "labelled.jsonl"
)

// Recording is a recording with the cause of every request.
type Recording struct {
	Dir      string
	Journal  *Journal
	Log      *Log
	Contexts []*Context // people's in the order of their commands, then the others in the order of their first requests

	found *attribution
}

// Read reads a recording and finds the cause of every request.
func Read(dir string) (*Recording, error) {
	j, err := ReadJournal(filepath.Join(dir, JournalFile))
	if err != nil {
		return nil, err
	}
	r := &Recording{Dir: dir, Journal: j}
	log, err := ReadLog(r.auditFile())
	if err != nil {
		return nil, err
	}
	r.Log = log
	r.found = attribute(log, j)
	r.Contexts = r.found.contexts
	if j.Sequential() {
		r.confirm()
	}
	return r, nil
}

// confirm notes in the attribution where the schedule of the commands agrees.
func (r *Recording) confirm() {
	for _, q := range r.Log.Requests {
		c := q.verdict.context()
		if c == nil || c.Command == nil || q.verdict.class == "direct" {
			continue
		}
		if at := r.Journal.at(q.Received); at == c.Command && q.Received <= at.Quiet.UnixNano() {
			q.verdict.class += "+window"
		}
	}
}

// truthOf are the keys that a line of q gets.
func (q *Request) appendTruth(dst []byte) []byte {
	v := q.verdict
	c := v.context()
	quoted := func(key, value string) {
		dst = append(dst, `,"`+key+`":`...)
		dst, _ = jsontext.AppendQuote(dst, value)
	}
	if c == nil {
		dst = append(dst, `,"context":null,"trigger":false,"attribution":"ambiguous"`...)
		if ids := candidates(v); len(ids) > 0 {
			dst = append(dst, `,"candidates":[`...)
			for n, id := range ids {
				if n > 0 {
					dst = append(dst, ',')
				}
				dst, _ = jsontext.AppendQuote(dst, id)
			}
			dst = append(dst, ']')
		}
		return dst
	}
	quoted("context", c.ID)
	dst = append(dst, `,"trigger":`...)
	if c.Trigger == q {
		dst = append(dst, "true"...)
	} else {
		dst = append(dst, "false"...)
	}
	if op := c.Operation(); op != "" {
		quoted("operation", op)
	}
	if c.Parent != nil && c.Parent.ID != "" {
		quoted("parent", c.Parent.ID)
	}
	quoted("attribution", v.class)
	return dst
}

// candidates are the ids of the contexts that an ambiguous request may belong to, sorted.
func candidates(v verdict) []string {
	var ids []string
	for _, c := range v.of {
		if c != nil && c.ID != "" {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// Write writes the lines of the recording with their truth, at a level, without stamps and tokens.
func (r *Recording) Write(w io.Writer, level string, paths ...string) error {
	byLine := make(map[int]*Request, r.Log.Lines)
	for _, q := range r.Log.Requests {
		for _, n := range q.Lines {
			byLine[n] = q
		}
	}
	norm := newNormaliser(r.Journal, paths...)
	norm.machine(r.Log)
	out := bufio.NewWriterSize(w, 1<<20)
	var buf, line []byte
	n := -1
	err := EachLine(r.auditFile(), func(text []byte) error {
		n++
		q := byLine[n]
		if q == nil {
			return nil // no audit event: counted by ReadLog
		}
		var err error
		line = append(line[:0], text...)
		if level != LevelRequestResponse {
			if line, err = appendAtLevel(line[:0], text, level); err != nil {
				return err
			}
		}
		buf = norm.appendLine(buf[:0], line[:len(line)-1])
		buf = q.appendTruth(buf)
		buf = append(buf, '}', '\n')
		_, err = out.Write(buf)
		return err
	})
	return cmp.Or(err, out.Flush())
}

// WriteFile writes the labelled lines to a file, which appears only when it is complete.
func (r *Recording) WriteFile(to, level string, paths ...string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
	if err != nil {
		return fmt.Errorf("write labelled lines: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := r.Write(f, level, paths...); err != nil {
		return fmt.Errorf("write labelled lines: %w", err)
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
}

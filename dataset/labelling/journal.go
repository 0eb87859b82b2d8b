package labelling

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
)

// journal keeps the answers of a session on disk: one JSON object a line, forced there before the
// answer counts.
type journal struct{ file *os.File }

// header is a journal's first line: what its answers belong to.
type header struct {
	Version int    `json:"version"`
	Events  int    `json:"events"`
	Digest  string `json:"digest"` // of the events asked for
	Space   string `json:"space"`
}

const journalVersion = 1

// Keep writes all answers to a journal and takes up those that are in it already; it returns how
// many. What a kill left of an unfinished line, an answer that never counted, is cut off. A journal of
// another log or label space is refused.
func (s *Session) Keep(file string) (resumed int, err error) {
	fail := func(err error) (int, error) { return 0, fmt.Errorf("journal %s: %w", file, err) }
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	text, err := io.ReadAll(f)
	if err != nil {
		return fail(err)
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	if err := f.Truncate(int64(len(whole))); err != nil {
		return fail(err)
	}
	if _, err := f.Seek(int64(len(whole)), io.SeekStart); err != nil {
		return fail(err)
	}
	j := &journal{f}
	if len(whole) == 0 {
		if err := j.append(s.header()); err != nil {
			return fail(err)
		}
		s.journal = j
		return 0, nil
	}
	for i, line := range bytes.Split(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n")) {
		if i == 0 {
			var h header
			if err := json.Unmarshal(line, &h); err != nil {
				return fail(fmt.Errorf("line 1: it is no journal of a labelling session: %w", err))
			}
			if h != s.header() {
				return fail(errors.New("its answers are for another log, other settings or another version of this program: choose another journal"))
			}
			continue
		}
		var e Entry
		err := json.Unmarshal(line, &e, json.RejectUnknownMembers(true))
		if err == nil {
			err = s.apply(e)
		}
		if err != nil {
			return fail(fmt.Errorf("line %d: %w", i+1, err))
		}
	}
	s.journal = j
	return len(s.answers), nil
}

func (s *Session) header() header {
	sum := sha256.New()
	for _, i := range s.order {
		d := s.events[i].Digest()
		sum.Write(d[:])
	}
	space := s.space.Name()
	for _, g := range s.space.CRDGroups() {
		space += " " + g
	}
	return header{journalVersion, len(s.events), hex.EncodeToString(sum.Sum(nil)), space}
}

func (j *journal) append(v any) error {
	line, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	return j.file.Sync()
}

// Close closes the journal, if there is one.
func (s *Session) Close() error {
	if s.journal == nil {
		return nil
	}
	return s.journal.file.Close()
}

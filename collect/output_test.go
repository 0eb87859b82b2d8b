package collect

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8ntext/dataset"
)

const secretLine = `{"objectRef":{"resource":"secrets"},"requestObject":{"kind":"Secret","data":{"a":"c2VjcmV0c2VjcmV0"}}}`

// hostEvent names a machine in a form that only a lease, later in the log, makes known.
const (
	hostEvent = `{"requestObject":{"kind":"Event","reportingInstance":"default-scheduler-builder7"}}`
	hostLease = `{"requestObject":{"kind":"Lease","spec":{"holderIdentity":"builder7_a7b4f8fb-14cf-483b-be7d-a2ab66d06ceb"}}}`
)

func put(t *testing.T, out *Output, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := out.write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if err := out.commit(func(*position) {}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMask: secrets never reach the disk; machines' names are gone from all files when the corpus is
// closed, wherever in it they became known, and whatever killed the collector before.
func TestMask(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.jsonl.zst")
	o := OutputOptions{Mask: true, MaxSize: 1}
	open := func() *Output {
		t.Helper()
		out, err := OpenOutput(file, "test", o)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := open()
	put(t, out, secretLine, hostEvent, "not JSON")
	if got := lines(t, file+partSuffix); len(got) != 1 || strings.Contains(got[0], "c2Vj") {
		t.Errorf("in the first file while collecting: %q", got)
	}
	out.release() // a kill
	out = open()
	put(t, out, hostLease)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	all := map[int]string{}
	for n := 1; n <= 3; n++ {
		all[n] = strings.Join(lines(t, out.finished(n)), "\n")
	}
	want := dataset.NewMasker()
	for _, line := range []string{secretLine, hostEvent, hostLease} {
		if err := want.Observe([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	for i, line := range []string{secretLine, hostEvent, hostLease} {
		masked, err := want.Mask([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if all[i+1] != string(masked) {
			t.Errorf("file %d: %s, want %s", i+1, all[i+1], masked)
		}
		if found, err := dataset.ScanSecrets(context.Background(), strings.NewReader(all[i+1])); err != nil || len(found) > 0 {
			t.Errorf("file %d: %v, %v", i+1, found, err)
		}
	}
	if parts, _ := filepath.Glob(filepath.Join(dir, "*"+partSuffix)); len(parts) > 0 {
		t.Errorf("left behind: %v", parts)
	}

	// A closed corpus goes on in a further file.
	out = open()
	put(t, out, secretLine)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, out.finished(4)); len(got) != 1 {
		t.Errorf("after closing: %q", got)
	}
}

// TestMaskKilledWhileNaming: the names are given at the next start.
func TestMaskKilledWhileNaming(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.jsonl.zst")
	out, err := OpenOutput(file, "test", OutputOptions{Mask: true, MaxSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	put(t, out, hostEvent, hostLease)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	// Put back what a kill between the two renames leaves.
	second := out.finished(2)
	if err := os.Rename(second, second+maskedSuffix); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(second+partSuffix, []byte("with names"), 0o600); err != nil {
		t.Fatal(err)
	}
	out.pos.Naming, out.pos.First, out.pos.File, out.pos.Size = true, 1, 2, 5
	if err := out.savePosition(); err != nil {
		t.Fatal(err)
	}
	out, err = OpenOutput(file, "test", OutputOptions{Mask: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, second); len(got) != 1 || strings.Contains(got[0], "builder7") {
		t.Errorf("second file %q", got)
	}
	if _, err := os.Stat(second + partSuffix); err == nil {
		t.Error("the file with names is still there")
	}
}

// TestOpenRefuses: nothing is overwritten, and nothing goes on that does not fit.
func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		what, want string
		spoil      func(t *testing.T, file string)
		o          OutputOptions
		source     string
	}{
		{what: "a file without position", want: "is there already", spoil: func(t *testing.T, file string) { remove(t, file+positionSuffix) }},
		{what: "another source", want: "not of", source: "other"},
		{what: "with masking", want: "masking", o: OutputOptions{Mask: true}},
		{what: "a damaged position", want: "damaged", spoil: func(t *testing.T, file string) { overwrite(t, file+positionSuffix, "{") }},
		{what: "an impossible position", want: "damaged", spoil: func(t *testing.T, file string) {
			overwrite(t, file+positionSuffix, `{"version":1,"source":"test","first":2,"file":1}`)
		}},
		{what: "another version", want: "version", spoil: func(t *testing.T, file string) { overwrite(t, file+positionSuffix, `{"version":2}`) }},
		{what: "a shorter corpus", want: "changed by someone else", spoil: func(t *testing.T, file string) { overwrite(t, file, "") }},
	} {
		t.Run(c.what, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "c.jsonl.zst")
			out, err := OpenOutput(file, "test", OutputOptions{})
			if err != nil {
				t.Fatal(err)
			}
			put(t, out, "{}")
			if err := out.Close(); err != nil {
				t.Fatal(err)
			}
			if c.spoil != nil {
				c.spoil(t, file)
			}
			if c.source == "" {
				c.source = "test"
			}
			if _, err := OpenOutput(file, c.source, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
}

// TestOneCollector: two on one corpus would undo each other's commits.
func TestOneCollector(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.jsonl.zst")
	out, err := OpenOutput(file, "test", OutputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOutput(file, "test", OutputOptions{}); err == nil || !strings.Contains(err.Error(), "another collector") {
		t.Errorf("error %v", err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("an empty corpus was left")
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, bytes.NewBufferString(text).Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

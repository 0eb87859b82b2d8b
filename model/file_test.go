package model

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"k8ntext/dataset/label"
)

func TestModelFileRoundTrip(t *testing.T) {
	tagger := toyTagger(t, 6)
	events := toyCorpus(30, 4).Events
	o := VoteOptions{Kernels: portable(t)}
	want, err := tagger.Label(context.Background(), events, o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "toy.model")
	if err := tagger.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := loaded.Label(context.Background(), events, o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("the loaded model labels otherwise")
	}
	if first, again := fileBytes(t, tagger), fileBytes(t, loaded); !bytes.Equal(first, again) {
		t.Error("the loaded model is written with other bytes")
	}
	if !slices.Equal(loaded.Provenance.TrainingEvents, tagger.Provenance.TrainingEvents) {
		t.Error("the training events are lost")
	}
	for _, e := range toyCorpus(20, 1).Events {
		if !loaded.Provenance.SeenInTraining(e) {
			t.Fatal("an event that the model was trained on is not known to it")
		}
	}
}

// A space with groups of its own, and the paper's profile.
func TestModelFileOfOtherKinds(t *testing.T) {
	corpus := toyCorpus(20, 1)
	for _, c := range []Config{toyConfig(), func() Config {
		c := PaperConfig()
		c.Units1, c.Units2, c.Window = 2, 2, 3
		return c
	}()} {
		corpus.Space = label.Default("example.org", "cert-manager.io")
		c.Labels = "default"
		c.MaxEpochs, c.WindowsPerEpoch = 1, 8
		tagger, _, err := Train(context.Background(), c, corpus, toySplit(corpus, c.Window), TrainOptions{Kernels: portable(t)})
		if err != nil {
			t.Fatal(err)
		}
		data := fileBytes(t, tagger)
		loaded, err := Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(loaded.Space.CRDGroups(), corpus.Space.CRDGroups()) {
			t.Errorf("groups %v, want %v", loaded.Space.CRDGroups(), corpus.Space.CRDGroups())
		}
		if !bytes.Equal(fileBytes(t, loaded), data) {
			t.Error("written with other bytes")
		}
	}
}

func TestReadRefusesEveryTruncation(t *testing.T) {
	data := fileBytes(t, toyTagger(t, 3))
	for n := range data {
		checkRefused(t, data[:n], "cut to %d bytes", n)
	}
	checkRefused(t, append(slices.Clone(data), 0), "one byte more")
}

func TestReadRefusesEveryFlippedByte(t *testing.T) {
	data := fileBytes(t, toyTagger(t, 3))
	for i := range data {
		mask := byte(1) << (i % 8)
		data[i] ^= mask
		checkRefused(t, data, "byte %d of %d xor %#x", i, len(data), mask)
		data[i] ^= mask
	}
	if _, err := Read(bytes.NewReader(data)); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func checkRefused(t *testing.T, data []byte, format string, args ...any) {
	t.Helper()
	tagger, err := Read(bytes.NewReader(data))
	var bad *FormatError
	if tagger != nil || !errors.As(err, &bad) {
		t.Errorf(format+": got %v", append(args, err)...)
	}
}

// A head that claims much makes the reader allocate nothing.
func TestReadBelievesNoClaim(t *testing.T) {
	head := func(sections uint32, size uint64) []byte {
		b := append([]byte(nil), modelFile.magic...)
		b = binary.LittleEndian.AppendUint32(b, modelFile.version)
		b = binary.LittleEndian.AppendUint32(b, sections)
		return binary.LittleEndian.AppendUint64(b, size)
	}
	for _, data := range [][]byte{
		head(3, 1<<63), head(3, maxFileSize+1), head(3, maxFileSize), head(1<<31, 1<<20), head(16, 56), head(0, 0),
	} {
		checkRefused(t, data, "head %x", data)
		allocated := testing.AllocsPerRun(5, func() { Read(bytes.NewReader(data)) })
		if allocated > 50 {
			t.Errorf("head %x: %v allocations", data, allocated)
		}
	}
}

// Files that are whole but wrong: whoever writes the checksum can write anything before it.
func TestReadRefusesInconsistentFiles(t *testing.T) {
	data := fileBytes(t, toyTagger(t, 3))
	sections, err := modelFile.read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, with string) func(s []section) []section {
		return func(s []section) []section {
			text := strings.Replace(string(s[0].data), old, with, 1)
			if text == string(s[0].data) {
				t.Fatalf("%q is not in the header %s", old, text)
			}
			s[0].data = []byte(text)
			return s
		}
	}
	for _, test := range []struct {
		want   string
		change func(s []section) []section
	}{
		{"window = 0", replace(`"window":3`, `"window":0`)},
		{"header", replace(`"window":3`, `"windows":3`)},
		{"header", replace(`"window":3`, `"window":"3"`)},
		{"header", replace(`"window":3`, `"window":3,"window":3`)},
		{"header", func(s []section) []section { s[0].data = s[0].data[:40]; return s }},
		{"features", replace(`"features":"honest"`, `"features":"own"`)},
		{"profile", replace(`"features":"honest","without":["level",`, `"features":"honest","without":[`)},
		{"space", replace(`"space":"paper"`, `"space":"default"`)},
		{"labels", replace(`"labels":"paper"`, `"labels":"own"`)},
		{"groups", func(s []section) []section {
			s = replace(`"labels":"paper"`, `"labels":"default"`)(s)
			return replace(`"space":"paper"`, `"space":"default","crd_groups":["apps"]`)(s)
		}},
		{"tensor", replace(`"units1":1`, `"units1":2`)},
		{"tensor", replace(`"units1":1`, `"units1":16384`)},
		{"tensor", replace(`lstm1/forward/kernel`, `lstm1/forward/kernal`)},
		{"tensor", replace(`"shape":[2,4]`, `"shape":[4,2]`)},
		{"tensor", func(s []section) []section {
			i := bytes.Index(s[0].data, []byte(`"tensors"`))
			s[0].data = append(slices.Clone(s[0].data[:i]), `"tensors":[]}`...)
			return s
		}},
		{"bytes", func(s []section) []section { s[2].data = s[2].data[4:]; return s }},
		{"not a finite number", func(s []section) []section {
			s[2].data = slices.Clone(s[2].data)
			binary.LittleEndian.PutUint32(s[2].data[8:], math.Float32bits(float32(math.NaN())))
			return s
		}},
		{"digests", func(s []section) []section { s[1].data = s[1].data[1:]; return s }},
		{"order", func(s []section) []section {
			s[1].data = append(slices.Clone(s[1].data), s[1].data[:16]...)
			return s
		}},
		{"label -1", replace(`"labels":[]`, `"labels":[-1]`)},
		{"label 4496", replace(`"labels":[]`, `"labels":[4496,4496]`)},
		{"sections", func(s []section) []section { return append(s, section{name: "more"}) }},
		{"sections", func(s []section) []section { return s[:2] }},
		{"instead of", func(s []section) []section { s[1].name = "event"; return s }},
		{"encoder", replace(`"encoder":{`, `"encoder":{"x":1,`)},
	} {
		changed := modelFile.encode(test.change(slices.Clone(sections)))
		_, err := Read(bytes.NewReader(changed))
		var bad *FormatError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want an error with %q, got %v", test.want, err)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	if err := os.WriteFile(log, []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := fileBytes(t, toyTagger(t, 3))
	newer[8] = 2
	future := filepath.Join(dir, "future.model")
	if err := os.WriteFile(future, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.model"): "no such file",
		log:                              "does not begin as one",
		future:                           "format version 2, this program reads version 1",
	} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q and %q, got %v", path, want, err)
		}
	}
}

// A save that cannot be completed leaves what was there, and nothing else.
func TestSaveIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	tagger := toyTagger(t, 3)
	path := filepath.Join(dir, "m.model")
	if err := tagger.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := tagger.Save(path); err != nil {
		t.Errorf("over an older model: %v", err)
	}
	// The path is a folder: the rename fails after all was written.
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := tagger.Save(folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("got %v", err)
	}
	if err := tagger.Save(filepath.Join(dir, "no", "m.model")); err == nil {
		t.Error("saved into a folder that is not there")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"folder", "m.model"}) {
		t.Errorf("left behind: %v", names)
	}
}

// FuzzRead feeds whole files.
func FuzzRead(f *testing.F) {
	f.Add(fileBytes(f, toyTagger(f, 2)))
	f.Fuzz(func(t *testing.T, data []byte) {
		tagger, err := Read(bytes.NewReader(data))
		if err != nil {
			if tagger != nil {
				t.Error("a tagger with an error")
			}
			return
		}
		if !bytes.Equal(fileBytes(t, tagger), data) {
			t.Error("a file that is read and written again has other bytes")
		}
	})
}

// FuzzReadSections seals arbitrary sections with a right checksum, as a hostile author would. What is
// read must label.
func FuzzReadSections(f *testing.F) {
	sections, err := modelFile.read(bytes.NewReader(fileBytes(f, toyTagger(f, 2))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sections[0].data, sections[1].data, uint32(0))
	weights := sections[2].data
	events := toyCorpus(5, 7).Events
	f.Fuzz(func(t *testing.T, header, digests []byte, flip uint32) {
		w := slices.Clone(weights)
		at := int(flip) % (len(w) / 4) * 4
		binary.LittleEndian.PutUint32(w[at:], binary.LittleEndian.Uint32(w[at:])^flip)
		tagger, err := Read(bytes.NewReader(modelFile.encode([]section{{"header", header}, {"events", digests}, {"weights", w}})))
		if err != nil {
			return
		}
		if tagger.Config.Window > 64 || tagger.Config.Batch > 64 {
			return // valid, and slow
		}
		got, err := tagger.Label(context.Background(), events, VoteOptions{Kernels: portable(t)})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(events) {
			t.Errorf("%d predictions for %d events", len(got), len(events))
		}
		// Loss and the like may be written in another way than the author wrote them, but not lost.
		again, err := Read(bytes.NewReader(fileBytes(t, tagger)))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fileBytes(t, tagger), fileBytes(t, again); !bytes.Equal(a, b) {
			t.Error("written twice with other bytes")
		}
	})
}

// Config and provenance must come through JSON as they are.
func TestHeaderJSON(t *testing.T) {
	c := DefaultConfig()
	c.Without = []string{"verb"}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var got Config
	if err := json.Unmarshal(text, &got, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(got); !bytes.Equal(again, text) {
		t.Errorf("got %s, want %s", again, text)
	}
}

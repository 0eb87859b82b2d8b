package metrics

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func sampleRecords() []Record {
	return []Record{
		{Corpus: "sequential-1.34", Protocol: "blocked", Fold: AllFolds, Method: "network", Subset: "own-wrong/seen", Metric: "accuracy", Value: 0.30000000000000004, N: 412, Low: .25, High: .3125, Seed: math.MaxUint64, Note: "mean of 5 folds, worst fold 2"},
		{Corpus: "=HYPERLINK(\"x\")", Protocol: "+1", Method: "-1", Subset: "@a", Metric: "'quoted", Value: -.25, Low: -.5, High: 1e-9, Note: "＝1, \"a\"\r\n\tb \x1b[31m"},
		{},
	}
}

func checkGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestEncodeGolden(t *testing.T) {
	var jsonl, csv bytes.Buffer
	if err := WriteJSONL(&jsonl, sampleRecords()); err != nil {
		t.Fatal(err)
	}
	if err := WriteCSV(&csv, sampleRecords()); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "testdata/records.jsonl", jsonl.Bytes())
	checkGolden(t, "testdata/records.csv", csv.Bytes())

	records, err := ReadJSONL(&jsonl, "records.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleRecords(), records); diff != "" {
		t.Errorf("read back from JSONL (-want +got):\n%s", diff)
	}
	records, err = ReadCSV(&csv, "records.csv")
	if err != nil {
		t.Fatal(err)
	}
	want := sampleRecords()
	want[1].Note = "＝1, \"a\"   b  [31m" // control characters have become spaces
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("read back from CSV (-want +got):\n%s", diff)
	}
}

func TestWriteErrors(t *testing.T) {
	records := []Record{{Metric: "accuracy"}, {Metric: "kappa", High: math.Inf(1)}}
	const want = `write record 2: "" "" fold 0 "" "" "kappa" has the value 0, interval 0 to +Inf; only finite numbers can be recorded`
	for name, write := range map[string]func(*bytes.Buffer) error{
		"JSONL": func(b *bytes.Buffer) error { return WriteJSONL(b, records) },
		"CSV":   func(b *bytes.Buffer) error { return WriteCSV(b, records) },
	} {
		var b bytes.Buffer
		if err := write(&b); err == nil || err.Error() != want {
			t.Errorf("%s: the error is %v, want %s", name, err, want)
		}
		if !strings.Contains(b.String(), "accuracy") || strings.Contains(b.String(), "kappa") {
			t.Errorf("%s: the record before the bad one should be written, and only that:\n%s", name, b.String())
		}
	}

	full := errors.New("no space left on device")
	if err := WriteJSONL(failing{full}, records[:1]); !errors.Is(err, full) {
		t.Errorf("JSONL: the error is %v, want %v", err, full)
	}
	if err := WriteCSV(failing{full}, records[:1]); !errors.Is(err, full) {
		t.Errorf("CSV: the error is %v, want %v", err, full)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestReadErrors(t *testing.T) {
	good := `{"corpus":"c","protocol":"p","fold":0,"method":"m","subset":"all","metric":"accuracy","value":1,"n":1,"low":1,"high":1,"seed":0}`
	header := strings.Join(csvHeader(), ",") + "\n"
	for _, c := range []struct {
		name, text, want string
		read             func(string) ([]Record, error)
	}{
		{"not JSON", good + "\n\nnonsense\n", "f:3: not a record: ", jsonl},
		{"cut", good + "\n" + good[:40], "f:2: not a record: ", jsonl},
		{"unknown key", good + "\n" + `{"corpsu":"c"}`, `unknown object member name "corpsu"`, jsonl},
		{"doubled key", good + "\n" + `{"n":1,"n":2}`, "f:2: not a record: ", jsonl},
		{"long line", good + "\n" + strings.Repeat(" ", maxLine+1), "f:2: read records: ", jsonl},
		{"wrong header", "corpus,protocol\n", `f:1: the columns are ["corpus" "protocol"], expected`, csvText},
		{"few cells", header + "c,p,0,m,all,accuracy,1,1,1,1,0,\nc\n", "f: record on line 3: wrong number of fields", csvText},
		{"no number", header + "c,p,0,m,all,accuracy,1,1,1,1,0,\nc,p,0,m,all,accuracy,1,one,1,1,0,\n", `f:3: column n: strconv.Atoi: parsing "one": invalid syntax`, csvText},
		{"not finite", header + "c,p,0,m,all,accuracy,1,1,1,1,0,\nc,p,0,m,all,accuracy,NaN,1,1,1,0,\n", `f:3: column value: "NaN" is not a finite number`, csvText},
	} {
		t.Run(c.name, func(t *testing.T) {
			records, err := c.read(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %s", err, c.want)
			}
			wantRecords := 1
			if c.name == "wrong header" {
				wantRecords = 0
			}
			if len(records) != wantRecords {
				t.Errorf("%d records were kept, want %d", len(records), wantRecords)
			}
		})
	}
	if _, err := ReadCSV(strings.NewReader(""), "f"); err == nil {
		t.Error("an empty CSV file has no header, but there is no error")
	}
}

func jsonl(text string) ([]Record, error)   { return ReadJSONL(strings.NewReader(text), "f") }
func csvText(text string) ([]Record, error) { return ReadCSV(strings.NewReader(text), "f") }

func TestEncodeRoundTrip(t *testing.T) {
	text := rapid.StringMatching(`['=+@,"\-a-zé ＝]{0,8}`)
	finite := rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64)
	record := rapid.Custom(func(t *rapid.T) Record {
		return Record{
			Corpus: text.Draw(t, "corpus"), Protocol: text.Draw(t, "protocol"), Fold: rapid.IntRange(-1, 10).Draw(t, "fold"),
			Method: text.Draw(t, "method"), Subset: text.Draw(t, "subset"), Metric: text.Draw(t, "metric"),
			Value: finite.Draw(t, "value"), N: rapid.Int().Draw(t, "n"), Low: finite.Draw(t, "low"), High: finite.Draw(t, "high"),
			Seed: rapid.Uint64().Draw(t, "seed"), Note: text.Draw(t, "note"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(record, 1, 4).Draw(t, "records")
		var b bytes.Buffer
		if err := WriteCSV(&b, records); err != nil {
			t.Fatal(err)
		}
		again, err := ReadCSV(&b, "f")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(records, again); diff != "" {
			t.Fatalf("CSV (-want +got):\n%s", diff)
		}
		b.Reset()
		if err := WriteJSONL(&b, records); err != nil {
			t.Fatal(err)
		}
		again, err = ReadJSONL(&b, "f")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(records, again); diff != "" {
			t.Fatalf("JSONL (-want +got):\n%s", diff)
		}
	})
}

// FuzzReadCSV: any input is records or an error, what is read can be written and read again, and no
// cell of what is written starts a formula.
func FuzzReadCSV(f *testing.F) {
	var b bytes.Buffer
	if err := WriteCSV(&b, sampleRecords()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(strings.Join(csvHeader(), ",") + "\n\"\xff\x00\n\",=1+1,0,m,'',\"\t=1\",1,1,1,1,0,\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := ReadCSV(bytes.NewReader(data), "f")
		if err != nil && err.Error() == "" {
			t.Error("an error without text")
		}
		var b bytes.Buffer
		if err := WriteCSV(&b, records); err != nil {
			t.Fatalf("read, but not writable: %v", err)
		}
		once, err := ReadCSV(bytes.NewReader(b.Bytes()), "f")
		if err != nil {
			t.Fatalf("written, but not readable: %v", err)
		}
		if len(once) != len(records) {
			t.Fatalf("%d records, after writing and reading %d", len(records), len(once))
		}
		for _, r := range once {
			for _, s := range []string{r.Corpus, r.Protocol, r.Method, r.Subset, r.Metric, r.Note} {
				if cell := cellText(s); cell != "" && strings.Contains("=+-@", cell[:1]) {
					t.Fatalf("the cell %q starts a formula", cell)
				}
			}
		}
		var again bytes.Buffer
		if err := WriteCSV(&again, once); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), again.Bytes()) {
			t.Fatalf("writing what was read back differs:\n%s\n%s", b.Bytes(), again.Bytes())
		}
	})
}

package packed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func pack(t testing.TB, log []byte, workers int) []byte {
	t.Helper()
	return packBy(t, log, Options{Workers: workers})
}

func packBy(t testing.TB, log []byte, o Options) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, o)
	if _, err := w.Write(log); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpack(t testing.TB, file []byte) ([]byte, []Damage) {
	t.Helper()
	r := NewReader(bytes.NewReader(file))
	log, err := io.ReadAll(r)
	var damaged *DamageError
	if err != nil && !errors.As(err, &damaged) {
		t.Fatal(err)
	}
	return log, r.Damage()
}

func open(t testing.TB, file []byte) *File {
	t.Helper()
	f, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// audited is a log of n requests as an API server writes them: two lines each.
func audited(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		id := fmt.Sprintf("%08x-64cb-47b6-8b1a-1bd15daffe9a", i*2654435761)
		at := fmt.Sprintf("2026-11-22T05:%02d:%02d.%06dZ", i/60%60, i%60, i*7919%1000000)
		name := fmt.Sprintf("node-%d", i%7)
		head := fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"%s","stage":"%%s","requestURI":"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/%s?timeout=10s","verb":"update","user":{"username":"system:node:%s","groups":["system:nodes","system:authenticated"]},"userAgent":"kubelet/v1.34.4","objectRef":{"resource":"leases","namespace":"kube-node-lease","name":"%s","apiGroup":"coordination.k8s.io","apiVersion":"v1"}`, id, name, name, name)
		fmt.Fprintf(&b, head+`,"requestReceivedTimestamp":"%s","stageTimestamp":"%s"}`+"\n", "RequestReceived", at, at)
		fmt.Fprintf(&b, head+`,"responseStatus":{"metadata":{},"code":200},"responseObject":{"kind":"Lease","metadata":{"name":"%s","uid":"007fb47a-4f88-45a3-9abc-e594551d9f3%d","resourceVersion":"%d"},"spec":{"holderIdentity":"%s","renewTime":"%s"}},"requestReceivedTimestamp":"%s","stageTimestamp":"%s"}`+"\n",
			"ResponseComplete", name, i%7, 11400+i, name, at, at, at)
	}
	return b.Bytes()
}

// odd are logs that are no audit logs, or only nearly.
var odd = map[string]string{
	"empty":            "",
	"one newline":      "\n",
	"no newline":       `{"a":1}`,
	"garbage":          "\x00\x00\x00garbage \xff\xfe\n{\"a\":\n}\n\r\n",
	"blank lines":      "\n\n{\"kind\":\"Event\"}\n\n",
	"spaces":           "{ \"a\" : 1 }\n {\"a\":1}\n{\"a\":1} \n",
	"carriage return":  "{\"a\":1}\r\n{\"a\":2}\r\n",
	"numbers":          `{"a":1e400,"b":-0,"c":00012,"d":1.10,"e":9223372036854775808,"f":-1,"g":"007","h":"-5"}` + "\n",
	"times":            `{"a":"2026-02-30T25:61:61Z","b":"2026-11-22T05:49:56Z","c":"2026-11-22T05:49:56.5Z","d":"1969-12-31T23:59:59.000001Z","e":"2026-11-22T23:59:60Z","f":"2026-11-22T05:49:56+01:00"}` + "\n",
	"uuids":            `{"a":"82de5212-38fb-49c0-8c75-fc03f83ac3bc","b":"82DE5212-38fb-49c0-8c75-fc03f83ac3bc","c":"82de5212-38fb-49c0-8c75-fc03f83ac3b"}` + "\n",
	"duplicate keys":   `{"a":1,"a":2,"":3,"a":{"a":[]}}` + "\n",
	"nanoseconds":      `{"a":"web.18ea475cb9b45040","b":"web.18EA475cb9b45040","c":"web.08ea475cb9b45040","d":"web.78ea475cb9b45040","e":"ffffffffffffffff 7fffffffffffffff 1000000000000000","stageTimestamp":"2026-11-22T05:49:56Z"}` + "\n",
	"escapes":          `{"a\"b":"c\\","d":"\u0000\ud800"}` + "\n",
	"no JSON":          `{"a":nul,"b":truee,"c":'x'}` + "\n" + `[1,2,,]` + "\n" + `{"a":1}}` + "\n",
	"empty values":     `{"a":{},"b":[],"c":"","d":[{},[],[[]]]}` + "\n",
	"deep":             strings.Repeat("[", 300) + strings.Repeat("]", 300) + "\n",
	"scalars":          "1\n\"a\"\nnull\n[]\n{}\n",
	"wrong types":      `{"auditID":1,"stage":{},"user":[],"objectRef":"x","requestObject":7,"responseObject":{"items":{"a":1},"metadata":3},"requestReceivedTimestamp":[]}` + "\n",
	"long text":        strings.Repeat("x y ", 40<<10) + "\nend\n",
	"long last text":   "first\n" + strings.Repeat("z", 5<<20),
	"long lines":       "first\n" + strings.Repeat("abc", 3<<20) + "\n" + `{"a":1}` + "\n" + strings.Repeat("d", 4<<20+1) + "\n",
	"mark in the text": "a" + mark + "B\n" + begin + "\n",
}

func TestRoundTrip(t *testing.T) {
	logs := map[string][]byte{"audited": audited(1500), "not ended": bytes.TrimSuffix(audited(600), []byte("\n"))}
	for name, text := range odd {
		logs[name] = []byte(text)
	}
	for name, log := range logs {
		t.Run(name, func(t *testing.T) {
			file := pack(t, log, 2)
			if again := pack(t, log, 1); !bytes.Equal(file, again) {
				t.Error("the number of workers changes the file")
			}
			got, damage := unpack(t, file)
			if !bytes.Equal(got, log) || damage != nil {
				t.Fatalf("%d bytes became %d, damage %v", len(log), len(got), damage)
			}
			f := open(t, file)
			if d := f.Verify(); d != nil {
				t.Errorf("damage %v", d)
			}
			want := bytes.Split(bytes.TrimSuffix(log, []byte("\n")), []byte("\n"))
			if len(log) == 0 {
				want = nil
			}
			if f.Lines() != len(want) {
				t.Fatalf("%d lines, want %d", f.Lines(), len(want))
			}
			for i := 0; i < len(want); i += 1 + len(want)/50 {
				line, err := f.Line(i)
				if err != nil || !bytes.Equal(line, want[i]) {
					t.Fatalf("line %d: %.80q, %v, want %.80q", i, line, err, want[i])
				}
			}
			if _, err := f.Line(len(want)); err == nil {
				t.Error("a line after the last is given")
			}
		})
	}
}

// TestPieces: how a log is cut into writes does not change the file.
func TestPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []byte
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"garbage", "blank lines", "numbers", "times", "uuids", "nanoseconds", "escapes", "wrong types", "duplicate keys", "no newline"}), 1, 6).Draw(t, "logs")
		for _, n := range names {
			log = append(log, odd[n]...)
		}
		log = append(log, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")...)
		var out bytes.Buffer
		w := NewWriter(&out, Options{Workers: 1})
		for rest := log; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(NewReader(&out))
		if err != nil || !bytes.Equal(got, log) {
			t.Fatalf("%q became %q, %v", log, got, err)
		}
	})
}

// TestCorpus packs a real recording, and says how small it gets (-v).
func TestCorpus(t *testing.T) {
	path := os.Getenv("K8NTEXT_PACK")
	if path == "" {
		t.Skip("K8NTEXT_PACK names no log")
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file := pack(t, log, 2)
	got, damage := unpack(t, file)
	if !bytes.Equal(got, log) || damage != nil {
		t.Fatalf("%d bytes became %d, damage %v", len(log), len(got), damage)
	}
	f := open(t, file)
	bases := 0
	for i, c := range f.chunks {
		if c.kind == baseChunk {
			bases += int(f.chunks[i+1].offset - c.offset)
		}
	}
	t.Logf("%d bytes: %d, bases %d", len(log), len(file), bases)
}

// TestDamage: whatever happens to a file, the lines that come out are right and have their numbers.
func TestDamage(t *testing.T) {
	log := audited(1600) // twelve blocks and a bit
	file := packBy(t, log, Options{Workers: 2, BlockLines: 256})
	f := open(t, file)
	want := bytes.Split(log, []byte("\n"))
	kinds := ""
	for _, c := range f.chunks {
		kinds += string(c.kind)
	}
	if kinds != "BLLLLLLLLLLLLL" {
		t.Fatalf("chunks %s", kinds)
	}
	at := func(i, plus int) int { return int(f.chunks[i].offset) + plus }
	for _, test := range []struct {
		name       string
		spoil      func([]byte) []byte
		lost, read int // lines at least lost, and at least right
	}{
		{"a bit in a block", func(b []byte) []byte { b[at(3, 200)] ^= 4; return b }, 256, 2944},
		{"the length of a block", func(b []byte) []byte { b[at(2, 6)] ^= 1; return b }, 256, 2944},
		{"the mark of a block", func(b []byte) []byte { b[at(4, 0)] = 0; return b }, 256, 2944},
		{"a block cut out", func(b []byte) []byte { return append(b[:at(3, 0)], b[at(4, 0):]...) }, 256, 2944},
		{"bytes put in", func(b []byte) []byte {
			return append(append(append([]byte(nil), b[:at(3, 50)]...), "put in"...), b[at(3, 50):]...)
		}, 256, 2944},
		{"a bit in the base", func(b []byte) []byte { b[at(0, 100)] ^= 4; return b }, 3200, 0},
		{"the end is missing", func(b []byte) []byte { return b[:at(11, 100)] }, 640, 2560},
		{"the index is missing", func(b []byte) []byte { return b[:len(b)-40] }, 0, 3200},
		{"a bit in the index", func(b []byte) []byte { b[len(b)-20] ^= 1; return b }, 0, 3200},
		{"the last bytes", func(b []byte) []byte { b[len(b)-3] ^= 1; return b }, 0, 3200},
		{"two blocks", func(b []byte) []byte { b[at(2, 99)] ^= 4; b[at(5, 99)] ^= 4; return b }, 512, 2688},
	} {
		t.Run(test.name, func(t *testing.T) {
			spoilt := test.spoil(bytes.Clone(file))
			got, damage := unpack(t, spoilt)
			lines := bytes.Split(got, []byte("\n"))
			right := 0
			for i, l := range lines[:len(lines)-1] {
				if len(l) == 0 {
					continue
				}
				if !bytes.Equal(l, want[i]) {
					t.Fatalf("line %d came out wrong", i+1)
				}
				right++
			}
			if right < test.read || right > 3200-test.lost {
				t.Errorf("%d lines are right, want %d to %d", right, test.read, 3200-test.lost)
			}
			if test.lost > 0 && damage == nil {
				t.Error("no damage is told")
			}
			f, err := Open(bytes.NewReader(spoilt), int64(len(spoilt)))
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Verify()) == 0 {
				t.Error("verifying finds nothing")
			}
			right = 0
			for i := range f.Lines() {
				l, err := f.Line(i)
				if err != nil {
					continue
				}
				if !bytes.Equal(l, want[i]) {
					t.Fatalf("line %d came out wrong", i+1)
				}
				right++
			}
			if right < test.read {
				t.Errorf("%d lines can be read, want %d", right, test.read)
			}
		})
	}
}

func TestSections(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, Options{Workers: 1})
	log := audited(10)
	if _, err := w.Write(log); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		if err := w.Section(name, []byte("data of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{out.Bytes(), out.Bytes()[:out.Len()-5]} {
		f := open(t, file)
		got, err := f.Section("two")
		if err != nil || string(got) != "data of two" {
			t.Errorf("section two: %q, %v", got, err)
		}
		if got, err := f.Section("three"); got != nil || err != nil {
			t.Errorf("section three: %q, %v", got, err)
		}
	}
	if got, damage := unpack(t, out.Bytes()); !bytes.Equal(got, log) || damage != nil {
		t.Errorf("the log is %d bytes, damage %v", len(got), damage)
	}
}

// TestVersion: a file of another version is no damaged one.
func TestVersion(t *testing.T) {
	file := pack(t, audited(1), 1)
	file[len(Magic)]--
	_, err := Open(bytes.NewReader(file), int64(len(file)))
	_, again := io.ReadAll(NewReader(bytes.NewReader(file)))
	for _, err := range []error{err, again} {
		if !errors.Is(err, ErrNotPacked) || !strings.Contains(err.Error(), "version 1 of the format, not 2: pack the log again") {
			t.Errorf("error %v", err)
		}
	}
}

type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestWriterFails(t *testing.T) {
	for _, left := range []int{0, 5, 8, 100, 2000} {
		w := NewWriter(&full{left}, Options{Workers: 2, BlockLines: 100})
		_, err := w.Write(audited(600))
		err = errors.Join(err, w.Close())
		if !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("with room for %d bytes: %v", left, err)
		}
	}
}

// FuzzRoundTrip: every log comes back, and every file is read without a panic.
func FuzzRoundTrip(f *testing.F) {
	for name, text := range odd {
		if len(text) < 1000 {
			f.Add([]byte(name + "\n" + text))
		}
	}
	f.Add(audited(3))
	f.Fuzz(func(t *testing.T, log []byte) {
		file := pack(t, log, 1)
		if got, damage := unpack(t, file); !bytes.Equal(got, log) || damage != nil {
			t.Fatalf("%q became %q, damage %v", log, got, damage)
		}
	})
}

// FuzzRead: a hostile file is refused or read, in bounded time.
func FuzzRead(f *testing.F) {
	file := pack(f, audited(4), 1)
	whole, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		f.Fatal(err)
	}
	_, payload, _, err := whole.readChunk(whole.chunks[1].offset)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	base := newModel(newDecoder(nil, nil))
	f.Fuzz(func(t *testing.T, payload []byte) {
		in := fields{b: payload}
		in.get()
		in.get()
		if size := in.get(); size > 1<<20 {
			return // as much work as it says
		}
		_, _, _, _ = decodeBlock(base, payload, true)
	})
}

func BenchmarkLine(b *testing.B) {
	f := open(b, pack(b, audited(20_000), 0))
	if _, err := f.Line(0); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n = (n + 7*blockLines + 400) % f.Lines() // another block, near its end
		if _, err := f.Line(n); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPack(b *testing.B) {
	log := audited(5000)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		pack(b, log, 0)
	}
}

func BenchmarkUnpack(b *testing.B) {
	log := audited(5000)
	file := pack(b, log, 0)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		unpack(b, file)
	}
}

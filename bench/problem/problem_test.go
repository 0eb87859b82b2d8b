package problem

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestTheSameProblemEveryTime(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	a, err := New(t.Context(), 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(t.Context(), 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("two problems of the same size differ")
	}
	if trainable, _ := a.Config.Parameters(); trainable != 717627 {
		t.Errorf("%d trainable parameters, the paper's network has 717627", trainable)
	}
	if len(a.Batches) != Batches || reflect.DeepEqual(a.Batches[0], a.Batches[1]) {
		t.Error("the batches should be different ones")
	}
	if _, err := New(t.Context(), 1<<20, 1); err == nil {
		t.Error("windows longer than the corpus: no error")
	}
}

func TestWriteIsReadableByNumPy(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	p, err := New(t.Context(), 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := p.Write(dir); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "weights-dense-kernel.npy"))
	if err != nil {
		t.Fatal(err)
	}
	header, found := strings.CutPrefix(string(file[:128]), "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (234, 295, ), }")
	if !found || strings.TrimLeft(header, " ") != "\n" {
		t.Fatalf("header %q", file[:128])
	}
	for _, w := range p.Weights {
		if w.Name != "dense/kernel" {
			continue
		}
		data := file[128:]
		if len(data) != 4*len(w.Data) {
			t.Fatalf("%d bytes of data for %d values", len(data), len(w.Data))
		}
		if got := math.Float32frombits(binary.LittleEndian.Uint32(data[4:])); got != w.Data[1] {
			t.Errorf("second value %v, want %v", got, w.Data[1])
		}
	}
}

package device

import (
	"strings"
	"testing"
)

// TestOpenBLAS runs the products of TestGemm through the system's library, or where there is none
// checks that the error tells what was sought.
func TestOpenBLAS(t *testing.T) {
	k, err := OpenBLAS()
	if err != nil {
		t.Logf("no OpenBLAS here: %v", err)
		if !strings.Contains(err.Error(), "openblas") {
			t.Errorf("the error does not name the library: %v", err)
		}
		return
	}
	if k.Name() != "openblas" {
		t.Errorf("name %q", k.Name())
	}
	testGemm(t, k)

	// Strides that BLAS does not have: overlapping rows, every second value, one value for all.
	a := []float32{1, 2, 3, 4, 5, 6, 7}
	var packed Packed
	k.Pack(&packed, 3, 2, []float32{1, 10, 100, 1000, 10000, 100000}, 2, 1)
	for _, c := range []struct {
		rs, cs int
		want   [4]float32
	}{
		{1, 2, [4]float32{1 + 300 + 50000, 10 + 3000 + 500000, 2 + 400 + 60000, 20 + 4000 + 600000}},
		{2, 2, [4]float32{1 + 300 + 50000, 10 + 3000 + 500000, 3 + 500 + 70000, 30 + 5000 + 700000}},
		{3, 0, [4]float32{10101, 101010, 40404, 404040}},
	} {
		var got [4]float32
		k.Gemm(2, a, c.rs, c.cs, &packed, 0, 3, got[:], 2, false)
		if got != c.want {
			t.Errorf("strides %d, %d: %v, want %v", c.rs, c.cs, got, c.want)
		}
	}

	own, err := Select("")
	if err != nil {
		t.Fatal(err)
	}
	var foreign Packed
	own.Pack(&foreign, 1, 1, []float32{1}, 1, 1)
	defer func() {
		if recover() == nil {
			t.Error("a matrix packed by other kernels was accepted")
		}
	}()
	k.Gemm(1, []float32{1}, 1, 1, &foreign, 0, 1, make([]float32, 1), 1, false)
}

func TestOpenBLASMissing(t *testing.T) {
	for name, want := range map[string]string{"libnosuch-blas.so": "libnosuch-blas.so", "libc.so.6": "cblas_sgemm"} {
		if _, err := openBLASOf([]string{name}); err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want one that names %s", name, err, want)
		}
	}
}

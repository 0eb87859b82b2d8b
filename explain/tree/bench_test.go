package tree

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// planted draws rows of classes that are told apart by many features a little: the first 39 hold a
// class's own value more often than the others, as the event at a window's centre does.
func planted(rows, features, classes int, seed uint64) (*Table, []int32) {
	rng := rand.New(rand.NewPCG(seed, 1))
	labels := make([]int32, rows)
	zipf := rand.NewZipf(rng, 1.2, 4, uint64(classes-1))
	for i := range labels {
		labels[i] = int32(zipf.Uint64())
	}
	t, err := NewTable(rows, features, func(f int, dst []int32) {
		values := 2 + rng.IntN(30)
		own := make([]int32, classes)
		for k := range own {
			own[k] = int32(min(rng.IntN(values), rng.IntN(values)))
		}
		share := .1
		if f < 39 {
			share = .5
		}
		for i := range dst {
			if rng.Float64() < share {
				dst[i] = own[labels[i]]
			} else {
				dst[i] = int32(min(rng.IntN(values), rng.IntN(values)))
			}
		}
	})
	if err != nil {
		panic(err)
	}
	for i := range labels {
		if rng.Float64() < .05 {
			labels[i] = int32(rng.IntN(classes))
		}
	}
	return t, labels
}

func BenchmarkFit(b *testing.B) {
	for _, size := range [][3]int{{1200, 390, 20}, {14000, 39, 200}, {14000, 2340, 200}} {
		t, labels := planted(size[0], size[1], size[2], 1)
		for _, nominal := range []bool{false, true} {
			o := Options{Workers: 1}
			if nominal {
				o.Nominal = make([]bool, size[1])
				for f := range o.Nominal {
					o.Nominal[f] = true
				}
			}
			b.Run(fmt.Sprintf("%dx%dx%d/nominal=%v", size[0], size[1], size[2], nominal), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					tr, err := Fit(t, labels, size[2], o)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(tr.Leaves()), "leaves")
				}
			})
		}
	}
}

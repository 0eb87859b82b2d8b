package metrics

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestClusterScores(t *testing.T) {
	// Two of the true clusters 0 and 1 are found as one, cluster 2 is split, the last item is in none.
	truth := []int32{0, 0, 1, 1, 2, 2, 2, -1}
	found := []int32{7, 7, 7, 7, 8, 8, 9, 9}
	c := CompareClusters(truth, found, nil)
	s := Scores(c.Of)
	// Pairs: true 1+1+3, found 6+1, both 1+1+1.
	want := map[string][2]float64{
		"precision": {s.PairwisePrecision, 3. / 7}, "recall": {s.PairwiseRecall, 3. / 5}, "f1": {s.PairwiseF1, 6. / 12},
		"b3 precision": {s.BCubedPrecision, (4*.5 + 3) / 7}, "b3 recall": {s.BCubedRecall, (4 + 2*2./3 + 1./3) / 7},
		"exact": {s.Exact, 0}, "right": {s.Right, 4. / 7}, "jaccard": {s.Jaccard, (.5 + .5 + 2./3) / 3},
	}
	for name, x := range want {
		if math.Abs(x[0]-x[1]) > 1e-12 {
			t.Errorf("%s is %g, want %g", name, x[0], x[1])
		}
	}
	if s.Clusters != 3 || s.Items != 7 || s.Merged != 2 || s.Split != 1 || s.Both != 0 {
		t.Errorf("%+v", s)
	}
	// Only cluster 2 is scored: that the others are merged costs it nothing.
	if s := Scores(CompareClusters(truth, found, func(x int) bool { return x == 2 }).Of); s.PairwisePrecision != 1 || s.Clusters != 1 {
		t.Errorf("of cluster 2: %+v", s)
	}
	// Only cluster 0 is: its items are together with two others, which counts in full.
	if s := Scores(CompareClusters(truth, found, func(x int) bool { return x == 0 }).Of); s.PairwisePrecision != 1./5 || s.PairwiseRecall != 1 {
		t.Errorf("of cluster 0: %+v", s)
	}
}

// The adjusted measures against their definition: the mean over all orders of the items is 0.
func TestAdjustedByChance(t *testing.T) {
	truth, found := []int32{0, 0, 0, 1, 1, 2}, []int32{0, 0, 1, 1, 2, 2}
	var rand, information float64
	n := 0
	var permute func(rest, done []int32)
	permute = func(rest, done []int32) {
		if len(rest) == 0 {
			c := CompareClusters(truth, done, nil)
			rand += c.AdjustedRand()
			information += c.AdjustedMutualInformation()
			n++
			return
		}
		for i := range rest {
			permute(slices.Delete(slices.Clone(rest), i, i+1), append(slices.Clone(done), rest[i]))
		}
	}
	permute(found, nil)
	if rand /= float64(n); math.Abs(rand) > 1e-9 {
		t.Errorf("adjusted Rand of chance is %g", rand)
	}
	if information /= float64(n); math.Abs(information) > 1e-9 {
		t.Errorf("adjusted mutual information of chance is %g", information)
	}
	c := CompareClusters([]int32{0, 0, 1, 1}, []int32{0, 0, 1, 2}, nil)
	if got := c.AdjustedRand(); math.Abs(got-4./7) > 1e-12 { // as scikit-learn's documentation says
		t.Errorf("adjusted Rand is %g, want 4/7", got)
	}
}

func TestClusterProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Int32Range(0, 4), 1, 30)
		truth := numbers.Draw(t, "truth")
		found := rapid.SliceOfN(rapid.Int32Range(0, 4), len(truth), len(truth)).Draw(t, "found")
		c := CompareClusters(truth, found, nil)
		s := Scores(c.Of)
		for _, x := range []float64{s.PairwiseF1, s.BCubedF1, s.Exact, s.Right, s.Jaccard} {
			if x < 0 || x > 1+1e-12 {
				t.Fatalf("a score of %g: %+v", x, s)
			}
		}
		// Other numbers for the same clusters change nothing.
		renamed := make([]int32, len(found))
		for i, x := range found {
			renamed[i] = 100 - 3*x
		}
		if again := Scores(CompareClusters(truth, renamed, nil).Of); math.Abs(again.PairwiseF1-s.PairwiseF1) > 1e-12 || again.Exact != s.Exact {
			t.Fatalf("renamed: %+v, before: %+v", again, s)
		}
		// Exchanged, precision is recall.
		if back := Scores(CompareClusters(found, truth, nil).Of); math.Abs(back.PairwisePrecision-s.PairwiseRecall) > 1e-12 || math.Abs(back.BCubedPrecision-s.BCubedRecall) > 1e-12 {
			t.Fatalf("exchanged: %+v, before: %+v", back, s)
		}
		same := CompareClusters(truth, truth, nil)
		if s := Scores(same.Of); s.PairwiseF1 != 1 || s.Exact != 1 || same.AdjustedRand() != 1 || math.Abs(same.AdjustedMutualInformation()-1) > 1e-9 {
			t.Fatalf("the truth itself: %+v", s)
		}
	})
}

func TestResampled(t *testing.T) {
	truth, found := make([]int32, 200), make([]int32, 200)
	for i := range truth {
		truth[i], found[i] = int32(i/2), int32(i/2)
		if i%8 == 0 {
			found[i] = int32(1000 + i)
		}
	}
	of := CompareClusters(truth, found, nil).Of
	value := func(s []ClusterScores) []float64 { return []float64{s[0].Exact, s[0].Exact - s[1].Exact} }
	got := Resampled([][]ClusterScore{of, of}, value, 200, 1)
	if exact := Scores(of).Exact; got[0][0] >= exact || got[0][1] <= exact || got[0][1]-got[0][0] > .3 {
		t.Errorf("exact %g in %v", exact, got[0])
	}
	if got[1] != [2]float64{} {
		t.Errorf("the difference to itself is in %v", got[1])
	}
	if Resampled([][]ClusterScore{of[:1]}, value, 10, 1) != nil {
		t.Error("an interval of one cluster")
	}
}

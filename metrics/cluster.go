package metrics

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Clusters compares a grouping of items with the true one. See [CompareClusters].
type Clusters struct {
	// Of are the true clusters that are scored, in the order of their numbers.
	Of []ClusterScore

	table [][3]int // true cluster, found cluster, items in both; of what the adjusted measures speak of
}

// ClusterScore is how well one true cluster was found. Sums over clusters make the scores of a grouping.
type ClusterScore struct {
	Cluster int // its number in the truth
	Size    int // items of it

	// Pairs of items. A pair that only one side puts together and that is of two scored clusters counts
	// half in each.
	TruePairs, FoundPairs, BothPairs float64

	// Precision and Recall are sums over the items: the share of the items found together with this one
	// that belong there, and of those that belong there that were found (B-cubed).
	Precision, Recall float64

	Right  int  // items in the found cluster that holds most of it and that it has most of
	Parts  int  // found clusters that it is spread over
	Merged bool // it shares a found cluster with others
	Best   int  // the found cluster that holds most of it

	// Jaccard is its overlap with the found cluster of its first item, the reference's measure.
	Jaccard float64
}

// Exact tells that the cluster was found with just its items.
func (c *ClusterScore) Exact() bool { return c.Parts == 1 && !c.Merged }

// CompareClusters compares two groupings of the same items, given as the number of the cluster of each
// item. An item with a negative number in truth is in no cluster for sure and left out. Only clusters
// for which scored holds are scored; the others count where they were put together with scored ones.
// Nil scores all.
//
// Sources: B-cubed: A. Bagga and B. Baldwin, Algorithms for Scoring Coreference Chains, 1998.
// Adjusted Rand index: L. Hubert and P. Arabie, Comparing Partitions, 1985. Adjusted mutual
// information: N. Vinh, J. Epps and J. Bailey, Information Theoretic Measures for Clusterings
// Comparison, 2010, normalised by the arithmetic mean.
func CompareClusters(truth, found []int32, scored func(cluster int) bool) *Clusters {
	if scored == nil {
		scored = func(int) bool { return true }
	}
	cells := make(map[[2]int32]int)
	sizeTrue, sizeFound := make(map[int32]int), make(map[int32]int)
	first := make(map[int32]int32) // of a true cluster: the found one of its first item
	sure := make(map[int32]int)    // of a found cluster: items of scored clusters
	for i, t := range truth {
		if t < 0 {
			continue
		}
		cells[[2]int32{t, found[i]}]++
		if sizeTrue[t]++; sizeTrue[t] == 1 {
			first[t] = found[i]
		}
		sizeFound[found[i]]++
		if scored(int(t)) {
			sure[found[i]]++
		}
	}
	keys := make([][2]int32, 0, len(cells))
	for k := range cells {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]int32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })

	// The true cluster that a found one has most of.
	owner := make(map[int32][2]int32)
	for _, k := range keys {
		if n := int32(cells[k]); n > owner[k[1]][1] {
			owner[k[1]] = [2]int32{k[0], n}
		}
	}
	out := &Clusters{}
	for i := 0; i < len(keys); {
		t := keys[i][0]
		j := i
		for j < len(keys) && keys[j][0] == t {
			j++
		}
		parts := keys[i:j]
		i = j
		if !scored(int(t)) {
			for _, k := range parts {
				if sure[k[1]] > 0 {
					out.table = append(out.table, [3]int{int(t), int(k[1]), cells[k]})
				}
			}
			continue
		}
		size := sizeTrue[t]
		c := ClusterScore{Cluster: int(t), Size: size, TruePairs: pairs(size), Parts: len(parts)}
		most := 0
		for _, k := range parts {
			n, all, ours := cells[k], sizeFound[k[1]], sure[k[1]]
			out.table = append(out.table, [3]int{int(t), int(k[1]), n})
			c.BothPairs += pairs(n)
			c.FoundPairs += float64(n) * (float64(ours-1)/2 + float64(all-ours))
			c.Precision += float64(n) * float64(n) / float64(all)
			c.Recall += float64(n) * float64(n) / float64(size)
			c.Merged = c.Merged || all > n
			if k[1] == first[t] {
				c.Jaccard = float64(n) / float64(size+all-n)
			}
			if n > most {
				most, c.Best = n, int(k[1])
				c.Right = 0
				if owner[k[1]][0] == t {
					c.Right = n
				}
			}
		}
		out.Of = append(out.Of, c)
	}
	return out
}

func pairs(n int) float64 { return float64(n) * float64(n-1) / 2 }

// ClusterScores are the scores of a grouping.
type ClusterScores struct {
	Clusters int `json:"n"`      // true clusters
	Items    int `json:"events"` // in them

	PairwisePrecision float64 `json:"pairwise_precision"`
	PairwiseRecall    float64 `json:"pairwise_recall"`
	PairwiseF1        float64 `json:"pairwise_f1"`
	BCubedPrecision   float64 `json:"bcubed_precision"`
	BCubedRecall      float64 `json:"bcubed_recall"`
	BCubedF1          float64 `json:"bcubed_f1"`
	Exact             float64 `json:"exact"`   // share of the clusters found with just their items
	Right             float64 `json:"right"`   // share of the items in the found cluster that stands for theirs
	Jaccard           float64 `json:"jaccard"` // mean over the clusters
	Split             int     `json:"splits"`  // clusters that were only spread over several found ones
	Merged            int     `json:"merges"`  // that only share a found one with others
	Both              int     `json:"splits_and_merges"`
}

// Scores sums up clusters. A score that is not defined on them (of pairs, where no cluster has two
// items and nothing was put together) is 1: nothing was to be found and nothing was.
func Scores(of []ClusterScore) ClusterScores {
	return weighted(of, nil)
}

func weighted(of []ClusterScore, times []int) ClusterScores {
	var s ClusterScores
	var truth, found, both, precision, recall, exact, right, jaccard float64
	for i := range of {
		c, n := &of[i], 1
		if times != nil {
			n = times[i]
		}
		w := float64(n)
		s.Clusters += n
		s.Items += n * c.Size
		truth += w * c.TruePairs
		found += w * c.FoundPairs
		both += w * c.BothPairs
		precision += w * c.Precision
		recall += w * c.Recall
		right += w * float64(c.Right)
		jaccard += w * c.Jaccard
		switch {
		case c.Exact():
			exact += w
		case c.Parts > 1 && c.Merged:
			s.Both += n
		case c.Merged:
			s.Merged += n
		default:
			s.Split += n
		}
	}
	s.PairwisePrecision, s.PairwiseRecall = share(both, found), share(both, truth)
	s.PairwiseF1 = share(2*both, truth+found)
	items := float64(s.Items)
	s.BCubedPrecision, s.BCubedRecall = share(precision, items), share(recall, items)
	s.BCubedF1 = harmonic(s.BCubedPrecision, s.BCubedRecall)
	s.Exact = share(exact, float64(s.Clusters))
	s.Right = share(right, items)
	s.Jaccard = share(jaccard, float64(s.Clusters))
	return s
}

func share(part, whole float64) float64 {
	if whole == 0 {
		return 1
	}
	return part / whole
}

func harmonic(a, b float64) float64 {
	if a+b == 0 {
		return 0
	}
	return 2 * a * b / (a + b)
}

// Resampled gives the 95 % percentile intervals of functions of scores under resampling whole true
// clusters with replacement, since the items of one depend on each other. of are one or more comparisons
// with the same truth, resampled together, so that an interval of a difference is a paired one. Nil:
// fewer than two clusters.
func Resampled(of [][]ClusterScore, values func(s []ClusterScores) []float64, resamples int, seed uint64) (intervals [][2]float64) {
	if len(of) == 0 || len(of[0]) < 2 || resamples < 1 {
		return nil
	}
	n := len(of[0])
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	times := make([]int, n)
	scores := make([]ClusterScores, len(of))
	var drawn [][]float64
	for range resamples {
		clear(times)
		for range n {
			times[random.IntN(n)]++
		}
		for i := range of {
			scores[i] = weighted(of[i], times)
		}
		got := values(scores)
		if drawn == nil {
			drawn = make([][]float64, len(got))
		}
		for i, x := range got {
			drawn[i] = append(drawn[i], x)
		}
	}
	for _, xs := range drawn {
		slices.Sort(xs)
		intervals = append(intervals, [2]float64{stat.Quantile(.025, stat.LinInterp, xs, nil), stat.Quantile(.975, stat.LinInterp, xs, nil)})
	}
	return intervals
}

// AdjustedRand is the adjusted Rand index, 1 for equal groupings and about 0 for random ones, over the
// items of the scored clusters and what was put together with them.
func (c *Clusters) AdjustedRand() float64 {
	rows, columns, n := c.margins()
	var both, truth, found float64
	for _, x := range c.table {
		both += pairs(x[2])
	}
	for _, r := range rows {
		truth += pairs(r)
	}
	for _, k := range columns {
		found += pairs(k)
	}
	all := pairs(n)
	if all == 0 {
		return 1
	}
	expected := truth * found / all
	if most := (truth + found) / 2; most != expected {
		return (both - expected) / (most - expected)
	}
	return 1
}

// AdjustedMutualInformation is 1 for equal groupings and about 0 for random ones, over the same items
// as [Clusters.AdjustedRand].
func (c *Clusters) AdjustedMutualInformation() float64 {
	rows, columns, n := c.margins()
	if n == 0 || len(rows) == 1 && len(columns) == 1 {
		return 1
	}
	total := float64(n)
	mutual := 0.0
	for _, x := range c.table {
		p := float64(x[2]) / total
		mutual += p * math.Log(float64(x[2])*total/(float64(rows[x[0]])*float64(columns[x[1]])))
	}
	byRow, byColumn := bySize(rows), bySize(columns)
	expected := expectedInformation(byRow, byColumn, n)
	mean := (entropy(byRow, total) + entropy(byColumn, total)) / 2
	if math.Abs(mean-expected) < 1e-15 {
		return 1
	}
	return (mutual - expected) / (mean - expected)
}

func (c *Clusters) margins() (rows, columns map[int]int, n int) {
	rows, columns = make(map[int]int), make(map[int]int)
	for _, x := range c.table {
		rows[x[0]] += x[2]
		columns[x[1]] += x[2]
		n += x[2]
	}
	return rows, columns, n
}

// sizes is how many clusters there are of a size.
type sizes struct{ size, count int }

// bySize is sorted, so that sums over it are the same every time.
func bySize(of map[int]int) []sizes {
	counts := make(map[int]int)
	for _, n := range of {
		counts[n]++
	}
	list := make([]sizes, 0, len(counts))
	for n, k := range counts {
		list = append(list, sizes{n, k})
	}
	slices.SortFunc(list, func(a, b sizes) int { return cmp.Compare(a.size, b.size) })
	return list
}

func entropy(of []sizes, total float64) float64 {
	h := 0.0
	for _, s := range of {
		p := float64(s.size) / total
		h -= float64(s.count) * p * math.Log(p)
	}
	return h
}

// expectedInformation is the mean mutual information of random groupings with these sizes (Vinh, Epps
// and Bailey 2010, equation 24a), clusters of one size taken together.
func expectedInformation(rows, columns []sizes, n int) float64 {
	total := float64(n)
	factorial := make([]float64, n+1) // logarithms
	for i := 2; i <= n; i++ {
		factorial[i] = factorial[i-1] + math.Log(float64(i))
	}
	sum := 0.0
	for _, r := range rows {
		for _, k := range columns {
			a, b := r.size, k.size
			fixed := factorial[a] + factorial[b] + factorial[n-a] + factorial[n-b] - factorial[n]
			part := 0.0
			for x := max(1, a+b-n); x <= min(a, b); x++ {
				chance := math.Exp(fixed - factorial[x] - factorial[a-x] - factorial[b-x] - factorial[n-a-b+x])
				if chance < 1e-18 && float64(x)*total > float64(a)*float64(b) {
					break // from here on it only falls
				}
				part += float64(x) / total * math.Log(total*float64(x)/(float64(a)*float64(b))) * chance
			}
			sum += float64(r.count) * float64(k.count) * part
		}
	}
	return sum
}

package contest

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain makes this test binary a contestant when a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv("CONTEST_TEST_CONTESTANT") == "" {
		os.Exit(m.Run())
	}
	err := Serve(os.Stdin, os.Stdout, func(task string, n int) Answer {
		if task != "count" {
			return Answer{Error: "unknown task " + task}
		}
		return Time(n, func() error { return nil })
	})
	if err != nil {
		os.Exit(1)
	}
}

func TestRounds(t *testing.T) {
	var contestants []*Contestant
	for _, threads := range []int{1, 2} {
		c, err := Start(Contestant{Name: "self", Setting: "test", Threads: threads}, []string{"CONTEST_TEST_CONTESTANT=1"}, []string{"HOME"}, os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		contestants = append(contestants, c)
	}
	for _, c := range []struct {
		rounds int
		limit  time.Duration
		n      int
	}{{3, time.Hour, 12}, {5, time.Hour, 20}, {5, 0, 12}, {2, 0, 8}} {
		results, err := Rounds(contestants, "count", c.rounds, 4, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Name != "self" || r.Setting != "test" || r.Threads != i+1 || r.N != c.n || !(r.WallMin <= r.WallMedian) {
				t.Errorf("%d rounds in %v, contestant %d: %+v", c.rounds, c.limit, i, r)
			}
		}
	}
	if _, err := Rounds(contestants, "fly", 1, 1, time.Hour); err == nil || !strings.Contains(err.Error(), "unknown task fly") {
		t.Errorf("unknown task: error %v", err)
	}
	for _, c := range contestants {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTime(t *testing.T) {
	boom := errors.New("boom")
	if a := Time(3, func() error { return boom }); a.Error != "boom" || a.Wall != nil {
		t.Errorf("got %+v", a)
	}
}

func TestMedian(t *testing.T) {
	s := []int{3, 1, 2, 9}
	if got := Median(s); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
	if !slices.Equal(s, []int{3, 1, 2, 9}) {
		t.Error("the values were reordered")
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"k8ntext/bench/contest"
	"k8ntext/bench/host"
	"k8ntext/explain"
	"k8ntext/explain/tree"
)

// serve is our contestant: one thread. What a task computed goes into the answer's losses.
func serve(dir string) error {
	tasks := make(map[string]func() ([]float64, error))
	return contest.Serve(os.Stdin, os.Stdout, func(name string, n int) contest.Answer {
		task, ok := tasks[name]
		if !ok {
			clear(tasks) // only one table in memory
			var err error
			if task, err = newTask(dir, name); err != nil {
				return contest.Answer{Error: err.Error()}
			}
			tasks[name] = task
		}
		var found []float64
		a := contest.Time(n, func() (err error) {
			found, err = task()
			return err
		})
		a.Losses = found
		return a
	})
}

// newTask prepares a task "KIND ROWS ITERATIONS STABILITY".
func newTask(dir, name string) (func() ([]float64, error), error) {
	var kind, file string
	o := explain.TrusteeOptions{SampleShare: .5, Workers: 1, Seed: 1}
	if _, err := fmt.Sscan(name+strings.Repeat(" 0", 4-len(strings.Fields(name))), &kind, &file, &o.Iterations, &o.Stability); err != nil {
		return nil, fmt.Errorf("task %q: %w", name, err)
	}
	r, err := read(dir, file)
	if err != nil {
		return nil, err
	}
	if kind == "fit" { // making the table is part of it: scikit-learn takes the rows as they are
		return func() ([]float64, error) {
			table, err := r.table()
			if err != nil {
				return nil, err
			}
			t, err := tree.Fit(table, r.labels, r.classes, tree.Options{Workers: 1})
			if err != nil {
				return nil, err
			}
			return []float64{float64(t.Leaves()), megabytes()}, nil
		}, nil
	}
	p, err := r.problem(file)
	if err != nil {
		return nil, err
	}
	var given, held []int32
	for i := range r.count {
		if i < r.held() {
			given = append(given, int32(i))
		} else {
			held = append(held, int32(i))
		}
	}
	ctx := context.Background()
	switch kind {
	case "trustee":
		return func() ([]float64, error) {
			t, err := explain.Trustee(ctx, p, given, o)
			if err != nil {
				return nil, err
			}
			return r.found(p.Table, t.Pruned, held, t.Reward), nil
		}, nil
	case "honest": // as many leaves as trustee has left; then as many as it chooses itself
		return func() ([]float64, error) {
			t, err := explain.Trustee(ctx, p, given, o)
			if err != nil {
				return nil, err
			}
			h, err := explain.Honest(ctx, p, explain.HonestOptions{
				Parts: &explain.Parts{Train: given[:len(given)*3/4], Select: given[len(given)*3/4:], Report: held}, Workers: 1, Seed: 1,
			})
			if err != nil {
				return nil, err
			}
			// With the size given there is none to choose: the selecting rows are grown on too.
			full, err := tree.Fit(p.Table, r.labels, r.classes, tree.Options{Weights: r.ones(given), Workers: 1})
			if err != nil {
				return nil, err
			}
			return append(r.found(p.Table, full.MaxLeaves(t.Pruned.Leaves()), held, 0), r.found(p.Table, h.Tree, held, 0)...), nil
		}, nil
	}
	return nil, fmt.Errorf("unknown task %q", name)
}

// ones are the weights with which the given rows alone count, once each.
func (r *rows) ones(given []int32) []int32 {
	weights := make([]int32, r.count)
	for _, row := range given {
		weights[row] = 1
	}
	return weights
}

// found is what a task is asked for: leaves, agreement and macro F1 with the teacher on the rows held
// out, the method's own reward, peak memory.
func (r *rows) found(table *tree.Table, t *tree.Tree, held []int32, reward float64) []float64 {
	want, got := make([]int32, len(held)), make([]int32, len(held))
	for i, row := range held {
		want[i], got[i] = r.labels[row], t.Class(table, int(row))
	}
	same, f1 := compare(want, got)
	return []float64{float64(t.Leaves()), same, f1, reward, megabytes()}
}

// compare gives the share of equal classes and the macro F1 over the classes that occur.
func compare(a, b []int32) (share, f1 float64) {
	type counts struct{ both, a, b float64 }
	classes := make(map[int32]*counts)
	of := func(k int32) *counts {
		if classes[k] == nil {
			classes[k] = &counts{}
		}
		return classes[k]
	}
	for i := range a {
		of(a[i]).a++
		of(b[i]).b++
		if a[i] == b[i] {
			of(a[i]).both++
			share++
		}
	}
	for _, c := range classes {
		f1 += 2 * c.both / (c.a + c.b)
	}
	return share / float64(len(a)), f1 / float64(len(classes))
}

func megabytes() float64 { return float64(host.PeakMemory() >> 20) }

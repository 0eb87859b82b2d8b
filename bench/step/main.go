// Step measures a step of training and of inference of the paper's network and prints a JSON line for
// each size, kernel path and number of threads:
//
//	go run ./bench/step
//
// With -contestant it is a contestant of package contest instead, for one size; with -write it writes
// the problem of that size to files and measures nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/go-json-experiment/json"

	"k8ntext/bench/contest"
	"k8ntext/bench/host"
	"k8ntext/bench/problem"
	"k8ntext/model"
	"k8ntext/model/device"
	"k8ntext/model/rnn"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "step:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("step", flag.ContinueOnError)
	contestant := flags.Bool("contestant", false, "answer requests from standard input")
	window := flags.Int("window", 60, "events of a window (with -contestant and -write)")
	batch := flags.Int("batch", 32, "windows of a batch (with -contestant and -write)")
	threads := flags.Int("threads", 1, "threads of a step (with -contestant)")
	kernels := flags.String("kernels", "auto", "kernel path (with -contestant)")
	write := flags.String("write", "", "write the problem of -window and -batch to this folder and end")
	runs := flags.Int("runs", 20, "steps to measure of each kind")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *write != "" {
		p, err := problem.New(context.Background(), *window, *batch)
		if err != nil {
			return err
		}
		return p.Write(*write)
	}
	if *contestant {
		e, err := newEngine(*window, *batch, *threads, *kernels)
		if err != nil {
			return err
		}
		defer e.close()
		return contest.Serve(in, out, e.do)
	}
	return all(out, *runs)
}

// all measures every size on every path, and the portable one, which takes seconds a step, at the
// paper's size only.
func all(out io.Writer, runs int) error {
	type size struct{ window, batch int }
	sizes := []size{{60, 1}, {60, 32}, {60, 128}, {5, 32}, {10, 32}, {20, 32}, {30, 32}, {40, 32}, {50, 32}}
	if err := json.MarshalWrite(out, host.Describe(), json.Deterministic(true)); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Fprintln(out)
	for _, s := range sizes {
		for _, kernels := range device.Available() {
			n := runs
			if kernels == "generic" {
				if s != (size{60, 32}) {
					continue
				}
				n = min(runs, 3)
			}
			for _, threads := range []int{1, 2} {
				if err := one(out, s.window, s.batch, threads, kernels, n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func one(out io.Writer, window, batch, threads int, kernels string, n int) error {
	e, err := newEngine(window, batch, threads, kernels)
	if err != nil {
		return err
	}
	defer e.close()
	for _, task := range []string{"train", "infer"} {
		if a := e.do(task, 2); a.Error != "" {
			return errors.New(a.Error)
		}
		a := e.do(task, n)
		if a.Error != "" {
			return errors.New(a.Error)
		}
		r := contest.Summary(task, [][]float64{a.Wall}, []float64{a.CPU})
		r.Window, r.Batch, r.Name, r.Setting, r.Threads = window, batch, "k8ntext", kernels, threads
		if err := json.MarshalWrite(out, r, json.Deterministic(true)); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		fmt.Fprintln(out)
	}
	return nil
}

// engine is the network of a problem, ready to train and to infer.
type engine struct {
	problem *problem.Problem
	options model.NetworkOptions
	train   *model.Network
	infer   *model.Network
	steps   int
}

func newEngine(window, batch, threads int, kernels string) (*engine, error) {
	k, err := device.Select(kernels)
	if err != nil {
		return nil, err
	}
	p, err := problem.New(context.Background(), window, batch)
	if err != nil {
		return nil, err
	}
	runtime.GC()
	e := &engine{problem: p, options: model.NetworkOptions{Kernels: k, Threads: threads}}
	o := e.options
	o.Training, o.Adam = true, rnn.AdamOptions{LearningRate: problem.LearningRate}
	if e.train, err = model.NewNetwork(p.Config, p.Weights.Clone(), batch, o); err != nil {
		return nil, err
	}
	o = e.options
	o.Frozen = true
	if e.infer, err = model.NewNetwork(p.Config, p.Weights, batch, o); err != nil {
		return nil, errors.Join(err, e.train.Close())
	}
	return e, nil
}

func (e *engine) close() error { return errors.Join(e.train.Close(), e.infer.Close()) }

func (e *engine) do(task string, n int) contest.Answer {
	batch := func() *model.Batch {
		e.steps++
		return e.problem.Batches[e.steps%len(e.problem.Batches)]
	}
	switch task {
	case "train":
		return contest.Time(n, func() error { _, err := e.train.TrainStep(batch()); return err })
	case "infer":
		return contest.Time(n, func() error { _, err := e.infer.Infer(batch()); return err })
	case "losses":
		return e.losses(n)
	}
	return contest.Answer{Error: fmt.Sprintf("unknown task %q: ask for train, infer or losses", task)}
}

// losses trains a fresh network for n steps without dropout, which cannot be drawn alike everywhere.
func (e *engine) losses(n int) contest.Answer {
	c, o := e.problem.Config, e.options
	c.Dropout = 0
	o.Training, o.Adam = true, rnn.AdamOptions{LearningRate: problem.LearningRate}
	network, err := model.NewNetwork(c, e.problem.Weights.Clone(), e.problem.Size, o)
	if err != nil {
		return contest.Answer{Error: err.Error()}
	}
	defer network.Close()
	var a contest.Answer
	for i := range n {
		loss, err := network.TrainStep(e.problem.Batches[i%len(e.problem.Batches)])
		if err != nil {
			return contest.Answer{Error: err.Error()}
		}
		a.Losses = append(a.Losses, loss)
	}
	return a
}

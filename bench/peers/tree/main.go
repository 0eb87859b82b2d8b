// Tree runs this project's tree builder and its mode trustee, scikit-learn's trees and the package
// trustee in turns, one thread each, on the same rows, and writes what they took and how faithful they
// were to bench/results/trees.json:
//
//	python3 -m venv VENV && VENV/bin/pip install -r bench/peers/requirements-trees.txt
//	go run ./bench/peers/tree -python VENV/bin/python
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8ntext/bench/contest"
	"k8ntext/bench/host"
	"k8ntext/bench/results"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tree:", err)
		os.Exit(1)
	}
}

// enough ends no bout early: the rounds are few.
const enough = time.Hour

// bout is a task with its rounds and the runs of a round.
type bout struct {
	task      string
	rounds, n int
	ours      bool // nobody else has it
}

func bouts() []bout {
	return []bout{
		{"fit 14000x39x200", 5, 5, false},
		{"fit 14000x2340x200", 3, 1, false},
		{"trustee 5000x390x20 10 3", 3, 1, false},
		{"honest 5000x390x20 10 3", 1, 1, true},
		{"trustee windows 2 1", 3, 1, false},
		{"honest windows 10 3", 1, 1, true},
		{"trustee digits 50 5", 2, 1, false},
		{"honest digits 50 5", 1, 1, true},
	}
}

// record is the file trees.json.
type record struct {
	Machine  host.Machine     `json:"machine"`
	Versions string           `json:"versions"`
	Results  []contest.Result `json:"results"`
	// Found has what each task computed, by task and name of the contestant: leaves (and peak memory in
	// MB) for fit; else leaves, agreement and macro F1 with the teacher on held-out rows, reward, peak
	// memory in MB; for honest twice, at the leaves of trustee and at its own.
	Found map[string]map[string][]float64 `json:"found"`
}

func run(args []string) error {
	flags := flag.NewFlagSet("tree", flag.ContinueOnError)
	python := flags.String("python", "python3", "interpreter that has the peers")
	output := flags.String("o", "bench/results/trees.json", "file of results")
	only := flags.String("only", "", "run only tasks that begin so; their results replace those in the file")
	serveDir := flags.String("serve", "", "be a contestant on the rows in this folder")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *serveDir != "" {
		return serve(*serveDir)
	}
	dir, err := os.MkdirTemp("", "k8ntext-trees")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	script := "bench/peers/tree_contestant.py"
	versions, err := exec.Command(*python, script, "versions").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its versions: %w", *python, err)
	}
	if err := exec.Command(*python, script, "digits", filepath.Join(dir, "digits.rows")).Run(); err != nil {
		return fmt.Errorf("write the digits: %w", err)
	}

	var rec record
	if *only != "" {
		if err := results.Read(*output, &rec); err != nil {
			return err
		}
	}
	rec.Machine, rec.Versions = host.Describe(), strings.TrimSpace(string(versions))
	if rec.Found == nil {
		rec.Found = make(map[string]map[string][]float64)
	}
	for _, b := range bouts() {
		if !strings.HasPrefix(b.task, *only) {
			continue
		}
		fmt.Fprintln(os.Stderr, b.task)
		if err := prepare(dir, b.task); err != nil {
			return err
		}
		contestants, err := start(dir, self, *python, script, b.ours)
		if err != nil {
			return err
		}
		times, err := contest.Rounds(contestants, b.task, b.rounds, b.n, enough)
		rec.Results = slices.DeleteFunc(rec.Results, func(r contest.Result) bool { return r.Task == b.task })
		rec.Results = append(rec.Results, times...)
		found := make(map[string][]float64)
		for _, c := range contestants {
			a, askErr := contest.Answer{}, error(nil)
			if err == nil {
				a, askErr = c.Ask(b.task, 1)
			}
			found[c.Name] = a.Losses
			err = errors.Join(err, askErr, c.Close())
		}
		if err != nil {
			return err
		}
		rec.Found[b.task] = found
		if err := results.Write(*output, rec); err != nil { // the next may fail
			return err
		}
	}
	return nil
}

// prepare writes the rows of a task that are not there yet.
func prepare(dir, task string) error {
	name := strings.Fields(task)[1]
	path := filepath.Join(dir, name+".rows")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if name == "windows" {
		r, err := ofNetwork()
		if err != nil {
			return err
		}
		return r.write(path)
	}
	var count, features, classes int
	if _, err := fmt.Sscanf(name, "%dx%dx%d", &count, &features, &classes); err != nil {
		return fmt.Errorf("task %q: its rows are not known: %w", task, err)
	}
	r := plant(count, features, classes, 1)
	return r.write(path)
}

func start(dir, self, python, script string, ours bool) ([]*contest.Contestant, error) {
	one := []string{"GOMAXPROCS=1", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"}
	us, err := contest.Start(contest.Contestant{Name: "k8ntext", Threads: 1}, one, nil, self, "-serve", dir)
	if err != nil || ours {
		return []*contest.Contestant{us}, err
	}
	them, err := contest.Start(contest.Contestant{Name: "python", Threads: 1}, one, nil, python, script, dir)
	if err != nil {
		return nil, errors.Join(err, us.Close())
	}
	return []*contest.Contestant{us, them}, nil
}

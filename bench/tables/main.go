// Tables writes the measurements in bench/results as tables into bench/README.md, between the lines
// that mark where they go, and draws the page's figures:
//
//	go run ./bench/tables
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8ntext/bench/results"
)

func main() {
	if err := run("bench/README.md", results.Folder, results.Folder); err != nil {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
}

// measurements are all files of results.
type measurements struct {
	machines []speeds
	accuracy results.Accuracy
	loss     results.Loss
}

// speeds are the files of one machine.
type speeds struct {
	peers    results.Peers
	training results.Training
	kernels  []kernel
}

// run reads the results in folder, writes the page and draws into the folder of figures.
func run(readme, folder, drawn string) error {
	var m measurements
	for name, v := range map[string]any{"accuracy.json": &m.accuracy, "loss.json": &m.loss} {
		if err := results.Read(filepath.Join(folder, name), v); err != nil {
			return err
		}
	}
	machines, err := os.ReadDir(filepath.Join(folder, results.Speed))
	if err != nil {
		return fmt.Errorf("read the machines' results: %w", err)
	}
	for _, d := range machines {
		s, err := readSpeeds(filepath.Join(folder, results.Speed, d.Name()))
		if err != nil {
			return err
		}
		m.machines = append(m.machines, s)
	}
	old, err := os.ReadFile(readme)
	if err != nil {
		return fmt.Errorf("read the page of tables: %w", err)
	}
	text := string(old)
	for _, s := range []struct {
		name  string
		write func(w io.Writer, m *measurements)
	}{
		{"machine", machineTable},
		{"goals", goalsTable},
		{"peers", eachMachine(peersTable)},
		{"windows", eachMachine(windowsTable)},
		{"elementary", eachMachine(elementaryTable)},
		{"training", eachMachine(trainingTable)},
		{"kernels", eachMachine(kernelsTable)},
		{"whole", wholeTable},
		{"first", firstTable},
		{"strides", stridesTable},
		{"inference", inferenceTable},
		{"online", onlineTable},
	} {
		var b strings.Builder
		s.write(&b, &m)
		if text, err = replace(text, s.name, b.String()); err != nil {
			return fmt.Errorf("write tables into %s: %w", readme, err)
		}
	}
	if err := os.WriteFile(readme, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write tables: %w", err)
	}
	return figures(&m, drawn)
}

// replace puts a table between the lines that mark its place.
func replace(text, name, table string) (string, error) {
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, found := strings.Cut(text, begin)
	if !found {
		return "", fmt.Errorf("there is no line %q", strings.TrimSpace(begin))
	}
	_, after, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("there is no line %q after %q", strings.TrimSpace(end), strings.TrimSpace(begin))
	}
	return before + begin + table + end + after, nil
}

// row writes a row of a Markdown table.
func row(w io.Writer, cells ...string) {
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}

// head writes the first rows of a Markdown table, whose first left columns are text and the rest numbers.
func head(w io.Writer, left int, cells ...string) {
	row(w, cells...)
	lines := make([]string, len(cells))
	for i := range lines {
		lines[i] = "---:"
		if i < left {
			lines[i] = "---"
		}
	}
	row(w, lines...)
}

// Kernels measures the matrix products of package device beside the processor's peak. It writes the output
// of its benchmarks to kernels.txt in this machine's folder of bench/results/speed:
//
//	go run ./bench/kernels
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"k8ntext/bench/results"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

func run() error {
	folder, err := results.Here()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	c := exec.Command("go", "test", "-run", "^$", "-bench", "Peak|Gemm/batch=32/.*/kernels=avx", "-benchtime", "150ms", "-count", "4", "./model/device")
	c.Stdout, c.Stderr = &out, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("run the kernels' benchmarks: %w\n%s", err, out.Bytes())
	}
	// Only now: what was measured before stays if this run fails.
	if err := os.WriteFile(filepath.Join(folder, "kernels.txt"), out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the kernels' benchmarks: %w", err)
	}
	return nil
}

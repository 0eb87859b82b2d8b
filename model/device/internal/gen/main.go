// Gen writes the assembly of package device and its Go declarations, for AVX-512 and for AVX2 with FMA.
//
// It is a module of its own, so that the assembler library stays out of the main module. Every kernel
// but the matrix product is written once, over a small layer (vector.go) that hides the two instruction
// sets; run it by `go generate` in model/device.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	dir := flag.String("dir", "../..", "directory of package device, to write to")
	flag.Parse()
	for _, g := range []*generator{newGenerator("avx512", true), newGenerator("avx2", false)} {
		if err := g.write(*dir); err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
	}
}

// write emits all kernels and prints <path>_asm_amd64.s and <path>_asm_amd64.go.
func (g *generator) write(dir string) error {
	g.gemm()
	g.lstm()
	g.layers()
	g.adam()

	file, err := g.Result()
	if err != nil {
		return fmt.Errorf("build %s: %+v", g.path, err)
	}
	if err := pass.Compile.Execute(file); err != nil {
		return fmt.Errorf("compile %s: %w", g.path, err)
	}
	config := printer.Config{Name: "model/device/internal/gen", Pkg: "device"}
	for suffix, p := range map[string]printer.Printer{".s": printer.NewGoAsm(config), ".go": printer.NewStubs(config)} {
		text, err := p.Print(file)
		if err != nil {
			return fmt.Errorf("print %s: %w", g.path, err)
		}
		if err := os.WriteFile(filepath.Join(dir, g.path+"_asm_amd64"+suffix), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

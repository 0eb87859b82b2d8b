package plots

import (
	"fmt"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// Figure is a drawn figure with what its page says of it.
type Figure struct {
	ID            string // file name without extension
	Title         string
	Note          string
	Plot          *plot.Plot
	Width, Height vg.Length
}

// Formats are the file formats in which every figure is written.
func Formats() []string { return []string{"svg", "png", "pdf"} }

// Write draws the figure in one of [Formats].
func (f *Figure) Write(w io.Writer, format string) error {
	drawn, err := f.Plot.WriterTo(f.Width, f.Height, format)
	if err != nil {
		return fmt.Errorf("draw %s as %s: %w", f.ID, format, err)
	}
	if _, err := drawn.WriteTo(w); err != nil {
		return fmt.Errorf("draw %s as %s: %w", f.ID, format, err)
	}
	return nil
}

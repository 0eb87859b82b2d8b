package plots

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// SplitCell is F1 for one pair of shares.
type SplitCell struct {
	Test, Validation float64
	F1               float64
	N                int // trainings; 0: none is known
}

// PaperSplitCells are the cells of the paper's Figure 7.
func PaperSplitCells(p Paper) []SplitCell {
	var cells []SplitCell
	for i, row := range p.Splits.F1 {
		for j, f1 := range row {
			cells = append(cells, SplitCell{Test: p.Splits.Test[i], Validation: p.Splits.Validation[j], F1: f1})
		}
	}
	return cells
}

// SplitGrid is the paper's Figure 7: mean F1 by the shares of the test part (rows, smallest at the top) and
// the validation part. The scale is the paper's, .93 to .99, wider where a value needs it. Shares without
// a value stay blank. It fails for no cells and for values that are no shares.
func SplitGrid(id, title, note string, cells []SplitCell) (*Figure, error) {
	var rows, columns []float64
	low, high := .93, .99
	insert := func(list []float64, x float64) []float64 {
		for i, have := range list {
			if x == have {
				return list
			}
			if x < have {
				return append(list[:i:i], append([]float64{x}, list[i:]...)...)
			}
		}
		return append(list, x)
	}
	for _, c := range cells {
		if !(c.F1 >= 0 && c.F1 <= 1) {
			return nil, fmt.Errorf("draw %s: F1 is %g for test share %g and validation share %g", id, c.F1, c.Test, c.Validation)
		}
		rows, columns = insert(rows, c.Test), insert(columns, c.Validation)
		if c.F1 < low {
			low = math.Floor(c.F1*50) / 50
		}
		if c.F1 > high {
			high = math.Ceil(c.F1*50) / 50
		}
	}
	if len(cells) == 0 {
		return nil, fmt.Errorf("draw %s: no cells", id)
	}
	const cw, ch, left, above = 62, 44, 52, 8
	width, height := cw*float64(len(columns)), ch*float64(len(rows))
	f := &Figure{ID: id, Title: title, Note: note, width: vg.Points(left + max(width, 200) + 92), height: vg.Points(above + height + 50)}
	scale := whiteToBlue()
	f.paint = func(c draw.Canvas) {
		at := func(x, y float64) vg.Point { return top(c, vg.Point{X: vg.Points(x), Y: vg.Points(y)}) }
		rect := func(x, y, w, h float64, fill color.Color) {
			c.FillPolygon(fill, []vg.Point{at(x, y), at(x+w, y), at(x+w, y+h), at(x, y+h)})
		}
		place := func(list []float64, x float64) float64 {
			for i, have := range list {
				if have == x {
					return float64(i)
				}
			}
			return -1
		}
		for _, cell := range cells {
			x, y := left+cw*place(columns, cell.Validation), above+ch*place(rows, cell.Test)
			fill := scale((cell.F1 - low) / (high - low))
			rect(x+.75, y+.75, cw-1.5, ch-1.5, fill)
			style := sans(10, draw.XCenter)
			style.Color = readableOn(fill)
			middle := y + ch/2
			if cell.N > 0 {
				middle -= 6
				small := sans(7.5, draw.XCenter)
				small.Color = style.Color
				c.FillText(small, at(x+cw/2, y+ch/2+8), "n "+strconv.Itoa(cell.N))
			}
			c.FillText(style, at(x+cw/2, middle), fmt.Sprintf("%.4f", cell.F1))
		}
		c.StrokeLines(draw.LineStyle{Color: color.Gray{Y: 0x90}, Width: vg.Points(.6)},
			[]vg.Point{at(left, above), at(left+width, above), at(left+width, above+height), at(left, above+height), at(left, above)})
		for i, v := range rows {
			c.FillText(sans(10, draw.XRight), at(left-6, above+ch*(float64(i)+.5)), strconv.FormatFloat(v, 'g', 3, 64))
		}
		for i, v := range columns {
			c.FillText(sans(10, draw.XCenter), at(left+cw*(float64(i)+.5), above+height+10), strconv.FormatFloat(v, 'g', 3, 64))
		}
		c.FillText(sans(10.5, draw.XCenter), at(left+max(width, 200)/2, above+height+30), "validation part, share of the training windows")
		turned := sans(10.5, draw.XCenter)
		turned.Rotation = math.Pi / 2
		c.FillText(turned, at(12, above+height/2), "test part")
		scaleBar(c, left+width+18, above, 14, height, low, high, scale, "F1")
	}
	return f, nil
}

// scaleBar draws a colour scale upright, from the top left in points, with its ends and its name.
func scaleBar(c draw.Canvas, x, y, w, h, low, high float64, scale func(float64) color.NRGBA, name string) {
	const steps = 60
	at := func(x, y float64) vg.Point { return top(c, vg.Point{X: vg.Points(x), Y: vg.Points(y)}) }
	for i := range steps {
		from := y + h*float64(i)/steps
		to := min(from+h/steps+.3, y+h)
		c.FillPolygon(scale(1-(float64(i)+.5)/steps), []vg.Point{at(x, from), at(x+w, from), at(x+w, to), at(x, to)})
	}
	c.StrokeLines(draw.LineStyle{Color: color.Gray{Y: 0x90}, Width: vg.Points(.6)}, []vg.Point{at(x, y), at(x+w, y), at(x+w, y+h), at(x, y+h), at(x, y)})
	small := sans(9, draw.XLeft)
	c.FillText(small, at(x+w+4, y+5), fmt.Sprintf("%.2f", high))
	c.FillText(small, at(x+w+4, y+h-5), fmt.Sprintf("%.2f", low))
	c.FillText(small, at(x+w+4, y+h/2), name)
}

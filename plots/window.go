package plots

import (
	"cmp"
	"fmt"
	"strconv"

	"gonum.org/v1/gonum/stat"
)

// WindowRow is what was measured for one window length; one value for each training.
type WindowRow struct {
	Length       int
	F1           []float64 // macro F1 over (window, position) pairs of the test windows
	TrainSeconds []float64 // wall time of a training
	InferMS      []float64 // wall milliseconds for one labelled event
	Steps        []float64 // optimiser steps
	TrainEvents  []float64 // distinct events of the training windows
	TestWindows  []float64 // windows that were labelled in the measured time
	Interval     string    // of F1's median, in words; "": no training
}

// WindowTraining is the paper's Table 5: training time and F1 by window length.
func WindowTraining(rows []WindowRow, p Paper, note string) *Table {
	t := &Table{
		ID: "table5", Title: "Table 5: training time and F1 score by window size", Note: note,
		Columns: []string{"W", "n", "train events", "steps", "train s", "F1", "F1, median", "paper: train s", "paper: F1"},
	}
	for _, r := range rows {
		cells := []string{
			strconv.Itoa(r.Length), strconv.Itoa(len(r.F1)), roundedMean(r.TrainEvents), roundedMean(r.Steps),
			meanDeviation(r.TrainSeconds, 1), meanDeviation(r.F1, 4), cmp.Or(r.Interval, none), none, none,
		}
		if w := p.Window(r.Length); w != nil {
			cells[7] = fmt.Sprintf("%.2f ± %.2f", w.TrainSeconds[0], w.TrainSeconds[1])
			cells[8] = fmt.Sprintf("%.4f ± %.4f", w.F1[0], w.F1[1])
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// WindowInference is the paper's Table 6: time to label one event by window length.
func WindowInference(rows []WindowRow, p Paper, note string) *Table {
	t := &Table{
		ID: "table6", Title: "Table 6: inference time per event by window size", Note: note,
		Columns: []string{"W", "n", "windows timed", "ms per event", "paper: ms per line"},
	}
	for _, r := range rows {
		cells := []string{
			strconv.Itoa(r.Length), strconv.Itoa(len(r.InferMS)), roundedMean(r.TestWindows), meanDeviation(r.InferMS, 2), none,
		}
		if w := p.Window(r.Length); w != nil {
			cells[4] = fmt.Sprintf("%.1f", w.InferMS)
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// meanDeviation is mean ± standard deviation, as the paper prints it; a single value has no deviation.
func meanDeviation(x []float64, decimals int) string {
	switch len(x) {
	case 0:
		return none
	case 1:
		return strconv.FormatFloat(x[0], 'f', decimals, 64)
	}
	mean, deviation := stat.MeanStdDev(x, nil)
	return fmt.Sprintf("%.*f ± %.*f", decimals, mean, decimals, deviation)
}

// roundedMean is the mean of some counts as a count.
func roundedMean(x []float64) string {
	if len(x) == 0 {
		return none
	}
	return thousands(float64(int64(stat.Mean(x, nil) + 0.5)))
}

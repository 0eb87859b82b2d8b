package explain

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
)

// atOnce is how many rows the teacher is asked about at a time: enough for a network to be busy, few
// enough that rows of thousands of values take little memory.
const atOnce = 256

// noClass stands for a row that the teacher was not asked about.
const noClass = -1

// digest tells rows apart. Two hashes with seeds of their own, drawn for each asker, make 128 bits: no
// two of a million rows are taken for one with a chance worth naming, and nobody can aim for it.
type digest [2]uint64

// asker asks the teacher once for every distinct row and remembers the answers.
type asker struct {
	problem *Problem
	seeds   [2]maphash.Seed
	answers map[digest]int32
	asked   int // distinct rows
	repeats int // answers that were known

	of []int32 // answer for each row of the table; noClass: not asked yet
}

func newAsker(p *Problem) *asker {
	a := &asker{
		problem: p, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		answers: make(map[digest]int32), of: make([]int32, p.Table.Rows()),
	}
	for i := range a.of {
		a.of[i] = noClass
	}
	return a
}

// rows asks about rows of the table; the answers are then in a.of.
func (a *asker) rows(ctx context.Context, rows []int32) error {
	var open []int32
	for _, r := range rows {
		if a.of[r] == noClass {
			open = append(open, r)
		}
	}
	var buffer [][]int32
	for len(open) > 0 {
		part := open[:min(atOnce, len(open))]
		open = open[len(part):]
		buffer = a.problem.Table.Gather(part, buffer)
		classes, err := a.ask(ctx, buffer)
		if err != nil {
			return err
		}
		for i, r := range part {
			a.of[r] = classes[i]
		}
	}
	return nil
}

// ask gives the classes of any rows.
func (a *asker) ask(ctx context.Context, rows [][]int32) ([]int32, error) {
	classes := make([]int32, len(rows))
	keys := make([]digest, len(rows))
	first := make(map[digest]bool)
	var unknown [][]int32
	var unknownKeys []digest
	var text []byte
	for i, row := range rows {
		text = slices.Grow(text[:0], 4*len(row))[:4*len(row)]
		for f, v := range row {
			binary.LittleEndian.PutUint32(text[4*f:], uint32(v))
		}
		keys[i] = digest{maphash.Bytes(a.seeds[0], text), maphash.Bytes(a.seeds[1], text)}
		if _, known := a.answers[keys[i]]; known || first[keys[i]] {
			a.repeats++
			continue
		}
		first[keys[i]] = true
		unknown, unknownKeys = append(unknown, row), append(unknownKeys, keys[i])
	}
	for from := 0; from < len(unknown); from += atOnce {
		part := unknown[from:min(from+atOnce, len(unknown))]
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("ask the teacher about %d rows: %w", len(rows), err)
		}
		answers, err := a.problem.Teacher.Predict(ctx, part)
		if err == nil {
			err = a.checkAnswers(part, answers)
		}
		if err != nil {
			return nil, fmt.Errorf("ask the teacher about %d rows, %d distinct ones having been answered: %w", len(part), a.asked, err)
		}
		for i, c := range answers {
			a.answers[unknownKeys[from+i]] = c
		}
		a.asked += len(part)
	}
	for i := range rows {
		classes[i] = a.answers[keys[i]]
	}
	return classes, nil
}

func (a *asker) checkAnswers(rows [][]int32, answers []int32) error {
	if len(answers) != len(rows) {
		return fmt.Errorf("it gave %d classes for %d rows: a teacher answers for each", len(answers), len(rows))
	}
	for _, c := range answers {
		if c < 0 || int(c) >= len(a.problem.Classes) {
			return fmt.Errorf("it gave the class %d: the problem names 0 to %d", c, len(a.problem.Classes)-1)
		}
	}
	return nil
}

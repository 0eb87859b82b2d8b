package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"k8ntext/dataset"
	"k8ntext/explain"
	"k8ntext/explain/tree"
	"k8ntext/explain/windows"
	"k8ntext/model/pretrained"
)

// rows are whole numbers, row by row, and the class that the teacher gives each row. The last fifth is
// held out.
type rows struct {
	count, features, classes int
	values                   []int32
	labels                   []int32
}

// plant draws rows of classes that many features tell apart a little: the first 39 hold a class's
// own value half of the time, the others a tenth of the time, as the event at a window's centre and
// its neighbours do. A twentieth of the labels is noise.
func plant(count, features, classes int, seed uint64) rows {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := rows{count, features, classes, make([]int32, count*features), make([]int32, count)}
	zipf := rand.NewZipf(rng, 1.2, 4, uint64(classes-1))
	for i := range r.labels {
		r.labels[i] = int32(zipf.Uint64())
	}
	for f := range features {
		values := 2 + rng.IntN(30)
		draw := func() int32 { return int32(min(rng.IntN(values), rng.IntN(values))) }
		own := make([]int32, classes)
		for k := range own {
			own[k] = draw()
		}
		share := .1
		if f < 39 {
			share = .5
		}
		for i, k := range r.labels {
			v := draw()
			if rng.Float64() < share {
				v = own[k]
			}
			r.values[i*features+f] = v
		}
	}
	for i := range r.labels {
		if rng.Float64() < .05 {
			r.labels[i] = int32(rng.IntN(classes))
		}
	}
	return r
}

// ofNetwork is windows of the embedded corpus as our default model sees them, labelled by it.
func ofNetwork() (*rows, error) {
	ctx := context.Background()
	tagger, err := pretrained.Default()
	if err != nil {
		return nil, err
	}
	corpus, err := dataset.Load(ctx, "sequential-1.34", nil)
	if err != nil {
		return nil, err
	}
	w, err := windows.New(tagger, corpus, windows.Options{Seen: true})
	if err != nil {
		return nil, err
	}
	defer w.Close()
	r := &rows{count: w.Table.Rows(), features: w.Table.Features(), classes: len(w.Classes)}
	var batch [][]int32
	for i := range r.count {
		row := w.Table.Row(i, nil)
		r.values = append(r.values, row...)
		if batch = append(batch, row); len(batch) < 256 && i < r.count-1 {
			continue
		}
		labels, err := w.Teacher.Predict(ctx, batch)
		if err != nil {
			return nil, err
		}
		r.labels, batch = append(r.labels, labels...), nil
	}
	return r, nil
}

// table is the rows in the form that the tree builder takes.
func (r *rows) table() (*tree.Table, error) {
	return tree.NewTable(r.count, r.features, func(f int, dst []int32) {
		for i := range dst {
			dst[i] = r.values[i*r.features+f]
		}
	})
}

// held is the first row that is held out.
func (r *rows) held() int { return r.count * 4 / 5 }

// problem is the rows as explain takes them, with a teacher that knows the answers by heart.
func (r *rows) problem(name string) (*explain.Problem, error) {
	t, err := r.table()
	if err != nil {
		return nil, err
	}
	p := &explain.Problem{Name: name, Table: t}
	for k := range r.classes {
		p.Classes = append(p.Classes, fmt.Sprint(k))
	}
	for f := range r.features {
		p.Features = append(p.Features, explain.Feature{Field: fmt.Sprintf("f%d", f), Single: true})
	}
	teacher := make(byHeart, r.count)
	for i, l := range r.labels {
		teacher[string(key(nil, r.values[i*r.features:(i+1)*r.features]))] = l
	}
	p.Teacher = teacher
	return p, nil
}

// byHeart is a teacher that knows rows.
type byHeart map[string]int32

// key writes a row over b.
func key(b []byte, row []int32) []byte {
	b = slices.Grow(b[:0], 4*len(row))[:4*len(row)]
	for i, v := range row {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(v))
	}
	return b
}

func (t byHeart) Predict(_ context.Context, rows [][]int32) ([]int32, error) {
	out := make([]int32, len(rows))
	var b []byte
	for i, row := range rows {
		b = key(b, row)
		out[i] = t[string(b)]
	}
	return out, nil
}

// write writes the rows to a file that every contestant reads: their number, features and classes,
// then labels, then values, all as little-endian int32.
func (r *rows) write(path string) error {
	b := make([]byte, 0, 4*(3+len(r.labels)+len(r.values)))
	for _, part := range [][]int32{{int32(r.count), int32(r.features), int32(r.classes)}, r.labels, r.values} {
		for _, v := range part {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
	}
	return os.WriteFile(path, b, 0o644)
}

// read reads what write wrote.
func read(dir, name string) (*rows, error) {
	text, err := os.ReadFile(filepath.Join(dir, name+".rows"))
	if err != nil {
		return nil, err
	}
	words := make([]int32, len(text)/4)
	if err := binary.Read(bytes.NewReader(text), binary.LittleEndian, words); err != nil {
		return nil, fmt.Errorf("read rows %s: %w", name, err)
	}
	if len(words) < 3 {
		return nil, fmt.Errorf("read rows %s: the file is cut off", name)
	}
	r := &rows{count: int(words[0]), features: int(words[1]), classes: int(words[2])}
	words = words[3:]
	if len(words) != r.count*(r.features+1) {
		return nil, fmt.Errorf("read rows %s: %d numbers for %d rows of %d features", name, len(words), r.count, r.features)
	}
	r.labels, r.values = words[:r.count], words[r.count:]
	return r, nil
}

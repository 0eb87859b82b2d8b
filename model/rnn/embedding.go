package rnn

import (
	"errors"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Embedding returns for each row the sum of the rows of table [V x D] that its ids [R x F] name. The
// fields of an event share one table: the ids of each field start where those of the field before
// end. Ids must be from 0 to V-1; they are not differentiated.
func (g *Graph) Embedding(ids, table *gorgonia.Node) (*gorgonia.Node, error) {
	const name = "Embedding"
	rows := g.Rows()
	if err := errors.Join(check(name, "ids", ids, rows, -1), check(name, "table", table, -1, -1)); err != nil {
		return nil, err
	}
	l := &embedding{g: g, rows: rows, fields: ids.Shape()[1], n: table.Shape()[1]}
	var out *tensor.Dense
	out, l.y = g.memory.dense(rows, l.n)
	grads := make([]*tensor.Dense, 2)
	if g.o.Training {
		grads[1], l.dTable = g.memory.dense(table.Shape()...)
	}
	if a := g.o.Accelerator; a != nil {
		d := a.embedding(l)
		return g.add(layer{
			name: name, in: gorgonia.Nodes{ids, table}, out: out, forward: d.forward,
			grads: grads, backward: d.backward,
		})
	}
	l.forwardPart = l.forwardRows
	return g.add(layer{
		name: name, in: gorgonia.Nodes{ids, table}, out: out, forward: l.forward,
		grads: grads, backward: l.backward,
	})
}

type embedding struct {
	g               *Graph
	rows, fields, n int
	y, dTable       []float32

	// Inputs of the run at hand.
	ids   []int32
	table []float32

	forwardPart func(part int)
}

func (l *embedding) forward(in []gorgonia.Value) error {
	l.ids, l.table = ints(in[0]), floats(in[1])
	l.g.o.Workers.do(l.g.o.Workers.count(), l.forwardPart)
	return nil
}

func (l *embedding) forwardRows(part int) {
	from, to := span(l.rows, part, l.g.o.Workers.count())
	l.g.o.Kernels.Gather(to-from, l.fields, l.n, l.ids[from*l.fields:to*l.fields], l.table, l.y[from*l.n:to*l.n])
}

func (l *embedding) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	clear(l.dTable)
	l.g.o.Kernels.Scatter(l.rows, l.fields, l.n, l.ids, floats(dOut), l.dTable)
}

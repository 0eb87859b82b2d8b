package rnn

import (
	"gorgonia.org/gorgonia"

	"k8ntext/model/device/opencl"
)

// The layers on a device. Each has the description of its layer, whose slices name the buffers, and
// runs the kernels; what is computed is documented there.

type acceleratedLSTM struct {
	*biLSTM
	a           *Accelerator
	z, c, dc    *opencl.Buffer // of both directions
	step, back  *opencl.Kernel
	project     [2]*opencl.Kernel
	dInput      [2]*opencl.Kernel
	dKernels    [2]*opencl.Kernel
	dRecurrents [2]*opencl.Kernel
	dBiases     [2]*opencl.Kernel
}

func (a *Accelerator) lstm(l *biLSTM) *acceleratedLSTM {
	rows := l.window * l.batch
	d := &acceleratedLSTM{biLSTM: l, a: a, step: a.session.Kernel("lstm_forward"), back: a.session.Kernel("lstm_backward")}
	d.z, d.c = a.session.Buffer(2*rows*4*l.units), a.session.Buffer(2*rows*l.units)
	if l.g.o.Training {
		d.dc = a.session.Buffer(2 * l.batch * l.units)
	}
	for i := range d.project {
		d.project[i], d.dInput[i] = a.session.Kernel("gemm"), a.session.Kernel("gemm")
		d.dKernels[i], d.dRecurrents[i] = a.session.Kernel("gemm"), a.session.Kernel("gemm")
		d.dBiases[i] = a.session.Kernel("column_sums")
	}
	return d
}

func (d *acceleratedLSTM) forward(in []gorgonia.Value) error {
	d.bind(in)
	rows, wide := d.window*d.batch, 4*d.units
	x, y := d.a.of(d.x), d.a.of(d.y)
	for i := range d.dir {
		gemm(d.project[i], rows, wide, d.in, operand{x, 0, d.in, 1}, operand{d.a.of(d.dir[i].kernel), 0, wide, 1},
			operand{d.z, i * rows * wide, wide, 1}, false)
	}
	for s := range d.window {
		d.step.Run([]int{groups(d.units), groups(d.batch), 2}, []int{16, 16, 1},
			int32(d.window), int32(d.batch), int32(d.units), int32(s),
			d.a.of(d.dir[0].recurrent), d.a.of(d.dir[1].recurrent), d.a.of(d.dir[0].bias), d.a.of(d.dir[1].bias),
			d.a.of(d.present), d.z, d.c, y)
	}
	return d.a.Err()
}

// groups rounds up to whole groups of 16.
func groups(n int) int { return (n + 15) / 16 * 16 }

func (d *acceleratedLSTM) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	rows, wide := d.window*d.batch, 4*d.units
	x, y, dy := d.a.of(d.x), d.a.of(d.y), d.a.of(floats(dOut))
	for s := d.window - 1; s >= 0; s-- {
		d.back.Run([]int{groups(d.units), groups(d.batch), 2}, []int{16, 16, 1},
			int32(d.window), int32(d.batch), int32(d.units), int32(s),
			d.a.of(d.dir[0].recurrent), d.a.of(d.dir[1].recurrent), d.a.of(d.present), dy, d.z, d.c, d.dc)
	}
	for i := range d.dir {
		dir, z := &d.dir[i], i*rows*wide
		gemm(d.dKernels[i], d.in, wide, rows, operand{x, 0, 1, d.in}, operand{d.z, z, wide, 1},
			operand{d.a.of(dir.dKernel), 0, wide, 1}, false)
		columnSums(d.dBiases[i], rows, wide, d.z, z, d.a.of(dir.dBias))
		// The state before row r is the output of row r-batch, or of r+batch backwards in time.
		state, from := operand{y, 0, 1, 2 * d.units}, operand{d.z, z + d.batch*wide, wide, 1}
		if i == 1 {
			state.at, from.at = d.batch*2*d.units+d.units, z
		}
		gemm(d.dRecurrents[i], d.units, wide, rows-d.batch, state, from, operand{d.a.of(dir.dRecurrent), 0, wide, 1}, false)
		if d.dx != nil {
			gemm(d.dInput[i], rows, d.in, wide, operand{d.z, z, wide, 1}, operand{d.a.of(dir.kernel), 0, 1, wide},
				operand{d.a.of(d.dx), 0, d.in, 1}, i > 0)
		}
	}
}

type acceleratedNorm struct {
	*batchNorm
	a                                 *Accelerator
	mean, variance                    *opencl.Buffer // of the batch
	moments, apply, gradients, inputs *opencl.Kernel
}

func (a *Accelerator) norm(l *batchNorm) *acceleratedNorm {
	k := a.session.Kernel
	return &acceleratedNorm{
		batchNorm: l, a: a, mean: a.session.Buffer(l.n), variance: a.session.Buffer(l.n),
		moments: k("batchnorm_moments"), apply: k("batchnorm_apply"), gradients: k("batchnorm_gradients"), inputs: k("batchnorm_backward"),
	}
}

func (d *acceleratedNorm) forward(in []gorgonia.Value) error {
	if err := d.bind(in); err != nil {
		return err
	}
	x, present := d.a.of(d.x), d.a.of(d.present)
	mean, variance := d.a.of(d.running.Mean), d.a.of(d.running.Variance)
	if d.training {
		d.moments.Run([]int{d.n, 16}, squareGroup, int32(d.rows), int32(d.n), float32(d.count), float32(batchNormMomentum),
			x, present, d.mean, d.variance, mean, variance)
		mean, variance = d.mean, d.variance
	}
	d.apply.Run([]int{d.n, d.rows}, planeGroup, int32(d.rows), int32(d.n), float32(batchNormEpsilon),
		x, present, mean, variance, d.a.of(d.gamma), d.a.of(d.beta), d.a.of(d.y))
	return d.a.Err()
}

func (d *acceleratedNorm) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	x, present, dy := d.a.of(d.x), d.a.of(d.present), d.a.of(floats(dOut))
	dGamma, dBeta := d.a.of(d.dGamma), d.a.of(d.dBeta)
	d.gradients.Run([]int{d.n, 16}, squareGroup, int32(d.rows), int32(d.n), float32(batchNormEpsilon),
		x, present, dy, d.mean, d.variance, dGamma, dBeta)
	d.inputs.Run([]int{d.n, d.rows}, planeGroup, int32(d.rows), int32(d.n), float32(batchNormEpsilon), float32(d.count),
		x, present, dy, d.mean, d.variance, d.a.of(d.gamma), dGamma, dBeta, d.a.of(d.dx))
}

type acceleratedDropout struct {
	*dropout
	a            *Accelerator
	same         *opencl.Kernel
	drop, dropDx *opencl.Kernel
}

func (a *Accelerator) dropout(l *dropout) *acceleratedDropout {
	return &acceleratedDropout{
		dropout: l, a: a, same: a.session.Kernel("copy"), drop: a.session.Kernel("dropout"), dropDx: a.session.Kernel("dropout"),
	}
}

func (d *acceleratedDropout) forward(in []gorgonia.Value) error {
	d.x = floats(in[0])
	if !d.training {
		d.same.Run([]int{d.n}, lineGroup, int32(d.n), d.a.of(d.x), d.a.of(d.y))
	} else {
		d.run(d.drop, d.x, d.y)
	}
	return d.a.Err()
}

func (d *acceleratedDropout) run(k *opencl.Kernel, x, y []float32) {
	k.Run([]int{d.n}, lineGroup, int32(d.n), dropoutBase(d.seed, d.g.Step), d.threshold, d.scale, d.a.of(x), d.a.of(y))
}

func (d *acceleratedDropout) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	d.run(d.dropDx, floats(dOut), d.dx)
}

type acceleratedDense struct {
	*denseReLU
	a                                     *Accelerator
	dz                                    *opencl.Buffer
	product, relu, back, dIn, dKer, dBias *opencl.Kernel
}

func (a *Accelerator) dense(l *denseReLU) *acceleratedDense {
	k := a.session.Kernel
	d := &acceleratedDense{
		denseReLU: l, a: a, product: k("gemm"), relu: k("bias_relu"), back: k("relu_backward"),
		dIn: k("gemm"), dKer: k("gemm"), dBias: k("column_sums"),
	}
	if l.g.o.Training {
		d.dz = a.session.Buffer(l.rows * l.units)
	}
	return d
}

func (d *acceleratedDense) forward(in []gorgonia.Value) error {
	d.bind(in)
	y := d.a.of(d.y)
	gemm(d.product, d.rows, d.units, d.in, operand{d.a.of(d.x), 0, d.in, 1}, operand{d.a.of(d.kernel), 0, d.units, 1},
		operand{y, 0, d.units, 1}, false)
	d.relu.Run([]int{d.units, d.rows}, planeGroup, int32(d.rows), int32(d.units), d.a.of(d.bias), y)
	return d.a.Err()
}

func (d *acceleratedDense) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	n := d.rows * d.units
	d.back.Run([]int{n}, lineGroup, int32(n), d.a.of(d.y), d.a.of(floats(dOut)), d.dz)
	dz := operand{d.dz, 0, d.units, 1}
	gemm(d.dIn, d.rows, d.in, d.units, dz, operand{d.a.of(d.kernel), 0, 1, d.units}, operand{d.a.of(d.dx), 0, d.in, 1}, false)
	gemm(d.dKer, d.in, d.units, d.rows, operand{d.a.of(d.x), 0, 1, d.in}, dz, operand{d.a.of(d.dKernel), 0, d.units, 1}, false)
	columnSums(d.dBias, d.rows, d.units, d.dz, 0, d.a.of(d.denseReLU.dBias))
}

type acceleratedEmbedding struct {
	*embedding
	a               *Accelerator
	gather, scatter *opencl.Kernel

	first, uses []int32 // the rows that name each row of the table, see scatter
}

func (a *Accelerator) embedding(l *embedding) *acceleratedEmbedding {
	d := &acceleratedEmbedding{embedding: l, a: a, gather: a.session.Kernel("gather"), scatter: a.session.Kernel("scatter")}
	if l.dTable != nil {
		d.first = make([]int32, len(l.dTable)/l.n+1)
		d.uses = make([]int32, l.rows*l.fields)
	}
	return d
}

func (d *acceleratedEmbedding) forward(in []gorgonia.Value) error {
	d.ids, d.table = ints(in[0]), floats(in[1])
	d.gather.Run([]int{d.n, d.rows}, planeGroup, int32(d.rows), int32(d.fields), int32(d.n),
		d.a.ofInts(d.ids), d.a.of(d.table), d.a.of(d.y))
	return d.a.Err()
}

func (d *acceleratedEmbedding) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	d.index()
	d.a.PushInts(d.first)
	d.a.PushInts(d.uses)
	table := len(d.first) - 1
	d.scatter.Run([]int{d.n, table}, planeGroup, int32(table), int32(d.n),
		d.a.ofInts(d.first), d.a.ofInts(d.uses), d.a.of(floats(dOut)), d.a.of(d.dTable))
}

// index sorts the places of the ids by id (a counting sort).
func (d *acceleratedEmbedding) index() {
	clear(d.first)
	for _, id := range d.ids {
		d.first[id+1]++
	}
	for i := 1; i < len(d.first); i++ {
		d.first[i] += d.first[i-1]
	}
	// first[id] moves on to where the next id's rows begin, and is moved back after.
	for i, id := range d.ids {
		d.uses[d.first[id]] = int32(i / d.fields)
		d.first[id]++
	}
	copy(d.first[1:], d.first)
	d.first[0] = 0
}

type acceleratedFocal struct {
	*softmaxFocal
	a                  *Accelerator
	term, slopes, sum  *opencl.Buffer
	loss, total, logit *opencl.Kernel
}

func (a *Accelerator) focal(l *softmaxFocal) *acceleratedFocal {
	k, n := a.session.Kernel, l.rows*l.parts
	return &acceleratedFocal{
		softmaxFocal: l, a: a, term: a.session.Buffer(n), slopes: a.session.Buffer(n), sum: a.session.Buffer(1),
		loss: k("softmax_focal"), total: k("total"), logit: k("softmax_focal_backward"),
	}
}

func (d *acceleratedFocal) forward(in []gorgonia.Value) error {
	d.bind(in)
	n := d.rows * d.parts
	d.loss.Run([]int{n}, lineGroup, int32(n), int32(d.parts), int32(d.classes), float32(focalAlpha), float32(d.scale),
		d.a.of(d.logits), d.a.ofInts(d.targets), d.a.of(d.weight), d.a.of(d.p), d.term, d.slopes)
	d.total.Run([]int{256}, []int{256}, int32(n), d.term, d.sum)
	var loss [1]float32
	opencl.Read(d.sum, loss[:])
	*d.softmaxFocal.loss = gorgonia.F32(loss[0])
	return d.a.Err()
}

func (d *acceleratedFocal) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	n := d.rows * d.parts
	d.logit.Run([]int{d.classes, n}, planeGroup, int32(n), int32(d.classes), int32(d.parts), float32(*dOut.(*gorgonia.F32)),
		d.a.ofInts(d.targets), d.a.of(d.weight), d.slopes, d.a.of(d.p))
}

type acceleratedLogSoftmax struct {
	*logSoftmax
	a *Accelerator
	k *opencl.Kernel
}

func (d *acceleratedLogSoftmax) forward(in []gorgonia.Value) error {
	n := d.rows * d.parts
	d.k.Run([]int{n}, lineGroup, int32(n), int32(d.classes), d.a.of(floats(in[0])), d.a.of(d.y))
	return d.a.Err()
}

package rnn

import "math"

// Every layer once more, in float64 and as plain as can be: what the tests compare the fused
// operations with. Inputs and outputs are those of the layer's method on Graph.

type refShape struct{ window, batch int }

func refLSTM(s refShape, x, present, kernel, recurrent, bias []float64, units int, backward bool) []float64 {
	in := len(x) / (s.window * s.batch)
	y := make([]float64, s.window*s.batch*units)
	sigmoid := func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
	for b := range s.batch {
		h, c := make([]float64, units), make([]float64, units)
		for step := range s.window {
			t := step
			if backward {
				t = s.window - 1 - step
			}
			row := t*s.batch + b
			z := append([]float64(nil), bias...)
			for j := range z {
				for i := range in {
					z[j] += x[row*in+i] * kernel[i*4*units+j]
				}
				for i := range units {
					z[j] += h[i] * recurrent[i*4*units+j]
				}
			}
			for j := range units {
				c[j] = sigmoid(z[units+j])*c[j] + sigmoid(z[j])*math.Tanh(z[2*units+j])
				h[j] = sigmoid(z[3*units+j]) * math.Tanh(c[j])
			}
			if present[row] == 0 {
				clear(h)
				clear(c)
			}
			copy(y[row*units:], h)
		}
	}
	return y
}

func refBiLSTM(s refShape, in [][]float64) []float64 {
	x, present := in[0], in[1]
	units := len(in[4]) / 4
	f := refLSTM(s, x, present, in[2], in[3], in[4], units, false)
	b := refLSTM(s, x, present, in[5], in[6], in[7], units, true)
	var y []float64
	for r := range s.window * s.batch {
		y = append(append(y, f[r*units:(r+1)*units]...), b[r*units:(r+1)*units]...)
	}
	return y
}

func refBatchNorm(_ refShape, in [][]float64) []float64 {
	x, present, gamma, beta := in[0], in[1], in[2], in[3]
	n := len(gamma)
	mean, variance := refMoments(x, present, n)
	y := make([]float64, len(x))
	for i := range x {
		if present[i/n] != 0 {
			j := i % n
			y[i] = gamma[j]*(x[i]-mean[j])/math.Sqrt(variance[j]+1e-3) + beta[j]
		}
	}
	return y
}

func refMoments(x, present []float64, n int) (mean, variance []float64) {
	mean, variance = make([]float64, n), make([]float64, n)
	count := 0.
	for _, p := range present {
		count += p
	}
	for i := range x {
		mean[i%n] += x[i] * present[i/n] / count
	}
	for i := range x {
		d := x[i] - mean[i%n]
		variance[i%n] += d * d * present[i/n] / count
	}
	return mean, variance
}

func refDenseReLU(_ refShape, in [][]float64) []float64 {
	x, kernel, bias := in[0], in[1], in[2]
	units := len(bias)
	inputs := len(kernel) / units
	y := make([]float64, len(x)/inputs*units)
	for i := range y {
		r, j := i/units, i%units
		sum := bias[j]
		for k := range inputs {
			sum += x[r*inputs+k] * kernel[k*units+j]
		}
		y[i] = max(sum, 0)
	}
	return y
}

func refNeighbours(s refShape, x, present []float64, reach, step int) []float64 {
	n := len(x) / (s.window * s.batch)
	var y []float64
	for r := range s.window * s.batch {
		for i := -reach; i <= reach; i++ {
			row := r + i*step*s.batch
			for j := range n {
				if row >= 0 && row < s.window*s.batch && present[row] != 0 {
					y = append(y, x[row*n+j])
				} else {
					y = append(y, 0)
				}
			}
		}
	}
	return y
}

func refPositions(s refShape, in [][]float64) []float64 {
	x, table := in[0], in[1]
	n := len(table) / s.window
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] + table[i/n/s.batch*n+i%n]
	}
	return y
}

// refProduct is a [rows x n] times b [n x columns].
func refProduct(a, b []float64, n int) []float64 {
	rows, columns := len(a)/n, len(b)/n
	y := make([]float64, rows*columns)
	for i := range y {
		for k := range n {
			y[i] += a[i/columns*n+k] * b[k*columns+i%columns]
		}
	}
	return y
}

func refFeedForward(s refShape, in [][]float64) []float64 {
	x, second := in[0], in[3]
	y := refProduct(refDenseReLU(s, in[:3]), second, len(in[2]))
	for i := range y {
		y[i] += x[i]
	}
	return y
}

func refSelfAttention(s refShape, in [][]float64, heads int) []float64 {
	x, present := in[0], in[1]
	rows := s.window * s.batch
	n := len(x) / rows
	size := n / heads
	z := refProduct(x, in[2], n)
	mixed := make([]float64, rows*n)
	for r := range rows {
		for h := range heads {
			weights, sum := make([]float64, s.window), 0.
			most := math.Inf(-1)
			for t := range s.window {
				row := t*s.batch + r%s.batch
				if present[row] == 0 {
					weights[t] = -math.MaxFloat32
				} else {
					for k := range size {
						weights[t] += z[r*3*n+h*size+k] * z[row*3*n+n+h*size+k] / math.Sqrt(float64(size))
					}
				}
				most = max(most, weights[t])
			}
			for t := range weights {
				weights[t] = math.Exp(weights[t] - most)
				sum += weights[t]
			}
			for t, w := range weights {
				for k := range size {
					mixed[r*n+h*size+k] += w / sum * z[(t*s.batch+r%s.batch)*3*n+2*n+h*size+k]
				}
			}
		}
	}
	y := refProduct(mixed, in[3], n)
	for i := range y {
		y[i] += x[i]
	}
	return y
}

func refEmbedding(ids []int32, fields int, table []float64, n int) []float64 {
	y := make([]float64, len(ids)/fields*n)
	for i, id := range ids {
		for j := range n {
			y[i/fields*n+j] += table[int(id)*n+j]
		}
	}
	return y
}

// refLogSoftmax of consecutive parts of the given number of classes.
func refLogSoftmax(x []float64, classes int) []float64 {
	y := make([]float64, len(x))
	for i := 0; i < len(x); i += classes {
		sum := 0.
		for _, v := range x[i : i+classes] {
			sum += math.Exp(v)
		}
		for j, v := range x[i : i+classes] {
			y[i+j] = v - math.Log(sum)
		}
	}
	return y
}

func refFocal(logits []float64, targets []int32, weight []float64, parts int) float64 {
	classes := len(logits) / len(targets)
	logP := refLogSoftmax(logits, classes)
	var sum, weights float64
	for i, t := range targets {
		lp := logP[i*classes+int(t)]
		q := 1 - math.Exp(lp)
		sum += weight[i/parts] * -.25 * q * q * lp
		weights += weight[i/parts]
	}
	return sum / weights
}

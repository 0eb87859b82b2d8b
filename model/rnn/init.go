package rnn

import (
	"math"
	"math/rand/v2"
)

// GlorotUniform fills w, a kernel [in x out], from the uniform distribution on ±sqrt(6/(in+out))
// (Glorot and Bengio, 2010): Keras' default for kernels.
func GlorotUniform(w []float32, in, out int, r *rand.Rand) {
	Uniform(w, math.Sqrt(6/float64(in+out)), r)
}

// Uniform fills w from the uniform distribution on ±limit. Keras' embeddings start with limit 0.05.
func Uniform(w []float32, limit float64, r *rand.Rand) {
	for i := range w {
		w[i] = float32((2*r.Float64() - 1) * limit)
	}
}

// Orthogonal fills w [rows x cols], rows <= cols, with orthonormal rows, uniformly distributed over
// all such matrices (Saxe et al., 2013): Keras' default for recurrent kernels. It orthonormalises
// normally distributed rows one after the other (Gram and Schmidt, each row twice for accuracy), so
// that the triangular factor has a positive diagonal, as Keras' sign correction after QR ensures.
func Orthogonal(w []float32, rows, cols int, r *rand.Rand) {
	q := make([]float64, rows*cols)
	for i := range rows {
		row := q[i*cols : (i+1)*cols]
		for j := range row {
			row[j] = r.NormFloat64()
		}
		for range 2 {
			for k := range i {
				other := q[k*cols : (k+1)*cols]
				along := dot(row, other)
				for j := range row {
					row[j] -= along * other[j]
				}
			}
		}
		norm := math.Sqrt(dot(row, row))
		for j := range row {
			row[j] /= norm
			w[i*cols+j] = float32(row[j])
		}
	}
}

func dot(a, b []float64) float64 {
	var sum float64
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// LSTMBias fills the bias of an LSTM's direction [4H] as Keras does: 1 for the forget gates, which
// makes a new network remember, 0 for the others.
func LSTMBias(b []float32, units int) {
	clear(b)
	for j := units; j < 2*units; j++ {
		b[j] = 1
	}
}

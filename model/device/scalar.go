package device

import "math"

// The exponential by Cody and Waite's reduction, x = n ln 2 + r with |r| <= ln(2)/2, and a minimax
// polynomial of degree 6 (relative error 3e-9, by Remez' algorithm): exp(x) = 2^n (1 + q) with
// q = r + r*r*(c2 + c3 r + c4 r^2 + c5 r^3 + c6 r^4). The assembly paths use the same constants.
const (
	expLow  = -87 // below, the result is taken as 0: the next numbers would soon be subnormal
	expHigh = 88

	log2E  = 1.4426950408889634
	ln2Hi  = 0.693359375 // few bits, so that n*ln2Hi is exact
	ln2Lo  = -2.12194440e-4
	expC2  = 0.4999999403953552
	expC3  = 0.1666652113199234
	expC4  = 0.04166838899254799
	expC5  = 0.00836874544620514
	expC6  = 0.0013814540579915047
	rounds = 1.5 * (1 << 23) // adding it rounds to an integer, which then stands in the lowest bits
)

// expParts returns 2^n and q with exp(x) = 2^n + 2^n q, for x between expLow and expHigh or NaN.
func expParts(x float32) (scale, q float32) {
	t := float32(x*log2E) + rounds
	n := t - rounds
	r := x - float32(n*ln2Hi)
	r -= float32(n * ln2Lo)
	p := float32(expC6*r) + expC5
	p = float32(p*r) + expC4
	p = float32(p*r) + expC3
	p = float32(p*r) + expC2
	q = float32(float32(r*r)*p) + r
	return math.Float32frombits(math.Float32bits(t)<<23 + math.Float32bits(1)), q
}

// exp returns e to the x; 0 below expLow.
func exp(x float32) float32 {
	if x < expLow {
		return 0
	}
	s, q := expParts(min(x, expHigh))
	return float32(s*q) + s
}

// sigmoid returns 1/(1+exp(-x)), no less than exp(-87).
func sigmoid(x float32) float32 {
	s, q := expParts(min(max(-x, expLow), -expLow))
	return 1 / (1 + (float32(s*q) + s))
}

// tanh returns (exp(2x)-1) / (exp(2x)+1); the difference is taken before it can cancel, so that small
// x keep their precision.
func tanh(x float32) float32 {
	s, q := expParts(min(max(2*x, expLow), -expLow))
	e := float32(s*q) + (s - 1)
	return e / (e + 2)
}

// logNormaliser returns top + log(sum), for a sum of at least 1. It is the same on every
// architecture, which math.Log does not promise.
func logNormaliser(top, sum float32) float32 {
	m, e := math.Frexp(float64(sum))
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	s := (m - 1) / (m + 1) // log m = 2 artanh s, |s| < 0.172
	z := float64(s * s)
	p := 1.0 / 13
	for _, c := range [...]float64{1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1} {
		p = float64(p*z) + c
	}
	log := float64(2*s*p) + float64(float64(e)*math.Ln2)
	return float32(float64(top) + log)
}

// flush returns 0 for a subnormal x.
func flush(x float32) float32 {
	const smallestNormal = 0x1p-126
	if x > -smallestNormal && x < smallestNormal {
		return 0
	}
	return x
}

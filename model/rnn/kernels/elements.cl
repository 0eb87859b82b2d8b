// Loops over elements.

// mix is SplitMix64's output function, as in dropout.go.
ulong mix64(ulong z)
{
	z += 0x9E3779B97F4A7C15UL;
	z = (z ^ z >> 30)*0xBF58476D1CE4E5B9UL;
	z = (z ^ z >> 27)*0x94D049BB133111EBUL;
	return z ^ z >> 31;
}

// dropout writes x, times scale or zero, to y: the masks of dropout.go. The backward pass is the same
// kernel on the gradient.
__kernel void dropout(int n, ulong base, ulong threshold, float scale, __global const float *x, __global float *y)
{
	const int i = get_global_id(0);
	if (i < n) {
		const ulong bits = mix64(base + (ulong)(i & ~1)*0x9E3779B97F4A7C15UL);
		const uint random = i & 1 ? (uint)(bits >> 32) : (uint)bits;
		y[i] = x[i]*((ulong)random < threshold ? 0 : scale);
	}
}

__kernel void copy(int n, __global const float *x, __global float *y)
{
	const int i = get_global_id(0);
	if (i < n)
		y[i] = x[i];
}

// bias_relu computes y = max(y+bias, 0) in place. NaN stays NaN.
__kernel void bias_relu(int rows, int n, __global const float *bias, __global float *y)
{
	const int j = get_global_id(0), r = get_global_id(1);
	if (j < n && r < rows) {
		const float v = y[r*n + j] + bias[j];
		y[r*n + j] = v < 0 ? 0 : v;
	}
}

__kernel void relu_backward(int n, __global const float *y, __global const float *dy, __global float *dz)
{
	const int i = get_global_id(0);
	if (i < n)
		dz[i] = y[i] <= 0 ? 0 : dy[i];
}

// gather writes to row r of y [rows x n] the sum of the rows of table that ids [rows x fields] name.
__kernel void gather(int rows, int fields, int n, __global const int *ids, __global const float *table, __global float *y)
{
	const int j = get_global_id(0), r = get_global_id(1);
	if (j < n && r < rows) {
		float sum = 0;
		for (int f = 0; f < fields; f++)
			sum += table[ids[r*fields + f]*n + j];
		y[r*n + j] = sum;
	}
}

// scatter writes to row v of dTable the sum of the rows of dy that name it: uses[first[v]] to
// uses[first[v+1]-1], in order. So the sums have the same bits in every run, which atomics do not give.
__kernel void scatter(int table, int n, __global const int *first, __global const int *uses, __global const float *dy, __global float *dTable)
{
	const int j = get_global_id(0), v = get_global_id(1);
	if (j < n && v < table) {
		float sum = 0;
		for (int u = first[v]; u < first[v + 1]; u++)
			sum += dy[uses[u]*n + j];
		dTable[v*n + j] = sum;
	}
}

// adam is Kernels.Adam with a scale of 1: moments that become subnormal are set to zero.
float flush(float x) { return fabs(x) < 0x1p-126f ? 0 : x; }

__kernel void adam(int n, float step, float b1, float b2, float epsilon,
                   __global const float *g, __global float *w, __global float *m, __global float *v)
{
	const int i = get_global_id(0);
	if (i < n) {
		const float d = g[i];
		const float first = flush(b1*m[i] + (1 - b1)*d), second = flush(b2*v[i] + (1 - b2)*d*d);
		m[i] = first;
		v[i] = second;
		w[i] -= step*first/(sqrt(second) + epsilon);
	}
}

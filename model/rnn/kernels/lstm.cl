// One step of both directions of a bidirectional LSTM; direction d is work group (., ., d). Positions
// are those of model/rnn: row t*batch+b. z [2][rows x 4*units] holds the input projections (gates in
// the order input, forget, cell, output), then the gates, then the gradients of the pre-activations;
// c [2][rows x units] is the cell state and y [rows x 2*units] the output of both directions.

#define T 16

float sigmoid(float x) { return 1/(1 + exp(-x)); }

// lstm_forward does step s: adds the former output times the recurrent kernel [units x 4*units] and
// the bias, and computes gates, cell state and output. A work group has T units of T windows.
__kernel __attribute__((reqd_work_group_size(T, T, 1)))
void lstm_forward(int window, int batch, int units, int s,
                  __global const float *recurrent0, __global const float *recurrent1,
                  __global const float *bias0, __global const float *bias1,
                  __global const float *present,
                  __global float *z, __global float *c, __global float *y)
{
	__local float ys[T][T + 1];
	__local float ws[4][T][T];
	const int lj = get_local_id(0), lb = get_local_id(1), d = get_group_id(2);
	const int j = get_group_id(0)*T + lj, b = get_group_id(1)*T + lb;
	const int t = d ? window - 1 - s : s, before = d ? t + 1 : t - 1;
	const int wide = 4*units, rows = window*batch;
	__global const float *recurrent = d ? recurrent1 : recurrent0;
	__global const float *bias = d ? bias1 : bias0;

	float i = 0, f = 0, g = 0, o = 0;
	for (int k0 = 0; k0 < (s > 0 ? units : 0); k0 += T) {
		ys[lb][lj] = b < batch && k0 + lj < units ? y[(before*batch + b)*2*units + d*units + k0 + lj] : 0;
		for (int q = 0; q < 4; q++)
			ws[q][lb][lj] = k0 + lb < units && j < units ? recurrent[(k0 + lb)*wide + q*units + j] : 0;
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int k = 0; k < T; k++) {
			const float v = ys[lb][k];
			i += v*ws[0][k][lj];
			f += v*ws[1][k][lj];
			g += v*ws[2][k][lj];
			o += v*ws[3][k][lj];
		}
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	if (b < batch && j < units) {
		const int row = t*batch + b, at = d*rows*units + row*units + j;
		__global float *gates = z + d*rows*wide + row*wide + j;
		i = sigmoid(gates[0] + i + bias[j]);
		f = sigmoid(gates[units] + f + bias[units + j]);
		g = tanh(gates[2*units] + g + bias[2*units + j]);
		o = sigmoid(gates[3*units] + o + bias[3*units + j]);
		gates[0] = i;
		gates[units] = f;
		gates[2*units] = g;
		gates[3*units] = o;
		const float former = s > 0 ? c[d*rows*units + (before*batch + b)*units + j] : 0;
		const float cell = f*former + i*g;
		const int there = present[row] != 0; // at padding the state is zero
		c[at] = there ? cell : 0;
		y[row*2*units + d*units + j] = there ? o*tanh(cell) : 0;
	}
}

// lstm_backward does step s, from the last to the first: the gradient of the output is dy plus what
// step s+1 hands back through the recurrent kernel, and z becomes the gradient of the
// pre-activations. dc [2][batch x units] goes from step to step.
__kernel __attribute__((reqd_work_group_size(T, T, 1)))
void lstm_backward(int window, int batch, int units, int s,
                   __global const float *recurrent0, __global const float *recurrent1,
                   __global const float *present, __global const float *dy,
                   __global float *z, __global const float *c, __global float *dc)
{
	__local float zs[T][T + 1];
	__local float ws[T][T + 1];
	const int lj = get_local_id(0), lb = get_local_id(1), d = get_group_id(2);
	const int j = get_group_id(0)*T + lj, b = get_group_id(1)*T + lb;
	const int t = d ? window - 1 - s : s, before = d ? t + 1 : t - 1, after = d ? t - 1 : t + 1;
	const int wide = 4*units, rows = window*batch, last = s == window - 1;
	__global const float *recurrent = d ? recurrent1 : recurrent0;

	float dh = 0;
	for (int k0 = 0; k0 < (last ? 0 : wide); k0 += T) {
		zs[lb][lj] = b < batch && k0 + lj < wide ? z[d*rows*wide + (after*batch + b)*wide + k0 + lj] : 0;
		const int unit = get_group_id(0)*T + lb;
		ws[lb][lj] = unit < units && k0 + lj < wide ? recurrent[unit*wide + k0 + lj] : 0;
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int k = 0; k < T; k++)
			dh += zs[lb][k]*ws[lj][k];
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	if (b < batch && j < units) {
		const int row = t*batch + b, state = d*batch*units + b*units + j;
		__global float *gates = z + d*rows*wide + row*wide + j;
		const float i = gates[0], f = gates[units], g = gates[2*units], o = gates[3*units];
		const float former = s > 0 ? c[d*rows*units + (before*batch + b)*units + j] : 0;
		const float tc = tanh(c[d*rows*units + row*units + j]);
		const int there = present[row] != 0; // the constant zero hands nothing on
		const float dh1 = dy[row*2*units + d*units + j] + dh;
		const float cell = (last ? 0 : dc[state]) + dh1*o*(1 - tc*tc);
		gates[0] = there ? cell*g*i*(1 - i) : 0;
		gates[units] = there ? cell*former*f*(1 - f) : 0;
		gates[2*units] = there ? cell*i*(1 - g*g) : 0;
		gates[3*units] = there ? dh1*tc*o*(1 - o) : 0;
		dc[state] = there ? cell*f : 0;
	}
}

#undef T

// Sums over the rows of a matrix [rows x n], one work group for COLS columns: LANES items add up every
// LANES-th row each, and then their sums are added up in order.

#define COLS 16
#define LANES 16

float lanes(__local float s[LANES][COLS], float v)
{
	const int col = get_local_id(0), lane = get_local_id(1);
	s[lane][col] = v;
	barrier(CLK_LOCAL_MEM_FENCE);
	float sum = 0;
	for (int l = 0; l < LANES; l++)
		sum += s[l][col];
	barrier(CLK_LOCAL_MEM_FENCE);
	return sum;
}

// column_sums writes to sum[j] the sum of x[x0 + r*n + j] over rows.
__kernel __attribute__((reqd_work_group_size(COLS, LANES, 1)))
void column_sums(int rows, int n, __global const float *x, int x0, __global float *sum)
{
	__local float s[LANES][COLS];
	const int j = get_global_id(0), lane = get_local_id(1);
	float v = 0;
	if (j < n)
		for (int r = lane; r < rows; r += LANES)
			v += x[x0 + r*n + j];
	v = lanes(s, v);
	if (j < n && lane == 0)
		sum[j] = v;
}

// batchnorm_moments computes mean and variance of the rows that are present, of which there are
// count, and moves the running ones. The variance takes a second pass: the mean of squares less the
// squared mean would lose all digits of a nearly constant column.
__kernel __attribute__((reqd_work_group_size(COLS, LANES, 1)))
void batchnorm_moments(int rows, int n, float count, float momentum,
                       __global const float *x, __global const float *present,
                       __global float *mean, __global float *variance,
                       __global float *runningMean, __global float *runningVariance)
{
	__local float s[LANES][COLS];
	const int j = get_global_id(0), lane = get_local_id(1);
	const float inverse = 1/fmax(count, 1.0f);
	float v = 0;
	if (j < n)
		for (int r = lane; r < rows; r += LANES)
			v += present[r] != 0 ? x[r*n + j] : 0;
	const float m = lanes(s, v)*inverse;
	v = 0;
	if (j < n)
		for (int r = lane; r < rows; r += LANES) {
			const float e = present[r] != 0 ? x[r*n + j] - m : 0;
			v += e*e;
		}
	const float w = lanes(s, v)*inverse;
	if (j < n && lane == 0) {
		mean[j] = m;
		variance[j] = w;
		if (count > 0) {
			runningMean[j] = momentum*runningMean[j] + (1 - momentum)*m;
			runningVariance[j] = momentum*runningVariance[j] + (1 - momentum)*w;
		}
	}
}

// batchnorm_apply normalises x; padding becomes zero.
__kernel void batchnorm_apply(int rows, int n, float epsilon,
                              __global const float *x, __global const float *present,
                              __global const float *mean, __global const float *variance,
                              __global const float *gamma, __global const float *beta, __global float *y)
{
	const int j = get_global_id(0), r = get_global_id(1);
	if (j < n && r < rows) {
		const float a = gamma[j]/sqrt(variance[j] + epsilon);
		y[r*n + j] = present[r] != 0 ? a*(x[r*n + j] - mean[j]) + beta[j] : 0;
	}
}

// batchnorm_gradients computes the gradients of gamma and beta.
__kernel __attribute__((reqd_work_group_size(COLS, LANES, 1)))
void batchnorm_gradients(int rows, int n, float epsilon,
                         __global const float *x, __global const float *present, __global const float *dy,
                         __global const float *mean, __global const float *variance,
                         __global float *dGamma, __global float *dBeta)
{
	__local float s[LANES][COLS];
	const int j = get_global_id(0), lane = get_local_id(1);
	float sum = 0, dot = 0;
	if (j < n) {
		const float m = mean[j];
		for (int r = lane; r < rows; r += LANES)
			if (present[r] != 0) {
				const float d = dy[r*n + j];
				sum += d;
				dot += d*(x[r*n + j] - m);
			}
	}
	sum = lanes(s, sum);
	dot = lanes(s, dot);
	if (j < n && lane == 0) {
		dGamma[j] = dot/sqrt(variance[j] + epsilon);
		dBeta[j] = sum;
	}
}

// batchnorm_backward computes dx = gamma*inverse*(dy - mean(dy) - xhat*mean(dy*xhat)), with
// xhat = (x-mean)*inverse and inverse = 1/sqrt(variance+epsilon).
__kernel void batchnorm_backward(int rows, int n, float epsilon, float count,
                                 __global const float *x, __global const float *present, __global const float *dy,
                                 __global const float *mean, __global const float *variance, __global const float *gamma,
                                 __global const float *dGamma, __global const float *dBeta, __global float *dx)
{
	const int j = get_global_id(0), r = get_global_id(1);
	if (j < n && r < rows) {
		const float inverse = 1/sqrt(variance[j] + epsilon), share = 1/fmax(count, 1.0f);
		const float hat = (x[r*n + j] - mean[j])*inverse;
		dx[r*n + j] = present[r] != 0 ? gamma[j]*inverse*(dy[r*n + j] - dBeta[j]*share - hat*dGamma[j]*share) : 0;
	}
}

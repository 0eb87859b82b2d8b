// Softmax and focal loss; see focal.go for the formulas. Part i of rows*parts is
// x[i*classes] to x[(i+1)*classes-1].

// softmax_focal writes probabilities to p, and of each part its term of the loss and the slope of the
// loss by its log-probability, both zero where the row's weight is; scale makes the sum a mean.
__kernel void softmax_focal(int n, int parts, int classes, float alpha, float scale,
                            __global const float *x, __global const int *targets, __global const float *weight,
                            __global float *p, __global float *term, __global float *slope)
{
	const int i = get_global_id(0);
	if (i >= n)
		return;
	const float w = weight[i/parts];
	if (w == 0) {
		term[i] = 0;
		slope[i] = 0;
		return;
	}
	x += (long)i*classes;
	p += (long)i*classes;
	float top = x[0];
	for (int j = 1; j < classes; j++)
		top = fmax(top, x[j]);
	float sum = 0;
	for (int j = 0; j < classes; j++) {
		const float e = exp(x[j] - top);
		p[j] = e;
		sum += e;
	}
	const float inverse = 1/sum;
	for (int j = 0; j < classes; j++)
		p[j] *= inverse;
	const int y = targets[i];
	const float logP = x[y] - top - log(sum), q = 1 - p[y];
	term[i] = w*scale*-alpha*q*q*logP;
	slope[i] = w*scale*-alpha*(q*q - 2*q*p[y]*logP);
}

// softmax_focal_backward turns the probabilities into the gradient of the logits.
__kernel void softmax_focal_backward(int n, int classes, int parts, float upstream,
                                     __global const int *targets, __global const float *weight,
                                     __global const float *slope, __global float *p)
{
	const int j = get_global_id(0), i = get_global_id(1);
	if (j < classes && i < n) {
		const long at = (long)i*classes + j;
		// Without a weight p was not written, nor may the target be read.
		p[at] = weight[i/parts] == 0 ? 0 : slope[i]*upstream*((j == targets[i] ? 1 : 0) - p[at]);
	}
}

// total writes the sum of x to *sum, with one work group. Each item's sum is compensated (Kahan): a
// loss is a sum of many small terms.
__kernel __attribute__((reqd_work_group_size(256, 1, 1)))
void total(int n, __global const float *x, __global float *sum)
{
	__local float s[256];
	const int item = get_local_id(0);
	float v = 0, rest = 0;
	for (int i = item; i < n; i += 256) {
		const float add = x[i] - rest, next = v + add;
		rest = (next - v) - add;
		v = next;
	}
	s[item] = v;
	barrier(CLK_LOCAL_MEM_FENCE);
	for (int step = 128; step > 0; step /= 2) {
		if (item < step)
			s[item] += s[item + step];
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	if (item == 0)
		*sum = s[0];
}

__kernel void log_softmax(int n, int classes, __global const float *x, __global float *y)
{
	const int i = get_global_id(0);
	if (i >= n)
		return;
	x += (long)i*classes;
	y += (long)i*classes;
	float top = x[0];
	for (int j = 1; j < classes; j++)
		top = fmax(top, x[j]);
	float sum = 0;
	for (int j = 0; j < classes; j++)
		sum += exp(x[j] - top);
	const float z = top + log(sum);
	for (int j = 0; j < classes; j++)
		y[j] = x[j] - z;
}

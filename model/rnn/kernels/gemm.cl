// C [m x n] = A*B, or C += A*B if acc. Element (i, k) of A is a[a0 + i*ars + k*acs], (k, j) of B is
// b[b0 + k*brs + j*bcs], (i, j) of C is c[c0 + i*ldc + j].
//
// A work group of 16 x 16 computes a tile of 64 x 64 from slices of A and B in local memory; an item
// computes 4 x 4 elements of it, 16 apart in both directions. The slices are read in the order in
// which the matrix lies in memory, whichever it is.

#define TILE 64
#define SLICE 16

__kernel __attribute__((reqd_work_group_size(16, 16, 1)))
void gemm(int m, int n, int k, __global const float *a, int a0, int ars, int acs,
          __global const float *b, int b0, int brs, int bcs,
          __global float *c, int c0, int ldc, int acc)
{
	__local float as[SLICE][TILE + 1];
	__local float bs[SLICE][TILE + 1];
	const int lx = get_local_id(0), ly = get_local_id(1);
	const int item = ly*16 + lx;
	const int row = get_group_id(1)*TILE, col = get_group_id(0)*TILE;

	// What this item reads of each slice: four elements that are `step` apart along the tile.
	const int along = acs == 1, ai = along ? item/16 : item%64, ak = along ? item%16 : item/64;
	const int across = bcs == 1, bj = across ? item%64 : item/16, bk = across ? item/64 : item%16;

	float sum[4][4];
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++)
			sum[i][j] = 0;

	for (int k0 = 0; k0 < k; k0 += SLICE) {
		for (int q = 0; q < 4; q++) {
			const int i = along ? ai + 16*q : ai, ka = along ? ak : ak + 4*q;
			as[ka][i] = row + i < m && k0 + ka < k ? a[a0 + (row + i)*ars + (k0 + ka)*acs] : 0;
			const int j = across ? bj : bj + 16*q, kb = across ? bk + 4*q : bk;
			bs[kb][j] = col + j < n && k0 + kb < k ? b[b0 + (k0 + kb)*brs + (col + j)*bcs] : 0;
		}
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int s = 0; s < SLICE; s++) {
			float x[4], y[4];
			for (int i = 0; i < 4; i++)
				x[i] = as[s][ly + 16*i];
			for (int j = 0; j < 4; j++)
				y[j] = bs[s][lx + 16*j];
			for (int i = 0; i < 4; i++)
				for (int j = 0; j < 4; j++)
					sum[i][j] += x[i]*y[j];
		}
		barrier(CLK_LOCAL_MEM_FENCE);
	}

	for (int i = 0; i < 4; i++) {
		const int r = row + ly + 16*i;
		for (int j = 0; j < 4; j++) {
			const int s = col + lx + 16*j;
			if (r < m && s < n) {
				__global float *to = c + c0 + r*ldc + s;
				*to = acc ? *to + sum[i][j] : sum[i][j];
			}
		}
	}
}

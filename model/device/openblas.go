package device

import (
	"fmt"
	"runtime"
	"strings"

	"k8ntext/model/device/internal/dl"
)

// OpenBLAS returns kernels whose matrix product is that of the system's OpenBLAS, on one thread, and
// whose other loops are the best own ones. It differs from them in two promises: the bits of a product
// may depend on how the caller splits the rows, and a call allocates a little.
func OpenBLAS() (Kernels, error) { return openBLASOf(openBLASNames()) }

func openBLASNames() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libopenblas.dylib", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib"}
	}
	return []string{"libopenblas.so.0", "libopenblas.so"}
}

func openBLASOf(names []string) (Kernels, error) {
	best, err := Select("")
	if err != nil {
		return nil, err
	}
	var tried []string
	for _, name := range names {
		k := &openBLAS{Kernels: best.(checked).raw}
		if err := k.load(name); err != nil {
			tried = append(tried, err.Error())
			continue
		}
		return checked{k}, nil
	}
	return nil, fmt.Errorf("device: find OpenBLAS (on Debian: libopenblas0-pthread): %s", strings.Join(tried, "; "))
}

// openBLAS is the C interface of OpenBLAS with 32-bit integers (cblas.h).
type openBLAS struct {
	Kernels // the other loops
	sgemm   func(order, transA, transB, m, n, k int32, alpha float32, a *float32, lda int32, b *float32, ldb int32, beta float32, c *float32, ldc int32)
}

func (o *openBLAS) load(name string) error {
	library, err := dl.Open(name)
	if err != nil {
		return err
	}
	var setThreads func(n int32)
	for _, f := range []struct {
		name  string
		field any
	}{{"cblas_sgemm", &o.sgemm}, {"openblas_set_num_threads", &setThreads}} {
		address := dl.Symbol(library, f.name)
		if address == 0 {
			return fmt.Errorf("library %s has no function %s", name, f.name)
		}
		dl.Bind(f.field, address)
	}
	// The caller splits the work: more threads would only get in each other's way.
	setThreads(1)
	return nil
}

// openBLASName names the kernels and the device.
const openBLASName = "openblas"

func (*openBLAS) Name() string { return openBLASName }

// openBLASPanel marks a matrix that is packed row by row, as this product reads it.
const openBLASPanel = 1

func (*openBLAS) Pack(p *Packed, k, n int, b []float32, rs, cs int) {
	if !p.resize(openBLASPanel, k, n) {
		return
	}
	for i := range k {
		row := p.buf[i*n : (i+1)*n]
		if cs == 1 {
			copy(row, b[i*rs:])
			continue
		}
		for j := range row {
			row[j] = b[i*rs+j*cs]
		}
	}
}

func (o *openBLAS) Gemm(m int, a []float32, rs, cs int, p *Packed, k0, k1 int, c []float32, ldc int, acc bool) {
	p.panels(openBLASName, openBLASPanel)
	const rowMajor, plain, transposed = 101, 111, 112
	n, k := p.N, k1-k0
	b, beta := &p.buf[k0*n], float32(0)
	if acc {
		beta = 1
	}
	switch {
	case cs == 1 && (m == 1 || rs >= k):
		o.sgemm(rowMajor, plain, plain, int32(m), int32(n), int32(k), 1, &a[0], int32(max(rs, k)), b, int32(n), beta, &c[0], int32(ldc))
	case rs == 1 && (k == 1 || cs >= m):
		o.sgemm(rowMajor, transposed, plain, int32(m), int32(n), int32(k), 1, &a[0], int32(max(cs, m)), b, int32(n), beta, &c[0], int32(ldc))
	default: // strides that BLAS does not know; no layer has them
		for i := range m {
			for j := range n {
				var sum float32
				for l := range k {
					sum += float32(a[i*rs+l*cs] * p.buf[(k0+l)*n+j])
				}
				if acc {
					sum += c[i*ldc+j]
				}
				c[i*ldc+j] = sum
			}
		}
	}
}

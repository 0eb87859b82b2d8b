package packed

import (
	"bytes"
	"math/rand"
	"testing"
	"time"
)

func TestZZHostile(t *testing.T) {
	file := pack(t, audited(40), 1)
	whole, _ := Open(bytes.NewReader(file), int64(len(file)))
	_, payload, _, _ := whole.readChunk(whole.chunks[1].offset)
	base := newModel(newDecoder(nil, nil))
	r := rand.New(rand.NewSource(1))
	var worst time.Duration
	from := time.Now()
	for i := range 150 {
		p := bytes.Clone(payload)
		for range 1 + r.Intn(5) {
			p[r.Intn(len(p))] ^= byte(1 << r.Intn(8))
		}
		in := fields{b: p}
		in.get()
		in.get()
		if size := in.get(); size > 1<<20 {
			continue
		}
		s := time.Now()
		_, _, _, _ = decodeBlock(base, p, true)
		if d := time.Since(s); d > worst {
			worst = d
			t.Log(i, d)
		}
	}
	t.Log(time.Since(from))
	from = time.Now()
	for range 100 {
		newModel(newEncoder())
	}
	t.Log("newModel", time.Since(from)/100)
	from = time.Now()
	base.words.push("x")
	for range 100 {
		base.over(newEncoder(), 0)
	}
	t.Log("over", time.Since(from)/100)
}

package model

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

// A model file is a container of three sections: "header" (JSON), "events" (the digests of the
// training events, 16 bytes each, ascending) and "weights" (float32, tensor after tensor in the
// header's order). Equal taggers give equal bytes.
var modelFile = kind{magic: "k8ntextM", version: 1, noun: "model file"}

const digestSize = len(Digest{})

// header is the JSON part of a model file.
type header struct {
	Config     Config         `json:"config"`
	Labels     labelHeader    `json:"labels"`
	Encoder    jsontext.Value `json:"encoder"`
	Provenance Provenance     `json:"provenance"`
	Tensors    []tensorHeader `json:"tensors"`
}

type labelHeader struct {
	Space     string   `json:"space"`
	CRDGroups []string `json:"crd_groups,omitempty"`
}

type tensorHeader struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
}

// Write writes the tagger as a model file.
func (t *Tagger) Write(w io.Writer) error {
	data, err := t.encode()
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	return nil
}

// Save writes the tagger to a model file at path, which at any moment holds either what it held
// before or all of the new model.
func (t *Tagger) Save(path string) error {
	data, err := t.encode()
	if err != nil {
		return err
	}
	if err := writeFile(path, data); err != nil {
		return fmt.Errorf("save model %s: %w", path, err)
	}
	return nil
}

func (t *Tagger) encode() ([]byte, error) {
	encoder, err := json.Marshal(t.Encoder, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("write model: encoder: %w", err)
	}
	h := header{
		Config:     t.Config,
		Labels:     labelHeader{Space: t.Space.Name(), CRDGroups: t.Space.CRDGroups()},
		Encoder:    encoder,
		Provenance: t.Provenance,
		Tensors:    t.Weights.headers(),
	}
	text, err := json.Marshal(h, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("write model: header: %w", err)
	}
	if len(text) > maxHeader {
		return nil, fmt.Errorf("write model: the header takes %d bytes, more than the limit of %d", len(text), maxHeader)
	}
	events := make([]byte, 0, digestSize*len(t.Provenance.TrainingEvents))
	for _, d := range t.Provenance.TrainingEvents {
		events = append(events, d[:]...)
	}
	return modelFile.encode([]section{{"header", text}, {"events", events}, {"weights", t.Weights.bytes()}}), nil
}

// Load reads the model file at path.
func Load(path string) (*Tagger, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	defer f.Close()
	t, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w", path, err)
	}
	return t, nil
}

// Read reads a model file from r, which must end with it. A file that is damaged, cut, of another
// version or inconsistent gives a [FormatError]; whatever r holds, no more is allocated than its
// size warrants.
func Read(r io.Reader) (*Tagger, error) {
	sections, err := modelFile.read(r)
	if err != nil {
		return nil, err
	}
	data, err := modelFile.expect(sections, "header", "events", "weights")
	if err != nil {
		return nil, err
	}
	text, events, weights := data[0], data[1], data[2]

	var h header
	if len(text) > maxHeader {
		return nil, modelFile.errorf("its header takes %d bytes, more than the limit of %d", len(text), maxHeader)
	}
	if err := json.Unmarshal(text, &h, json.RejectUnknownMembers(true)); err != nil {
		return nil, modelFile.errorf("header: %v", err)
	}
	if err := h.Config.Validate(); err != nil {
		return nil, modelFile.errorf("%v", err)
	}
	t := &Tagger{Config: h.Config, Provenance: h.Provenance}
	if t.Encoder, err = decodeEncoder(h.Config, h.Encoder); err != nil {
		return nil, modelFile.errorf("encoder: %v", err)
	}
	if h.Labels.Space != h.Config.Labels {
		return nil, modelFile.errorf("its labels are of space %q, its config says %q", h.Labels.Space, h.Config.Labels)
	}
	if t.Space, err = label.ByName(h.Labels.Space, h.Labels.CRDGroups); err != nil {
		return nil, modelFile.errorf("labels: %v", err)
	}
	if !slices.Equal(t.Space.CRDGroups(), h.Labels.CRDGroups) {
		return nil, modelFile.errorf("its label space has groups that this program does not take")
	}
	for i, l := range t.Provenance.Labels {
		if !t.Space.Valid(l) || i > 0 && t.Provenance.Labels[i-1] >= l {
			return nil, modelFile.errorf("label %d of its training is not in its label space or not in order", l)
		}
	}
	if t.Provenance.TrainingEvents, err = decodeDigests(events); err != nil {
		return nil, modelFile.errorf("events: %v", err)
	}
	if t.Weights, err = decodeWeights(t.Network(), h.Tensors, weights); err != nil {
		return nil, modelFile.errorf("weights: %v", err)
	}
	return t, nil
}

// decodeEncoder reads the encoder and checks that it is one of the config's features.
func decodeEncoder(c Config, text jsontext.Value) (*feature.Encoder, error) {
	if text == nil {
		return nil, fmt.Errorf("there is none")
	}
	e := new(feature.Encoder)
	if err := json.Unmarshal(text, e); err != nil {
		return nil, err
	}
	want, err := c.profile()
	if err != nil {
		return nil, err
	}
	got := e.Profile().Fields()
	if e.Profile().Name() != want.Name() || len(got) != len(want.Fields()) {
		return nil, fmt.Errorf("it is of profile %q with %d fields, the config's is %q with %d",
			e.Profile().Name(), len(got), want.Name(), len(want.Fields()))
	}
	for i, f := range want.Fields() {
		if got[i].Path != f.Path {
			return nil, fmt.Errorf("its field %d is %q, the config's is %q", i, got[i].Path, f.Path)
		}
	}
	return e, nil
}

func decodeDigests(b []byte) ([]Digest, error) {
	if len(b)%digestSize != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of digests", len(b))
	}
	var out []Digest
	if len(b) > 0 {
		out = make([]Digest, len(b)/digestSize)
	}
	for i := range out {
		copy(out[i][:], b[i*digestSize:])
		if i > 0 && bytes.Compare(out[i-1][:], out[i][:]) >= 0 {
			return nil, fmt.Errorf("digest %d is not in order", i)
		}
	}
	return out, nil
}

// headers are the names and shapes.
func (w Weights) headers() []tensorHeader {
	h := make([]tensorHeader, len(w))
	for i, t := range w {
		h[i] = tensorHeader{t.Name, t.Shape}
	}
	return h
}

// bytes are all values, tensor after tensor.
func (w Weights) bytes() []byte {
	n := 0
	for _, t := range w {
		n += 4 * len(t.Data)
	}
	b := make([]byte, 0, n)
	for _, t := range w {
		b = appendFloats(b, t.Data)
	}
	return b
}

// decodeWeights reads the tensors of a network of shape c. Their number of values is checked against
// the data before any memory is taken for them.
func decodeWeights(c NetworkConfig, tensors []tensorHeader, data []byte) (Weights, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	specs := c.tensors()
	if len(tensors) != len(specs) {
		return nil, fmt.Errorf("there are %d tensors, a network of this config has %d", len(tensors), len(specs))
	}
	for i, s := range specs {
		if t := tensors[i]; t.Name != s.name || !slices.Equal(t.Shape, s.shape) {
			return nil, fmt.Errorf("tensor %d is %q %v, a network of this config has %q %v", i, t.Name, t.Shape, s.name, s.shape)
		}
	}
	return takeWeights(specs, data)
}

// takeWeights reads the tensors that specs describe, which must take up all of data.
func takeWeights(specs []tensorSpec, data []byte) (Weights, error) {
	want := 0
	for _, s := range specs {
		want += 4 * s.size()
	}
	if len(data) != want {
		return nil, fmt.Errorf("there are %d bytes, a network of this config has %d", len(data), want)
	}
	w := make(Weights, len(specs))
	for i, s := range specs {
		w[i] = Tensor{Name: s.name, Shape: s.shape, Data: make([]float32, s.size())}
		data = takeFloats(data, w[i].Data)
	}
	if name, ok := w.finite(); !ok {
		return nil, fmt.Errorf("%s holds a value that is not a finite number", name)
	}
	return w, nil
}

// finite tells whether all values are finite numbers, and if not, the first tensor with one that is not.
func (w Weights) finite() (name string, ok bool) {
	for _, t := range w {
		for _, v := range t.Data {
			if v-v != 0 {
				return t.Name, false
			}
		}
	}
	return "", true
}

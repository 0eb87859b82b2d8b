package model

import (
	"math"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

func TestPresets(t *testing.T) {
	for _, name := range []string{"paper", "default"} {
		c, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("preset %s: %v", name, err)
		}
	}
	if _, err := Preset("papper"); err == nil || !strings.Contains(err.Error(), "paper or default") {
		t.Errorf("unknown preset: got %v", err)
	}
}

// The paper states "about 718,000" parameters; REFERENCE 6.1 counts 718,841.
func TestPaperHasThePapersParameters(t *testing.T) {
	e := feature.Fit(feature.Paper(), nil)
	trainable, statistics := PaperConfig().Network(e.Sizes(), label.Paper().M()).Parameters()
	if trainable != 717627 || statistics != 1214 {
		t.Errorf("got %d trainable and %d statistics, want 717627 and 1214", trainable, statistics)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	for _, test := range []struct {
		want   string // in the error
		change func(*Config)
	}{
		{"window = 0", func(c *Config) { c.Window = 0 }},
		{"window = 5000", func(c *Config) { c.Window = 5000 }},
		{"batch = 0", func(c *Config) { c.Batch = 0 }},
		{"max_epochs = -1", func(c *Config) { c.MaxEpochs = -1 }},
		{"units1 = -4", func(c *Config) { c.Units1 = -4 }},
		{"units2 = 99999", func(c *Config) { c.Units2 = 99999 }},
		{"patience = -1", func(c *Config) { c.Patience = -1 }},
		{"reduce_patience = -1", func(c *Config) { c.ReducePatience = -1 }},
		{"reduce_factor = 1", func(c *Config) { c.ReduceFactor = 1 }},
		{"stride = 0", func(c *Config) { c.Stride = 0 }},
		{"validation_stride = 0", func(c *Config) { c.ValidationStride = 0 }},
		{"windows_per_epoch = -1", func(c *Config) { c.WindowsPerEpoch = -1 }},
		{"learning_rate = 0", func(c *Config) { c.LearningRate = 0 }},
		{"learning_rate = NaN", func(c *Config) { c.LearningRate = math.NaN() }},
		{"learning_rate = +Inf", func(c *Config) { c.LearningRate = math.Inf(1) }},
		{"dropout = 1", func(c *Config) { c.Dropout = 1 }},
		{"drop_user_agent = NaN", func(c *Config) { c.DropUserAgent = math.NaN() }},
		{"copy = true", func(c *Config) { c.Features, c.Copy = "honest", true }},
		{"body_dropout = 1", func(c *Config) { c.BodyDropout = 1 }},
		{"interleave = 65", func(c *Config) { c.Interleave = 65 }},
		{"drop_value = -0.1", func(c *Config) { c.DropValue = -.1 }},
		{`input = "id"`, func(c *Config) { c.Input = "id" }},
		{"embedding = 64", func(c *Config) { c.Input = InputIDs }},
		{"embedding = 0", func(c *Config) { c.Embedding = 0 }},
		{`labels = "own"`, func(c *Config) { c.Labels = "own" }},
		{`features = "pape"`, func(c *Config) { c.Features = "pape" }},
		{"did you mean \"verb\"", func(c *Config) { c.Without = []string{"verbs"} }},
	} {
		c := DefaultConfig()
		test.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want an error with %q, got %v", test.want, err)
		}
	}
	c := DefaultConfig()
	c.ReducePatience, c.ReduceFactor = 0, 0
	if err := c.Validate(); err != nil {
		t.Errorf("without learning-rate reduction the factor does not matter: %v", err)
	}
}

// Every field must be reachable from TOML, under a name of its own.
func TestConfigTOML(t *testing.T) {
	for _, want := range []Config{PaperConfig(), DefaultConfig()} {
		want.Without = []string{"verb"}
		text, err := toml.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Config
		meta, err := toml.Decode(string(text), &got)
		if err != nil {
			t.Fatal(err)
		}
		if len(meta.Undecoded()) > 0 {
			t.Errorf("keys lost: %v", meta.Undecoded())
		}
		if again, _ := toml.Marshal(got); string(again) != string(text) {
			t.Errorf("got\n%s\nwant\n%s", again, text)
		}
	}
}

// REFERENCE 6.1: 244,608 + 1,248 + 402,480 + 69,325 + 1,180.
func TestLayersOfThePaper(t *testing.T) {
	c := PaperConfig().Network(make([]int, 39), 59)
	want := map[string]int{"lstm1": 244608, "norm1": 1248, "lstm2": 402480, "dense": 69325, "norm2": 1180}
	for _, l := range c.Layers() {
		if got := l.Trainable + l.Statistics; got != want[l.Name] {
			t.Errorf("layer %s has %d values, want %d", l.Name, got, want[l.Name])
		}
	}
	d := DefaultConfig().Network([]int{10, 20}, 100)
	trainable, statistics := d.Parameters()
	for _, l := range d.Layers() {
		trainable -= l.Trainable
		statistics -= l.Statistics
	}
	if trainable != 0 || statistics != 0 {
		t.Errorf("the layers leave out %d parameters and %d statistics", trainable, statistics)
	}
}

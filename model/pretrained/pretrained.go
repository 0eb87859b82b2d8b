// Package pretrained holds the model that k8ntext uses when it is given none.
package pretrained

import (
	"bytes"
	_ "embed"
	"fmt"

	"k8ntext/model"
)

//go:embed default.k8ntext
var file []byte

// Default is the shipped model. `make model` trains it anew.
func Default() (*model.Tagger, error) {
	t, err := model.Read(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("read the model in this program: %w: rebuild the program", err)
	}
	return t, nil
}

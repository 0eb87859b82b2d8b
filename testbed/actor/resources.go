package actor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
)

// ResourcesFile is what the server of a recording offered.
const ResourcesFile = "resources.json"

// Resource is one resource or subresource that a server offers.
type Resource struct {
	Group       string   `json:"group"`
	Version     string   `json:"version"`
	Resource    string   `json:"resource"`
	Subresource string   `json:"subresource,omitempty"`
	Namespaced  bool     `json:"namespaced"`
	Verbs       []string `json:"verbs"`
}

// keepResources writes down what the server offers, for the table of coverage.
func (r *runner) keepResources() error {
	_, lists, err := r.cluster.Client().Discovery().ServerGroupsAndResources()
	var partly *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &partly) {
		return fmt.Errorf("ask what the server offers: %w", err)
	}
	text, err := json.MarshalIndent(resourcesOf(lists), "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.options.Dir, ResourcesFile), text, 0o644)
}

func resourcesOf(lists []*metav1.APIResourceList) []Resource {
	var out []Resource
	for _, list := range lists {
		group, version, found := strings.Cut(list.GroupVersion, "/")
		if !found {
			group, version = "", list.GroupVersion
		}
		for _, one := range list.APIResources {
			name, sub, _ := strings.Cut(one.Name, "/")
			out = append(out, Resource{group, version, name, sub, one.Namespaced, slices.Sorted(slices.Values(one.Verbs))})
		}
	}
	return out
}

package contexts

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/audit"
)

// sight is what the rules read of the bodies of an event, beside the facts of package identity. All of
// it is empty at level Metadata.
type sight struct {
	Kind     string `json:"kind"`
	Metadata struct {
		ResourceVersion string            `json:"resourceVersion"`
		Labels          map[string]string `json:"labels"`
	} `json:"metadata"`

	// lists
	Items []struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	} `json:"items"`

	// Event
	Reason  string `json:"reason"`
	Message string `json:"message"` // v1
	Note    string `json:"note"`    // events.k8s.io

	// Endpoints and EndpointSlice
	Subsets []struct {
		Addresses         []address `json:"addresses"`
		NotReadyAddresses []address `json:"notReadyAddresses"`
	} `json:"subsets"`
	Endpoints []struct {
		TargetRef  target `json:"targetRef"`
		Conditions struct {
			Ready       *bool `json:"ready"`
			Serving     *bool `json:"serving"`
			Terminating *bool `json:"terminating"`
		} `json:"conditions"`
	} `json:"endpoints"`

	Spec   jsontext.Value `json:"spec"`
	Status jsontext.Value `json:"status"`
}

type address struct {
	TargetRef target `json:"targetRef"`
}

type target struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// look reads the bodies: the answer, or the request where that was not logged or is no object.
func (x *event) look() *sight {
	if x.seen == nil {
		x.seen = readSight(x.ResponseObject)
		if len(x.ResponseObject) == 0 || x.seen.Kind == "Status" {
			x.seen = readSight(x.RequestObject)
		}
	}
	return x.seen
}

// readSight reads what it can of a body.
func readSight(v jsontext.Value) *sight {
	s := &sight{}
	if len(v) > 0 && !s.scan(v) {
		*s = sight{}
		read1(v, s)
	}
	return s
}

// scan reads a body as it nearly always is, stepping over what is not asked for. It gives up, and says so,
// where a value is not of the type that is expected.
func (s *sight) scan(v []byte) bool {
	ok := true
	whole := audit.Members(v, func(name, value []byte) bool {
		switch string(name) {
		case `"kind"`:
			ok = fill(value, &s.Kind)
		case `"metadata"`:
			ok = s.scanMetadata(value)
		case `"items"`:
			ok = s.Items == nil && fill(value, &s.Items)
		case `"reason"`:
			ok = fill(value, &s.Reason)
		case `"message"`:
			ok = fill(value, &s.Message)
		case `"note"`:
			ok = fill(value, &s.Note)
		case `"subsets"`:
			ok = s.Subsets == nil && fill(value, &s.Subsets)
		case `"endpoints"`:
			ok = s.Endpoints == nil && fill(value, &s.Endpoints)
		case `"spec"`:
			s.Spec = value
		case `"status"`:
			s.Status = value
		default:
			ok = bytes.IndexByte(name, '\\') < 0
		}
		return ok
	})
	return ok && whole
}

func (s *sight) scanMetadata(v []byte) bool {
	m, ok := &s.Metadata, true
	whole := audit.Members(v, func(name, value []byte) bool {
		switch string(name) {
		case `"resourceVersion"`:
			ok = fill(value, &m.ResourceVersion)
		case `"labels"`:
			ok = fill(value, &m.Labels)
		default:
			ok = bytes.IndexByte(name, '\\') < 0
		}
		return ok
	})
	return ok && whole
}

// fill reads a value, and says whether it is of the type that is expected.
func fill(v []byte, to any) bool {
	if s, ok := to.(*string); ok && v[0] == '"' && bytes.IndexByte(v, '\\') < 0 && utf8.Valid(v) {
		*s = string(v[1 : len(v)-1])
		return true
	}
	return json.Unmarshal(v, to, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil
}

// read1 reads what it can; an error leaves what came before it.
func read1(v jsontext.Value, to any) bool {
	if len(v) == 0 {
		return false
	}
	_ = json.Unmarshal(v, to, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return true
}

// pods are the pods behind a service that Endpoints or an EndpointSlice show, by name, with what they
// say of each.
func (s *sight) pods() map[string]string {
	m := make(map[string]string)
	for _, part := range s.Subsets {
		for _, a := range part.Addresses {
			m[a.TargetRef.Name] = "ready"
		}
		for _, a := range part.NotReadyAddresses {
			m[a.TargetRef.Name] = "unready"
		}
	}
	for _, e := range s.Endpoints {
		state := ""
		for _, is := range []*bool{e.Conditions.Ready, e.Conditions.Serving, e.Conditions.Terminating} {
			switch {
			case is == nil:
				state += "-"
			case *is:
				state += "t"
			default:
				state += "f"
			}
		}
		m[e.TargetRef.Name] = state
	}
	delete(m, "")
	return m
}

func isEvent(x *event) bool {
	return x.ObjectRef != nil && isEventRef(x.ObjectRef)
}

func isEventRef(o *audit.ObjectRef) bool {
	return o.Resource == "events" && (o.APIGroup == "" || o.APIGroup == "events.k8s.io")
}

// scaleTarget is the name of what an autoscaler scales.
func (s *sight) scaleTarget() string {
	var spec struct {
		ScaleTargetRef target `json:"scaleTargetRef"`
	}
	read1(s.Spec, &spec)
	return spec.ScaleTargetRef.Name
}

// selected are the labels that a budget selects.
func (s *sight) selected() map[string]string {
	var spec struct {
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
	}
	read1(s.Spec, &spec)
	return spec.Selector.MatchLabels
}

// needs are the names of the objects that a pod's specification names.
func (s *sight) needs() []string {
	type named struct {
		Name string `json:"name"`
	}
	type sources struct {
		ConfigMap named `json:"configMap"`
		Secret    struct {
			Name       string `json:"name"`
			SecretName string `json:"secretName"`
		} `json:"secret"`
	}
	var spec struct {
		Volumes []struct {
			sources
			Claim struct {
				Name string `json:"claimName"`
			} `json:"persistentVolumeClaim"`
			Projected struct {
				Sources []sources `json:"sources"`
			} `json:"projected"`
		} `json:"volumes"`
		Containers []struct {
			EnvFrom []struct {
				ConfigMap named `json:"configMapRef"`
				Secret    named `json:"secretRef"`
			} `json:"envFrom"`
			Env []struct {
				ValueFrom struct {
					ConfigMap named `json:"configMapKeyRef"`
					Secret    named `json:"secretKeyRef"`
				} `json:"valueFrom"`
			} `json:"env"`
		} `json:"containers"`
		ImagePullSecrets []named `json:"imagePullSecrets"`
	}
	read1(s.Spec, &spec)
	var names []string
	add := func(list ...string) {
		for _, name := range list {
			if name != "" && len(names) < maxNeeds && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, v := range spec.Volumes {
		add(v.ConfigMap.Name, v.Secret.Name, v.Secret.SecretName, v.Claim.Name)
		for _, from := range v.Projected.Sources {
			add(from.ConfigMap.Name, from.Secret.Name)
		}
	}
	for _, c := range spec.Containers {
		for _, e := range c.EnvFrom {
			add(e.ConfigMap.Name, e.Secret.Name)
		}
		for _, e := range c.Env {
			add(e.ValueFrom.ConfigMap.Name, e.ValueFrom.Secret.Name)
		}
	}
	for _, p := range spec.ImagePullSecrets {
		add(p.Name)
	}
	return names
}

const maxNeeds = 32 // names of one pod

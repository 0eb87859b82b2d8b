package plots

// LabelSpace counts a space of labels.
type LabelSpace struct {
	Name                            string
	Resources, Subresources, Labels int
	Classes                         int // m
}

// LabelFields is the paper's Table 3: the fields of an event that give its own label, and how large the
// space of labels is.
func LabelFields(spaces []LabelSpace, p Paper) *Table {
	t := &Table{
		ID: "table3", Title: "Table 3: fields of an event that give a label",
		Note:    "The last rows count the spaces: the paper has " + thousands(float64(p.Corpus.Space)) + " labels, of which " + thousands(float64(p.Corpus.Actions)) + " occur in its dataset, and m = " + thousands(float64(p.Network.Classes)) + ".",
		Columns: []string{"field", "example", "gives"},
		Rows: [][]string{
			{"objectRef.apiGroup", "core, apps, rbac.authorization.k8s.io; absent is core", "r, s by f_A"},
			{"objectRef.apiVersion", "v1; our space takes every version of a group", "r, s by f_A"},
			{"objectRef.resource", "pods, deployments, roles", "r, s by f_A"},
			{"objectRef.subresource", "status, scale; none", "r, s by f_A"},
			{"verb", "create; list counts as get, patch as update, deletecollection as delete", "v by f_V"},
			{"objectRef.namespace", "there and not empty", "n = 1"},
			{"objectRef.name", "there and not empty", "u = 1"},
		},
	}
	for _, s := range spaces {
		t.Rows = append(t.Rows, []string{
			"label space " + s.Name,
			thousands(float64(s.Resources)) + " resources; " + thousands(float64(s.Subresources)) + " pairs of resource and subresource; " + thousands(float64(s.Labels)) + " labels",
			"m = " + thousands(float64(s.Classes)),
		})
	}
	return t
}

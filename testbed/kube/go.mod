// The builds of this module are described by one file per Kubernetes minor, beside this one, and made with
// go build -modfile=1.34.mod -tags kube1.34: the same source, other pins.
module k8ntext/testbed/kube

go 1.24.0

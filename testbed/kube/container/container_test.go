package container

import (
	"testing"
	"time"
)

func TestPlanOf(t *testing.T) {
	for _, c := range []struct {
		name string
		spec Spec
		want Plan
	}{
		{"a server", Spec{Image: "nginx:1.27"}, Plan{}},
		{"exit image", Spec{Image: "exit/0:5s"}, Plan{Exits: true, After: 5 * time.Second}},
		{"exit image with registry", Spec{Image: "registry.example/exit/3:250ms"}, Plan{Exits: true, Code: 3, After: 250 * time.Millisecond}},
		{"exit image without time", Spec{Image: "exit/7"}, Plan{Exits: true, Code: 7, After: soon}},
		{"a name that only looks like it", Spec{Image: "noexit/0:5s"}, Plan{}},
		{"crash", Spec{Image: "crash:2s"}, Plan{Exits: true, Code: 1, After: 2 * time.Second}},
		{"shell with nothing to do", Spec{Image: "busybox:1.36"}, Plan{Exits: true, After: soon}},
		{"script", Spec{Image: "busybox", Command: []string{"sh", "-c", "sleep 3; exit 4"}}, Plan{Exits: true, Code: 4, After: 3 * time.Second}},
		{"endless script", Spec{Image: "busybox", Command: []string{"sh", "-c", "while true; do sleep 5; done"}}, Plan{}},
		{"sleep", Spec{Image: "busybox", Command: []string{"sleep", "30"}}, Plan{Exits: true, After: 30 * time.Second}},
		{"sleep for ever", Spec{Image: "busybox", Command: []string{"sleep", "infinity"}}, Plan{}},
		{"pi", Spec{Image: "perl:5.34", Command: []string{"perl", "-Mbignum=bpi", "-wle", "print bpi(2000)"}}, Plan{Exits: true, After: soon}},
		{"a server's own command", Spec{Image: "redis", Command: []string{"redis-server", "/etc/redis.conf"}}, Plan{}},
		{"annotation first", Spec{Image: "exit/1:1s", Annotations: map[string]string{ExitAnnotation: "0:9s"}}, Plan{Exits: true, After: 9 * time.Second}},
		{"annotation of the container first of all", Spec{Name: "main", Image: "nginx", Annotations: map[string]string{ExitAnnotation: "0:9s", ExitAnnotation + ".main": "never"}}, Plan{}},
		{"annotation that means nothing", Spec{Image: "nginx", Annotations: map[string]string{ExitAnnotation: "soon"}}, Plan{}},
		{"code too large", Spec{Image: "exit/999:1s"}, Plan{Exits: true, Code: 255, After: time.Second}},
	} {
		if got := PlanOf(c.spec); got != c.want {
			t.Errorf("%s: PlanOf(%+v) = %+v, want %+v", c.name, c.spec, got, c.want)
		}
	}
}

func TestExec(t *testing.T) {
	for _, c := range []struct {
		command []string
		output  string
		exit    int
	}{
		{nil, "", 0},
		{[]string{"false"}, "", 1},
		{[]string{"sh", "-c", "exit 3"}, "", 3},
		{[]string{"echo", "a", "b"}, "a b\n", 0},
		{[]string{"nginx", "-t"}, "ok\n", 0},
	} {
		if output, exit := Exec(c.command); output != c.output || exit != c.exit {
			t.Errorf("Exec(%q) = %q, %d, want %q, %d", c.command, output, exit, c.output, c.exit)
		}
	}
}

func TestCat(t *testing.T) {
	mounts := []Mount{{"/var/run/secrets/kubernetes.io/serviceaccount", "/node/pods/1/volumes/token"}, {"/etc/hosts", "/node/pods/1/etc-hosts"}}
	for _, c := range []struct {
		command []string
		want    string
	}{
		{[]string{"cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"}, "/node/pods/1/volumes/token/token"},
		{[]string{"/bin/cat", "/etc/hosts"}, "/node/pods/1/etc-hosts"},
		{[]string{"cat", "/var/run/secrets/kubernetes.io/serviceaccount/../../../../../etc/shadow"}, ""},
		{[]string{"cat", "/var/run/secrets/kubernetes.io/serviceaccounts"}, ""},
		{[]string{"cat", "token"}, ""},
		{[]string{"cat"}, ""},
		{[]string{"ls", "/etc/hosts"}, ""},
		{nil, ""},
	} {
		if got := Cat(c.command, mounts); got != c.want {
			t.Errorf("Cat(%q) = %q, want %q", c.command, got, c.want)
		}
	}
}

func TestRepository(t *testing.T) {
	for image, want := range map[string]string{
		"nginx": "nginx", "nginx:1.27": "nginx", "registry.example:5000/library/nginx:1.27": "nginx",
		"nginx@sha256:abc": "nginx",
	} {
		if got := Repository(image); got != want {
			t.Errorf("Repository(%q) = %q, want %q", image, got, want)
		}
	}
}

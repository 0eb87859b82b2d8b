package plots

import "image/color"

// Overview is the paper's Figure 2: the parts of a cluster, who asks the API server, and where its audit
// log comes from. A drawing of our own.
func Overview() *Figure {
	d := new(diagram)
	pale := color.NRGBA{R: 0xdd, G: 0xe8, B: 0xf8, A: 0xff}
	log := color.NRGBA{R: 0xf3, G: 0xe2, B: 0x7a, A: 0xff}
	d.around(118, 6, 262, 232, "control plane")
	d.around(396, 6, 116, 108, "worker node")
	d.around(396, 130, 116, 108, "worker node")

	api := d.box(196, 96, 110, 40, solidBlue, "kube-apiserver", "every request")
	etcd := d.box(196, 34, 110, 28, pale, "etcd")
	manager := d.box(130, 178, 112, 34, pale, "controller manager")
	scheduler := d.box(256, 178, 112, 34, pale, "scheduler")
	people := d.box(4, 64, 92, 38, white, "people", "kubectl, dashboards")
	pipelines := d.box(4, 130, 92, 38, white, "CI, operators", "service accounts")
	for i, y := range []float64{28, 152} {
		kubelet := d.box(404, y, 100, 32, pale, "kubelet")
		proxy := d.box(404, y+44, 100, 32, pale, "kube-proxy, pods")
		x, in := 391-5*float64(i), 108+14*float64(i)
		for _, b := range []diagramBox{kubelet, proxy} {
			d.arrow(b.left(), [2]float64{x, b.y + b.h/2}, [2]float64{x, in}, [2]float64{306, in})
		}
	}
	d.arrow(people.right(), [2]float64{108, 83}, [2]float64{108, 110}, [2]float64{196, 110})
	d.arrow(pipelines.right(), [2]float64{108, 149}, [2]float64{108, 122}, [2]float64{196, 122})
	d.arrow(manager.top(), [2]float64{186, 157}, [2]float64{224, 157}, [2]float64{224, 136})
	d.arrow(scheduler.top(), [2]float64{312, 157}, [2]float64{278, 157}, [2]float64{278, 136})
	d.arrow(api.top(), etcd.bottom()).both = true

	file := d.box(130, 258, 112, 34, log, "audit log file", "one line a stage")
	hook := d.box(256, 258, 112, 34, log, "audit webhook", "batches")
	d.arrow([2]float64{251, 136}, [2]float64{251, 246}, [2]float64{186, 246}, file.top())
	d.arrow([2]float64{251, 136}, [2]float64{251, 246}, [2]float64{312, 246}, hook.top())
	return d.figure("figure2", "Figure 2: where a cluster's audit log comes from",
		"A drawing of our own. Every request goes through the API server, which alone writes the audit log (yellow). A request says who asks, not why.", 518, 298)
}

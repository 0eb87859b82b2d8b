package plots

import "image/color"

// Architecture is the paper's Figure 4: the way of a log from the cluster to contexts. A drawing of our
// own, of this program.
func Architecture() *Figure {
	d := new(diagram)
	dark := color.NRGBA{R: 0x28, G: 0x2c, B: 0x34, A: 0xff}
	pale := color.NRGBA{R: 0xf0, G: 0xf2, B: 0xf5, A: 0xff}
	log := color.NRGBA{R: 0xf3, G: 0xe2, B: 0x7a, A: 0xff}
	const w, h = 104, 36
	cluster := d.box(4, 84, w, h, solidBlue, "cluster", "audit policy")
	reader := d.box(138, 84, w, h, log, "reader", "stages to events")
	encoder := d.box(272, 84, w, h, dark, "features", "fields to ids")
	network := d.box(406, 84, w, h, dark, "network", "windows of W events")
	vote := d.box(406, 150, w, h, dark, "vote", "one label an event")
	contexts := d.box(272, 150, w, h, log, "contexts", "labels and identity")
	queries := d.box(138, 150, w, h, pale, "query, store, pages")
	truth := d.box(138, 18, w, h, log, "labels", "recorded truth, rules")
	training := d.box(406, 18, w, h, dark, "training", "loss, Adam")
	operator := d.box(4, 150, w, h, solidBlue, "people", "who look into it")

	for _, pair := range [][2]diagramBox{{cluster, reader}, {reader, encoder}, {encoder, network}} {
		d.arrow(pair[0].right(), pair[1].left())
	}
	d.arrow(network.bottom(), vote.top())
	d.arrow(vote.left(), contexts.right())
	d.arrow(contexts.left(), queries.right())
	d.arrow(queries.left(), operator.right())
	for _, way := range [][][2]float64{
		{{reader.x + 30, reader.y}, {reader.x + 30, truth.y + h}},
		{truth.right(), training.left()},
		{encoder.top(), {encoder.x + w/2, 48}, {training.x, 48}},
		{training.bottom(), network.top()},
	} {
		d.arrow(way...).dotted = true
	}
	d.arrow([2]float64{146, 206}, [2]float64{176, 206})
	d.texts = append(d.texts, diagramText{182, 206, "use", 8, true}, diagramText{252, 206, "training", 8, true})
	d.arrow([2]float64{216, 206}, [2]float64{246, 206}).dotted = true
	return d.figure("figure4", "Figure 4: from audit log to contexts",
		"A drawing of our own, of this program. Solid: use; dotted: training. Blue: the cluster and its people; yellow: what works on the log; black: deep learning. The query engine, which the paper leaves out, is pale.", 516, 216)
}

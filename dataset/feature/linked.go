package feature

import (
	"strconv"
	"time"
)

// linkedFields is honestFields and how the event lies to others of its log.
func linkedFields() []Field {
	fields := honestFields()
	add := func(encoding, path, meaning string, read func(r *relations) value) {
		fields = append(fields, Field{
			Path: path, Meaning: meaning, Encoding: encoding, Source: fromLinked,
			read: func(r *row, _ []slot) value { return read(r.relations) },
		})
	}
	// of adds what is to be told of one related request; parts are some of the letters k (its kind:
	// resource and subresource, verb, shape), v (its verb alone), a (its actor), t (how long ago or
	// ahead), s (people's changes since) and o (whether it is about the same).
	of := func(name, meaning, parts string, get func(r *relations) deed) {
		word := func(part, what string, text func(d deed) string) {
			add(encClass, name+"."+part, meaning+": "+what, func(r *relations) value {
				d := get(r)
				switch {
				case !d.there():
					return value{}
				case text(d) == "":
					return value{state: empty}
				}
				return just(text(d))
			})
		}
		for _, part := range parts {
			switch part {
			case 'k':
				word("resource", "resource", func(d deed) string { return d.resource })
				word("subresource", "subresource", func(d deed) string { return d.subresource })
				word("verb", "merged verb", func(d deed) string { return d.verb })
				word("shape", "names a namespace, one object", func(d deed) string { return d.shape })
			case 'v':
				word("verb", "merged verb", func(d deed) string { return d.verb })
			case 'a':
				word("actor", "class of its user", func(d deed) string { return d.actor })
			case 't':
				add(encAge, name+".age", meaning+": time between", func(r *relations) value {
					d := get(r)
					if !d.there() {
						return value{}
					}
					return just(ageClass(r.self.at.Sub(d.at).Abs()))
				})
			case 's':
				add(encBucket, name+".since", meaning+": people's changes since", func(r *relations) value {
					d := get(r)
					if !d.there() {
						return value{}
					}
					return just(bucket(strconv.Itoa(r.changes - d.changes)))
				})
			case 'o':
				add(encClass, name+".same", meaning+": the same object, or resource", func(r *relations) value {
					switch d := get(r); {
					case !d.there():
						return value{}
					case d.object != 0 && d.object == r.self.object:
						return just("object")
					case d.resource == r.self.resource:
						return just("resource")
					}
					return just("other")
				})
			}
		}
	}

	of("choice", "the cause by identity propagation", "k", func(r *relations) deed { d, _ := r.choice(); return d })
	add(encClass, "choice.by", "the relation that gives it", func(r *relations) value { _, by := r.choice(); return just(by) })
	of("cause", "people's latest change to the object, its owners or what it is tied to", "kts", func(r *relations) deed { return r.cause })
	add(encClass, "cause.via", "what ties that to the event", func(r *relations) value {
		if !r.cause.there() {
			return value{}
		}
		return just(r.via)
	})
	of("inside", "people's latest change in the namespace", "kts", func(r *relations) deed { return r.inside })
	of("namespace", "people's latest change to the namespace itself", "vts", func(r *relations) deed { return r.namespace })
	of("latest", "people's latest change at all", "kt", func(r *relations) deed { return r.latest })
	of("stir", "people's change behind the latest change to a pod of the namespace", "kt", func(r *relations) deed { return r.stir })
	of("touch", "latest change to the object", "kat", func(r *relations) deed { return r.touch })
	of("parent", "latest change to the owner or what the event is about", "kat", func(r *relations) deed { return r.parent })
	of("place", "latest change in the namespace", "kat", func(r *relations) deed { return r.place })
	of("born", "creation of the object at the root of the owners", "kat", func(r *relations) deed { return r.born })
	of("gone", "the request that the object be deleted", "at", func(r *relations) deed { return r.gone })
	of("ends", "the request that the root of the owners be deleted", "at", func(r *relations) deed { return r.ends })
	of("closes", "the request that the namespace be deleted", "at", func(r *relations) deed { return r.closes })
	of("previous", "this person's request before", "kto", func(r *relations) deed { return r.previous })
	of("burst", "the first request of this person's burst", "kto", func(r *relations) deed { return r.burst })
	of("did", "this person's latest change", "kto", func(r *relations) deed { return r.did })
	of("before", "the same person's change of another kind before that, or before the cause", "kt", func(r *relations) deed { return r.before })
	of("next", "this person's next request about an object", "kto", func(r *relations) deed { return r.next })
	of("change", "this person's next change or watch", "kto", func(r *relations) deed { return r.change })
	of("own", "this person's next change to the same object", "kt", func(r *relations) deed { return r.own })
	add(encBucket, "active", "people active in the last ten seconds", func(r *relations) value {
		return just(bucket(strconv.Itoa(r.active)))
	})
	return fields
}

// ageClass is a time between two requests, finer where what a cluster does by itself lies.
func ageClass(d time.Duration) string {
	for _, limit := range [...]time.Duration{
		20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second, 2 * time.Second,
		5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute,
	} {
		if d < limit {
			return "<" + limit.String()
		}
	}
	return "later"
}

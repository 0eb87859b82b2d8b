package feature

import "strings"

// agent is a user agent in parts; a part that is not there is absent.
type agent struct{ tool, version, extra value }

// paperAgent parses a user agent as the reference does: split on single spaces into tool, platform
// and meta (more than three parts: meta is dropped); tool at its first slash into name and version;
// platform must be os/arch, meta name/hash or name/hash/extra. Anything else is a failure, and a
// failure makes all parts null.
func paperAgent(text string) agent {
	parts := strings.Split(text, " ")
	tool, version, ok := strings.Cut(parts[0], "/")
	if !ok {
		return agent{}
	}
	a := agent{tool: just(tool), version: just(version)}
	if len(parts) > 1 && strings.Count(strings.Trim(parts[1], "()"), "/") != 1 {
		return agent{}
	}
	if len(parts) == 3 {
		switch meta := strings.Split(parts[2], "/"); len(meta) {
		case 2:
		case 3:
			a.extra = just(meta[2])
		default:
			return agent{}
		}
	}
	return a
}

// honestAgent reads what it can of a user agent: the tool, also where it has no version, and the last part of
// client-go's "name/version (os/arch) kubernetes/hash/extra", which names the component inside
// the tool. Both are words of closed sets; versions, platforms and hashes are not read.
func honestAgent(text string) agent {
	parts := strings.Fields(text)
	if len(parts) == 0 {
		return agent{}
	}
	tool, _, _ := strings.Cut(parts[0], "/")
	a := agent{tool: just(toolClass(tool))}
	if len(parts) >= 3 && strings.HasPrefix(parts[1], "(") {
		if meta := strings.SplitN(parts[2], "/", 3); len(meta) == 3 {
			a.extra = textOf(meta[2]).class(componentClass)
			if meta[2] == "" {
				a.extra = value{state: empty}
			}
		}
	}
	return a
}

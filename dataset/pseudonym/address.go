package pseudonym

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

var (
	// Addresses, also with hyphens as hosts in clouds carry them (ip-10-0-1-23).
	ipv4   = regexp.MustCompile(`\b(\d{1,3})([.-])(\d{1,3})([.-])(\d{1,3})([.-])(\d{1,3})\b`)
	ipv6   = regexp.MustCompile(`[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}`)
	digest = regexp.MustCompile(`(?i)\b(sha256[:=])([0-9a-f]{64})\b`)
)

// addresses replaces IP addresses and SHA-256 digests of images and certificates. Private networks
// stay private, other addresses of version 4 become ones of 240.0.0.0/4, which nobody has, and those
// of version 6 ones of fd00::/8. Loopback, unspecified and link-local addresses stay, and so does what
// follows an address: two of one subnet need not share a subnet afterwards.
func (n *Names) addresses(s string) string {
	if strings.ContainsAny(s, ".-") {
		s = ipv4.ReplaceAllStringFunc(s, func(text string) string {
			m := ipv4.FindStringSubmatch(text)
			addr, err := netip.ParseAddr(m[1] + "." + m[3] + "." + m[5] + "." + m[7])
			if m[2] != m[4] || m[4] != m[6] || err != nil {
				return text
			}
			return strings.ReplaceAll(n.address(addr), ".", m[2])
		})
	}
	if strings.Count(s, ":") >= 2 {
		s = ipv6.ReplaceAllStringFunc(s, func(text string) string {
			addr, err := netip.ParseAddr(text)
			if err != nil || len(text) < 6 {
				return text
			}
			return n.address(addr)
		})
	}
	if strings.Contains(s, "256") {
		s = digest.ReplaceAllStringFunc(s, func(text string) string {
			m := digest.FindStringSubmatch(text)
			return m[1] + hex.EncodeToString(n.mac('d', strings.ToLower(m[2])))
		})
	}
	return s
}

// address is the pseudonym of an address.
func (n *Names) address(a netip.Addr) string {
	name := a.String()
	if p, ok := n.ips[name]; ok {
		return p
	}
	if a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() {
		return name
	}
	p := n.otherAddress(a).String()
	n.ips[name] = p
	if other, ok := n.taken[p]; ok && other != name {
		n.clash = fmt.Errorf("two addresses got the pseudonym %s: take another key", p)
	}
	n.taken[p] = name
	return p
}

func (n *Names) otherAddress(a netip.Addr) netip.Addr {
	if a.Is6() {
		b := [16]byte(n.mac('6', a.String())[:16])
		b[0] = 0xfd
		return netip.AddrFrom16(b)
	}
	b := a.As4()
	prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{240}), 4)
	for _, p := range []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10}), 8), netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16}), 12),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168}), 16), netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10),
	} {
		if p.Contains(a) {
			prefix = p
		}
	}
	bits := uint(32 - prefix.Bits())
	low := uint64(1)<<bits - 1
	value := uint64(binary.BigEndian.Uint32(b[:])) & low
	if prefix.Contains(a) {
		value = n.permute(0, value, bits)
	} else {
		value = binary.BigEndian.Uint64(n.mac('4', a.String())) & low
	}
	first := prefix.Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(first[:])|uint32(value))
	return netip.AddrFrom4(b)
}

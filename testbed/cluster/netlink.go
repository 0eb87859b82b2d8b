package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// linkUp starts a network device.
func linkUp(name string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	q, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, q); err != nil {
		return err
	}
	q.SetUint16(q.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, q)
}

// addAddress gives the loopback device an IPv4 address. All addresses of the prefix are then this
// machine's own. An address that is there already is no error.
func addAddress(prefix netip.Prefix) error {
	if !prefix.Addr().Is4() {
		return fmt.Errorf("address %v is no IPv4 address", prefix)
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	err = netlink(addressRequest(prefix, lo.Index))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("adding the address %v: %w", prefix, err)
	}
	return nil
}

// addressRequest is RTM_NEWADDR as rtnetlink(7) has it: a header, an ifaddrmsg, two attributes.
func addressRequest(prefix netip.Prefix, device int) []byte {
	ip := prefix.Addr().As4()
	attribute := func(b []byte, kind uint16) []byte {
		b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(ip)))
		b = binary.NativeEndian.AppendUint16(b, kind)
		return append(b, ip[:]...)
	}
	body := []byte{unix.AF_INET, byte(prefix.Bits()), 0, unix.RT_SCOPE_HOST}
	body = binary.NativeEndian.AppendUint32(body, uint32(device))
	body = attribute(body, unix.IFA_LOCAL)
	body = attribute(body, unix.IFA_ADDRESS)

	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_NEWADDR)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b = binary.NativeEndian.AppendUint32(b, 1) // sequence
	b = binary.NativeEndian.AppendUint32(b, 0) // port: the kernel's choice
	return append(b, body...)
}

// netlink sends a request and waits for its acknowledgement.
func netlink(request []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if err := unix.Sendto(s, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("unexpected netlink answer of %d bytes", n)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

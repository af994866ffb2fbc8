package dialer

import (
	"context"
	"net/netip"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// ResolutionDelay is how long IPv4 addresses wait for those of IPv6 (RFC 8305
// section 8).
const ResolutionDelay = 50 * time.Millisecond

// answer is a family's.
type answer struct {
	addrs []netip.Addr
	err   error
}

func (a answer) ok() bool { return a.err == nil && len(a.addrs) > 0 }

// Lookup asks for both families of a name's addresses at once and returns as soon as a
// dial may begin: with IPv6 addresses, with IPv4 ones ResolutionDelay later, or when
// there are none of the other family (RFC 8305 section 3). If one family is missing
// still, rest is not nil: it returns what comes of that, nothing if it fails, and must
// be called; it returns soon after ctx has ended. IPv4-mapped addresses come out as
// IPv4 ones. If both have failed the error is that of IPv4, unless that is only that
// there is no such name, as notFound says it, and that of IPv6 is another. Neither
// addresses nor an error is that the name has none.
func Lookup(ctx context.Context, r Resolver, host string, notFound func(error) bool) (addrs []netip.Addr, rest func() []netip.Addr, err error) {
	ask := func(network string) <-chan answer {
		c := make(chan answer, 1)
		go func() {
			addrs, err := r.LookupNetIP(ctx, network, host)
			c <- answer{unmapped(addrs, network == "ip4"), err}
		}()
		return c
	}
	six, four := ask("ip6"), ask("ip4")
	late := func(c <-chan answer) func() []netip.Addr {
		return func() []netip.Addr { return (<-c).addrs }
	}
	var a6, a4 answer
	select {
	case a6 = <-six:
		if a6.ok() {
			select {
			case a4 = <-four:
			default:
				return a6.addrs, late(four), nil
			}
		} else {
			a4 = <-four
		}
	case a4 = <-four:
		if !a4.ok() {
			a6 = <-six
			break
		}
		delay := ResolutionDelay
		if defect.On(defect.NoResolutionDelay) {
			delay = 0
		}
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case a6 = <-six:
		case <-timer.C:
			return a4.addrs, late(six), nil
		}
	}
	if addrs = append(a6.addrs, a4.addrs...); len(addrs) > 0 {
		return addrs, nil, nil
	}
	if a6.err != nil && !notFound(a6.err) && (a4.err == nil || notFound(a4.err)) {
		return nil, nil, a6.err
	}
	return nil, nil, a4.err
}

// unmapped are those of one family.
func unmapped(addrs []netip.Addr, four bool) (fit []netip.Addr) {
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() == four {
			fit = append(fit, a)
		}
	}
	return fit
}

// Weave puts batch, addresses of one family that have come late, among those that are
// left to try after last: the families take turns (RFC 8305 sections 3 and 4).
func Weave[A any](last A, left, batch []A, is4 func(A) bool) []A {
	woven := Interleave(append(append([]A{last}, left...), batch...), is4)
	return woven[1:]
}

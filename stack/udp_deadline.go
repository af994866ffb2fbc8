package stack

import (
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// SetDeadline sets both deadlines.
func (u *UDPConn) SetDeadline(t time.Time) error {
	if err := u.SetReadDeadline(t); err != nil {
		return err
	}
	return u.SetWriteDeadline(t)
}

// SetReadDeadline makes reads return os.ErrDeadlineExceeded from t on. The zero
// time means never.
func (u *UDPConn) SetReadDeadline(t time.Time) error { return u.setReadDeadline(&u.udpHolder, t) }

func (u *UDPConn) setReadDeadline(by *udpHolder, t time.Time) error {
	when, past := u.host.instant(t)
	u.mu.Lock()
	defer u.mu.Unlock()
	if by.closed || u.ended {
		return ErrClosed
	}
	if defect.On(defect.DatagramDeadlineOff) {
		return nil
	}
	if by.expireAt(u.host, when, past) {
		u.waits.wakeAll()
	}
	return nil
}

// SetWriteDeadline makes writes return os.ErrDeadlineExceeded from t on. As
// they never wait, that is all it does.
func (u *UDPConn) SetWriteDeadline(t time.Time) error { return u.setWriteDeadline(&u.udpHolder, t) }

func (u *UDPConn) setWriteDeadline(by *udpHolder, t time.Time) error {
	when, past := u.host.instant(t)
	if err := u.open(by); err != nil {
		return err
	}
	u.sendMu.Lock()
	by.sendUntil, by.sendExpired = when, past
	u.sendMu.Unlock()
	return nil
}

// Expire is called by the host's timer wheel.
func (u *UDPConn) Expire(_ int, now time.Duration) { u.expire(&u.holder, now) }

func (u *UDPConn) expire(by *holder, now time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if by.expire(u.host, now) {
		u.waits.wakeAll()
	}
}

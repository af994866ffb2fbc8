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
func (u *UDPConn) SetReadDeadline(t time.Time) error {
	when, past := u.host.instant(t)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return ErrClosed
	}
	if defect.On(defect.DatagramDeadlineOff) {
		return nil
	}
	u.deadline, u.expired = when, past
	if past {
		u.waits.wakeAll()
	} else if when != Never {
		u.host.arm(&u.timer, when)
	}
	return nil
}

// SetWriteDeadline makes writes return os.ErrDeadlineExceeded from t on. As
// they never wait, that is all it does.
func (u *UDPConn) SetWriteDeadline(t time.Time) error {
	when, past := u.host.instant(t)
	u.mu.Lock()
	closed := u.closed
	u.mu.Unlock()
	if closed {
		return ErrClosed
	}
	u.sendMu.Lock()
	u.sendUntil, u.sendExpired = when, past
	u.sendMu.Unlock()
	return nil
}

// Expire is called by the host's timer wheel.
func (u *UDPConn) Expire(_ int, now time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.closed || u.deadline == Never || u.deadline == 0:
	case u.deadline <= now:
		u.expired = true
		u.waits.wakeAll()
	default:
		u.host.arm(&u.timer, u.deadline)
	}
}

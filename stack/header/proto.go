package header

// Protocol numbers: values of the IPv4 protocol field and the IPv6 next
// header field (IANA "Assigned Internet Protocol Numbers").
const (
	ProtoHopByHop    = 0 // IPv6 hop-by-hop options
	ProtoICMP        = 1
	ProtoIGMP        = 2
	ProtoTCP         = 6
	ProtoUDP         = 17
	ProtoRouting     = 43 // IPv6 routing header
	ProtoFragment    = 44 // IPv6 fragment header
	ProtoESP         = 50
	ProtoAH          = 51
	ProtoICMPv6      = 58
	ProtoNoNext      = 59 // IPv6 no next header
	ProtoDestOptions = 60 // IPv6 destination options
	ProtoSCTP        = 132
)

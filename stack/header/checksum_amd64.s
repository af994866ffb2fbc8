#include "textflag.h"

// Both functions sum the 64-bit words of the data, four a vector. A word x is
// 2^32*hi + lo, and modulo 2^16-1 that is hi + lo. Rather than splitting each
// vector in two, S adds whole words modulo 2^64 and H the high halves, so
// that the sum of the low halves is S - 2^32*H in the end, exact because it is
// below 2^64. That makes three vector operations for 32 bytes.
//
// Bytes that do not fill a vector at the end are loaded with the bytes before
// them, which a mask then clears: n is even, so words keep their alignment.

// tailMask<>+r keeps the last r bytes of a vector.
DATA tailMask<>+0(SB)/8, $0
DATA tailMask<>+8(SB)/8, $0
DATA tailMask<>+16(SB)/8, $0
DATA tailMask<>+24(SB)/8, $0
DATA tailMask<>+32(SB)/8, $0xffffffffffffffff
DATA tailMask<>+40(SB)/8, $0xffffffffffffffff
DATA tailMask<>+48(SB)/8, $0xffffffffffffffff
DATA tailMask<>+56(SB)/8, $0xffffffffffffffff
GLOBL tailMask<>(SB), RODATA|NOPTR, $64

// ADD adds the vector v to the sums s and h; t is scratch.
#define ADD(v, t, s, h) \
	VPADDQ v, s, s   \
	VPSRLQ $32, v, t \
	VPADDQ t, h, h

// REDUCE joins the sums S = Y0+Y1 and H = Y2+Y3 into AX.
#define REDUCE \
	VPADDQ Y1, Y0, Y0        \
	VPADDQ Y3, Y2, Y2        \
	VPSLLQ $32, Y2, Y3       \
	VPSUBQ Y3, Y0, Y0        \
	VPADDQ Y2, Y0, Y0        \
	VEXTRACTI128 $1, Y0, X1  \
	VPADDQ X1, X0, X0        \
	VPUNPCKHQDQ X0, X0, X1   \
	VPADDQ X1, X0, X0        \
	VMOVQ X0, AX

// func sumAVX2(p *byte, n int) uint64
TEXT ·sumAVX2(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	VPXOR X0, X0, X0
	VPXOR X1, X1, X1
	VPXOR X2, X2, X2
	VPXOR X3, X3, X3
	SUBQ $128, CX
	JLT  rest

loop:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VMOVDQU 64(SI), Y6
	VMOVDQU 96(SI), Y7
	ADD(Y4, Y8, Y0, Y2)
	ADD(Y5, Y9, Y1, Y3)
	ADD(Y6, Y10, Y0, Y2)
	ADD(Y7, Y11, Y1, Y3)
	ADDQ $128, SI
	SUBQ $128, CX
	JGE  loop

rest:
	ADDQ $96, CX // bytes left, less 32
	JLT  tail

rest32:
	VMOVDQU (SI), Y4
	ADD(Y4, Y8, Y0, Y2)
	ADDQ $32, SI
	SUBQ $32, CX
	JGE  rest32

tail:
	ADDQ $32, CX
	JEQ  done
	LEAQ tailMask<>(SB), DX
	VMOVDQU -32(SI)(CX*1), Y4
	VPAND (DX)(CX*1), Y4, Y4
	ADD(Y4, Y8, Y1, Y3)

done:
	REDUCE
	VZEROUPPER
	MOVQ AX, ret+16(FP)
	RET

// func copySumAVX2(dst, src *byte, n int) uint64
TEXT ·copySumAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VPXOR X0, X0, X0
	VPXOR X1, X1, X1
	VPXOR X2, X2, X2
	VPXOR X3, X3, X3
	SUBQ $128, CX
	JLT  rest

loop:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VMOVDQU 64(SI), Y6
	VMOVDQU 96(SI), Y7
	VMOVDQU Y4, (DI)
	VMOVDQU Y5, 32(DI)
	VMOVDQU Y6, 64(DI)
	VMOVDQU Y7, 96(DI)
	ADD(Y4, Y8, Y0, Y2)
	ADD(Y5, Y9, Y1, Y3)
	ADD(Y6, Y10, Y0, Y2)
	ADD(Y7, Y11, Y1, Y3)
	ADDQ $128, SI
	ADDQ $128, DI
	SUBQ $128, CX
	JGE  loop

rest:
	ADDQ $96, CX // bytes left, less 32
	JLT  tail

rest32:
	VMOVDQU (SI), Y4
	VMOVDQU Y4, (DI)
	ADD(Y4, Y8, Y0, Y2)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $32, CX
	JGE  rest32

tail:
	ADDQ $32, CX
	JEQ  done
	LEAQ tailMask<>(SB), DX
	VMOVDQU -32(SI)(CX*1), Y4
	VMOVDQU Y4, -32(DI)(CX*1)
	VPAND (DX)(CX*1), Y4, Y4
	ADD(Y4, Y8, Y1, Y3)

done:
	REDUCE
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET

#include "tap_steering.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INSTRUCTION(operation, to, from, distance, number) \
  { .code = (operation), .dst_reg = (to), .src_reg = (from), .off = (distance), .imm = (number) }
/* A load beyond the frame's end ends the program with 0. All loads leave their result in FOUND. */
#define LOAD(size, at) INSTRUCTION(BPF_LD | BPF_ABS | (size), 0, 0, 0, at)
#define LOAD_AT(size, base, at) INSTRUCTION(BPF_LD | BPF_IND | (size), 0, base, 0, at)
#define MOVE(to, from) INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define SET(to, number) INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, number)
#define WITH(operation, to, from) INSTRUCTION(BPF_ALU64 | (operation) | BPF_X, to, from, 0, 0)
#define WITH_NUMBER(operation, to, number) INSTRUCTION(BPF_ALU64 | (operation) | BPF_K, to, 0, 0, number)
#define JUMP(distance) INSTRUCTION(BPF_JMP | BPF_JA, 0, 0, distance, 0)
#define JUMP_IF(condition, what, number, distance) INSTRUCTION(BPF_JMP | (condition) | BPF_K, what, 0, distance, number)
#define MIX_WORD(base, at) LOAD_AT(BPF_W, base, at), WITH(BPF_XOR, HASH, FOUND)
#define END INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

enum {
  FOUND = BPF_REG_0,
  ARGUMENT = BPF_REG_1,
  FRAME = BPF_REG_6,
  HEADER = BPF_REG_7,
  HASH = BPF_REG_8,
  PROTOCOL = BPF_REG_9
};

/* Distances are counted from the instruction behind the jump. */
static const struct bpf_insn program[] = {
    MOVE(FRAME, ARGUMENT),
    LOAD(BPF_B, 0),
    JUMP_IF(BPF_JSET, FOUND, 1, 8),
    SET(HEADER, 14),
    LOAD(BPF_H, 12),
    /* One VLAN tag that the kernel has left in the frame. */
    JUMP_IF(BPF_JEQ, FOUND, 0x8100, 1),
    JUMP_IF(BPF_JNE, FOUND, 0x88a8, 2),
    SET(HEADER, 18),
    LOAD(BPF_H, 16),
    JUMP_IF(BPF_JEQ, FOUND, 0x0800, 3),
    JUMP_IF(BPF_JEQ, FOUND, 0x86dd, 15),
    /* A group, or not IP. */
    SET(FOUND, 0),
    END,

    /* IPv4: both addresses; ports unless it is a fragment, whose others have none. */
    LOAD_AT(BPF_W, HEADER, 12),
    MOVE(HASH, FOUND),
    MIX_WORD(HEADER, 16),
    LOAD_AT(BPF_B, HEADER, 9),
    MOVE(PROTOCOL, FOUND),
    LOAD_AT(BPF_H, HEADER, 6),
    JUMP_IF(BPF_JSET, FOUND, 0x3fff, 34),
    LOAD_AT(BPF_B, HEADER, 0),
    WITH_NUMBER(BPF_AND, FOUND, 15),
    WITH_NUMBER(BPF_LSH, FOUND, 2),
    WITH(BPF_ADD, HEADER, FOUND),
    JUMP(20),

    /* IPv6: both addresses, eight words; ports only if no other header is between. */
    SET(HASH, 0),
    MIX_WORD(HEADER, 8),
    MIX_WORD(HEADER, 12),
    MIX_WORD(HEADER, 16),
    MIX_WORD(HEADER, 20),
    MIX_WORD(HEADER, 24),
    MIX_WORD(HEADER, 28),
    MIX_WORD(HEADER, 32),
    MIX_WORD(HEADER, 36),
    LOAD_AT(BPF_B, HEADER, 6),
    MOVE(PROTOCOL, FOUND),
    WITH_NUMBER(BPF_ADD, HEADER, 40),
    /* Ports of TCP, UDP, SCTP. */
    JUMP_IF(BPF_JEQ, PROTOCOL, 6, 2),
    JUMP_IF(BPF_JEQ, PROTOCOL, 17, 1),
    JUMP_IF(BPF_JNE, PROTOCOL, 132, 6),
    LOAD_AT(BPF_W, HEADER, 0),
    MOVE(HEADER, FOUND),
    WITH_NUMBER(BPF_RSH, HEADER, 16),
    WITH(BPF_XOR, HEADER, FOUND),
    WITH_NUMBER(BPF_AND, HEADER, 0xffff),
    WITH(BPF_XOR, HASH, HEADER),

    /* The middle of the product depends on all 16 bits that the sum is folded to. */
    WITH(BPF_XOR, HASH, PROTOCOL),
    MOVE(FOUND, HASH),
    WITH_NUMBER(BPF_RSH, FOUND, 16),
    WITH(BPF_XOR, FOUND, HASH),
    WITH_NUMBER(BPF_AND, FOUND, 0xffff),
    WITH_NUMBER(BPF_MUL, FOUND, 0x3779b1),
    WITH_NUMBER(BPF_RSH, FOUND, 12),
    WITH_NUMBER(BPF_AND, FOUND, 0xffff),
    END,
};

int tap_steering_set(int fd) {
  union bpf_attr load;
  memset(&load, 0, sizeof load);
  load.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  load.insns = (uint64_t)(uintptr_t)program;
  load.insn_cnt = sizeof program / sizeof *program;
  load.license = (uint64_t)(uintptr_t)"Dual MIT/GPL";
  int steering = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  if (steering < 0) return -errno;
  int result = ioctl(fd, TUNSETSTEERINGEBPF, &steering) == 0 ? 0 : -errno;
  /* The device holds on to the program. */
  close(steering);
  return result;
}

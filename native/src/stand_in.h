/*
 * Waits for packets in the event loop's place, as long as the loop has nothing else to do: from a callback back through
 * libuv and Node's handles to the next one is a longer way than that of a packet.
 */
#ifndef WEAVE_STAND_IN_H
#define WEAVE_STAND_IN_H

#include <stdint.h>

struct uv_loop_s;

typedef struct {
  struct uv_loop_s *loop;
  /* Of the descriptors and of the loop itself; -1 = the loop is never stood in for. */
  int epoll;
} stand_in;

#define READY_SOCKET 1
#define READY_TAP 2

/* Without a descriptor to spare there is no stand-in, which costs speed, not function. */
void stand_in_begin(stand_in *self, struct uv_loop_s *loop);

/* Waits for `fd`, too, until that is closed; `ready` is its bit. */
void stand_in_watch(stand_in *self, int fd, uint32_t ready);

/*
 * To be called from a callback of the loop. Returns the bits of what is readable, or 0: the loop is wanted, for a timer, a
 * message, an error, anything but packets. While packets go on arriving, others than they are not always noticed.
 */
uint32_t stand_in_wait(const stand_in *self);

void stand_in_end(stand_in *self);

#endif

/*
 * Waits for packets in the event loop's place, as long as the loop has nothing else to do: from a callback back through
 * libuv and Node's handles to the next one is a longer way than that of a packet.
 */
#ifndef WEAVE_STAND_IN_H
#define WEAVE_STAND_IN_H

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;

/* The descriptors that the loop watches for an engine; -1 = it has none. */
typedef struct {
  struct uv_loop_s *loop;
  int socket;
  int tap;
  /* Whether it has been looked whether the loop can be stood in for, and it cannot. */
  bool looked;
  bool unable;
} stand_in;

#define READY_SOCKET 1
#define READY_TAP 2

/*
 * To be called from a callback of the loop. Returns the bits of what is readable, or 0: the loop is wanted, for a timer, a
 * message, an error, anything but these descriptors.
 */
uint32_t stand_in_wait(stand_in *self);

#endif

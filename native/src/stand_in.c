#include "stand_in.h"

#include <sys/epoll.h>
#include <uv.h>

/* More than socket and TAP, so that whatever else there is shows. */
#define EVENTS 4

static uint32_t bit_of(const stand_in *self, const struct epoll_event *event) {
  if (event->events != EPOLLIN) return 0;
  if (event->data.fd == self->socket) return READY_SOCKET;
  return event->data.fd == self->tap ? READY_TAP : 0;
}

/*
 * libuv's own epoll descriptor is asked, whose events carry their descriptor: they are level-triggered, so what is not
 * taken here libuv finds again. A descriptor of ours that watched it, too, would be woken twice for each packet.
 */
uint32_t stand_in_wait(const stand_in *self) {
  uv_update_time(self->loop);
  /* 0 also while the loop has anything to begin or to end. */
  int patience = uv_backend_timeout(self->loop);
  if (patience == 0) return 0;
  struct epoll_event events[EVENTS];
  int count = epoll_wait(uv_backend_fd(self->loop), events, EVENTS, patience);
  uint32_t ready = 0;
  for (int i = 0; i < count; i++) {
    uint32_t bit = bit_of(self, &events[i]);
    if (bit == 0) return 0;
    ready |= bit;
  }
  return ready;
}

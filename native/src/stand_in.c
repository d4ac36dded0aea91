#include "stand_in.h"

#include <stdio.h>
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
 * Whether any event of the epoll descriptor is edge-triggered, and would be found once: by whoever asks first. So libuv
 * 1.49.0 and 1.49.1 (Node 22.12) learn of messages from other threads, and later ones may. The kernel tells
 * (proc_pid_fdinfo(5)); if it does not, the worst is assumed.
 */
static bool has_edges(int epoll) {
  char text[128];
  snprintf(text, sizeof text, "/proc/self/fdinfo/%d", epoll);
  FILE *info = fopen(text, "re");
  if (info == NULL) return true;
  unsigned events = 0;
  while ((events & EPOLLET) == 0 && fgets(text, sizeof text, info) != NULL) sscanf(text, "tfd: %*d events: %x", &events);
  fclose(info);
  return (events & EPOLLET) != 0;
}

/* Not before a callback of the loop: only then has it registered what it watches for itself. */
static bool is_able(stand_in *self) {
  if (!self->looked) self->unable = has_edges(uv_backend_fd(self->loop));
  self->looked = true;
  return !self->unable;
}

/*
 * libuv's own epoll descriptor is asked, whose events carry their descriptor: they are level-triggered, so what is not
 * taken here libuv finds again. A descriptor of ours that watched it, too, would be woken twice for each packet.
 */
uint32_t stand_in_wait(stand_in *self) {
  if (!is_able(self)) return 0;
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

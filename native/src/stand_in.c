#include "stand_in.h"

#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

/* The bits of the loop: none. */
#define READY_LOOP 0
/* Socket, TAP and the loop. */
#define MEMBERS 3

static bool add(int epoll, int fd, uint32_t ready) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = ready};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void stand_in_begin(stand_in *self, struct uv_loop_s *loop) {
  *self = (stand_in){.loop = loop, .epoll = epoll_create1(EPOLL_CLOEXEC)};
  if (self->epoll >= 0 && !add(self->epoll, uv_backend_fd(loop), READY_LOOP)) stand_in_end(self);
}

void stand_in_watch(stand_in *self, int fd, uint32_t ready) {
  if (self->epoll >= 0 && !add(self->epoll, fd, ready)) stand_in_end(self);
}

uint32_t stand_in_wait(const stand_in *self) {
  if (self->epoll < 0) return 0;
  uv_update_time(self->loop);
  /* 0 also while the loop has anything to begin or to end. */
  int patience = uv_backend_timeout(self->loop);
  if (patience == 0) return 0;
  struct epoll_event events[MEMBERS];
  int count = epoll_wait(self->epoll, events, MEMBERS, patience);
  uint32_t ready = 0;
  for (int i = 0; i < count; i++) {
    if (events[i].events != EPOLLIN) return 0;
    ready |= events[i].data.u32;
  }
  return ready;
}

void stand_in_end(stand_in *self) {
  if (self->epoll >= 0) close(self->epoll);
  self->epoll = -1;
}

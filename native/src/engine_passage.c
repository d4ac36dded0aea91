/* What the event loop calls when packets are there: those that decisions are there for go by these. */
#include "engine.h"

/* After so many the loop has its turn whatever comes: in a flood the stand-in does not see what else waits. */
#define STAY_DATAGRAMS 1024

static bool stay(engine *self);
static void take_frames(engine *self);
static void take_datagrams(engine *self);
static bool wants_javascript(const engine *self);

bool engine_on_tap(void *context) {
  take_frames(context);
  return stay(context);
}

bool engine_on_socket(void *context) {
  take_datagrams(context);
  return stay(context);
}

static bool stay(engine *self) {
  uint32_t began = self->moved;
  while (!wants_javascript(self)) {
    uint32_t ready = self->moved - began < STAY_DATAGRAMS ? stand_in_wait(&self->stand_in) : 0;
    if (ready == 0) return false;
    self->moved++;
    if ((ready & READY_TAP) != 0) take_frames(self);
    if ((ready & READY_SOCKET) != 0) take_datagrams(self);
  }
  return true;
}

static void take_frames(engine *self) {
  if (!self->frames_held) engine_fill_frames(self);
}

static void take_datagrams(engine *self) {
  if (self->messages_held) return;
  self->wrote = false;
  engine_fill_messages(self);
  /* The host answers within the write as often as not. */
  if (self->wrote) take_frames(self);
}

static bool wants_javascript(const engine *self) {
  return self->frames_held || self->messages_held || self->log.urgent || self->tap_broken || self->socket_broken;
}

/* What the event loop calls when packets are there: those that decisions are there for go by these. */
#include "engine.h"

/* After so many the loop has its turn, for timers that became due meanwhile. */
#define STAY_DATAGRAMS 1024

/* JavaScript hears of drops alone so often, however many there are: a flood of what is dropped is not one of calls. */
#define DROPS_TOLD_MS 1000

static void take_ready(engine *self, uint32_t ready);
static void take_frames(engine *self);
static bool wants_javascript(const engine *self);

bool engine_on_ready(void *context, uint32_t ready) {
  engine *self = context;
  uint32_t began = self->moved;
  /* JavaScript was here and left something for later. */
  if (ready == 0 && wants_javascript(self)) return false;
  take_ready(self, ready);
  while (!wants_javascript(self)) {
    if (self->moved - began >= STAY_DATAGRAMS) return false;
    uint32_t next = stand_in_wait(&self->stand_in);
    if (next == 0) return false;
    self->moved++;
    take_ready(self, next);
  }
  return true;
}

static void take_ready(engine *self, uint32_t ready) {
  if ((ready & READY_TAP) != 0) take_frames(self);
  if ((ready & READY_SOCKET) == 0 || self->messages_held) return;
  self->wrote = false;
  engine_fill_messages(self);
  /* The host answers within the write as often as not. */
  if (self->wrote) take_frames(self);
}

static void take_frames(engine *self) {
  if (!self->frames_held) engine_fill_frames(self);
}

static bool wants_javascript(const engine *self) {
  bool held = self->frames_held || self->messages_held;
  bool told = !self->log.dropped || self->now < self->drained_at + DROPS_TOLD_MS;
  return held || !told || self->log.urgent || self->tap_broken || self->socket_broken;
}

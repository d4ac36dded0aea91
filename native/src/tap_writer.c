#include "tap_writer.h"

#include "tap_device.h"

static void note_result(tap_writer *self, tap_write_result result, uint32_t frames) {
  if (result == TAP_WRITE_GONE) self->gone = true;
  if (result == TAP_REFUSED) self->refused += frames;
  else if (result != TAP_WRITTEN) self->crowded_out += frames;
}

/* A frame that does not continue the open one ends it, so that frames keep their order. */
void tap_writer_add(tap_writer *self, int fd, const uint8_t *frame, uint32_t length, uint8_t flags) {
  if (join_add(&self->joiner, frame, length, flags)) return;
  tap_writer_end(self, fd);
  if (join_begin(&self->joiner, frame, length, flags)) return;
  note_result(self, tap_device_write(fd, frame, length, flags), 1);
}

void tap_writer_end(tap_writer *self, int fd) {
  uint32_t frames = self->joiner.count;
  if (frames == 0) return;
  int parts;
  const struct iovec *whole = join_take(&self->joiner, &parts);
  note_result(self, tap_device_write_parts(fd, whole, parts), frames);
}

#include "tap_writer.h"

#include "tap_device.h"

static void write_singly(tap_writer *self, int fd, uint32_t frames);

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
  joiner *open = &self->joiner;
  uint32_t frames = open->count;
  if (frames == 0) return;
  int parts;
  const struct iovec *whole = join_take(open, &parts);
  tap_write_result result = tap_device_write_parts(fd, whole, parts);
  if (result == TAP_REFUSED && frames > 1 && open->layout.protocol == PROTOCOL_UDP) write_singly(self, fd, frames);
  else note_result(self, result, frames);
}

/* Kernels before 6.2 do not know joined datagrams: they get them one by one, and none joined from then on. */
static void write_singly(tap_writer *self, int fd, uint32_t frames) {
  uint32_t headers = self->joiner.layout.payload;
  self->joiner.tcp_only = true;
  for (uint32_t i = 0; i < frames; i++) {
    const struct iovec *payload = &self->joiner.parts[2 + i];
    const uint8_t *frame = (const uint8_t *)payload->iov_base - headers;
    note_result(self, tap_device_write(fd, frame, headers + payload->iov_len, FLAG_CHECKSUM_PARTIAL), 1);
  }
}

/* The TAP for JavaScript. */
#include "tap_module.h"

#include "frame_layout.h"
#include "glue.h"
#include "tap_device.h"
#include "tap_writer.h"
#include "watcher.h"

#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
  int fd;
  watcher *watch;
  bool broken;
  tap_writer writer;
} tap;

/* What became of frames that were not read or written: in the order of `tapDrops` in router/engine/addon.ts. */
typedef enum { REFUSED_MALFORMED, REFUSED_TOO_LONG, REFUSED_QUEUE_FULL, REFUSALS } refusal;

static void throw_step(napi_env env, const char *name, const char *step, int error) {
  char what[96];
  snprintf(what, sizeof what, "TAP %s: cannot %s", name, step);
  glue_throw_errno(env, what, error);
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  tap *self = data;
  watcher_stop(&self->watch);
  free(self);
}

/* tapOpen(name, superFrames, onReadable): handle. Makes the device if need be; it stays when the handle is closed. */
static napi_value tap_open(napi_env env, napi_callback_info info) {
  napi_value arguments[3], handle;
  char name[IFNAMSIZ];
  const char *step = "";
  glue_arguments(env, info, 3, arguments);
  if (!glue_text(env, arguments[0], name, sizeof name)) return NULL;
  int fd = tap_device_open(name, glue_boolean(env, arguments[1]), &step);
  if (fd < 0) {
    throw_step(env, name, step, -fd);
    return NULL;
  }
  tap *self = calloc(1, sizeof *self);
  if (self == NULL) {
    close(fd);
    MUST(napi_throw_error(env, "ENOMEM", "No memory is left for the TAP."));
    return NULL;
  }
  self->fd = fd;
  if (!watcher_start(env, fd, arguments[2], &self->watch, &self->broken)) {
    free(self);
    MUST(napi_throw_error(env, NULL, "The event loop does not take the TAP."));
    return NULL;
  }
  MUST(napi_create_external(env, self, finalize, NULL, &handle));
  return handle;
}

/* tapClose(handle): the device and its place in a bridge stay. */
static napi_value tap_close(napi_env env, napi_callback_info info) {
  napi_value argument;
  glue_arguments(env, info, 1, &argument);
  tap *self = glue_pointer(env, argument);
  if (self == NULL) return NULL;
  watcher_stop(&self->watch);
  return glue_undefined(env);
}

/* tapDelete(name): removes the device, if there is one. */
static napi_value tap_delete(napi_env env, napi_callback_info info) {
  napi_value argument;
  char name[IFNAMSIZ];
  const char *step = "";
  glue_arguments(env, info, 1, &argument);
  if (!glue_text(env, argument, name, sizeof name)) return NULL;
  int result = tap_device_delete(name, &step);
  if (result < 0) throw_step(env, name, step, -result);
  return glue_undefined(env);
}

/*
 * tapRead(handle, data, offsets, lengths, segments, flags, refused): number of frames, or -1 if the device is gone.
 * Stops when the arrays are full, `data` has no room for the longest frame, or there is enough to send. Frames that cannot
 * be described are added to `refused`.
 */
static napi_value tap_read(napi_env env, napi_callback_info info) {
  napi_value arguments[7];
  size_t room = 0, capacity = 0, refused_bytes = 0, bytes;
  glue_arguments(env, info, 7, arguments);
  tap *self = glue_pointer(env, arguments[0]);
  if (self == NULL) return NULL;
  uint8_t *data = glue_array(env, arguments[1], &room);
  uint32_t *offsets = glue_array(env, arguments[2], &bytes);
  uint32_t *lengths = glue_array(env, arguments[3], &bytes);
  uint32_t *segments = glue_array(env, arguments[4], &bytes);
  uint8_t *flags = glue_array(env, arguments[5], &capacity);
  uint32_t *refused = glue_array(env, arguments[6], &refused_bytes);
  if (data == NULL || offsets == NULL || lengths == NULL || segments == NULL || flags == NULL) return NULL;
  if (refused == NULL || refused_bytes < REFUSALS * sizeof *refused) return NULL;
  uint32_t count = 0, datagrams = 0;
  size_t used = 0;
  for (size_t tries = 0; tries < capacity && datagrams < READ_DATAGRAMS; tries++) {
    if (self->watch == NULL || room - used < TAP_HEADER + LONGEST_FRAME) break;
    tap_frame frame;
    tap_read_result result = tap_device_read(self->fd, data + used, &frame);
    if (result == TAP_GONE) return glue_number(env, -1);
    if (result == TAP_EMPTY) break;
    if (result == TAP_MALFORMED) {
      refused[REFUSED_MALFORMED]++;
      continue;
    }
    datagrams += frame.segments;
    offsets[count] = (uint32_t)(used + TAP_HEADER);
    lengths[count] = frame.length;
    segments[count] = frame.segment;
    flags[count] = frame.flags;
    used += TAP_HEADER + frame.length;
    count++;
  }
  return glue_number(env, self->broken && count == 0 ? -1 : (double)count);
}

/* Nothing is open any more afterwards: the bytes of the frames are the caller's again. */
static void finish_writes(tap *self, uint32_t *refused) {
  tap_writer *writer = &self->writer;
  tap_writer_end(writer, self->fd);
  self->broken |= writer->gone;
  refused[REFUSED_MALFORMED] += writer->refused;
  refused[REFUSED_QUEUE_FULL] += writer->crowded_out;
  writer->gone = false;
  writer->refused = writer->crowded_out = 0;
}

/*
 * tapWriteFrames(handle, data, first, end, offsets, lengths, flags, refused): 1 if the device is gone, else 0. Entries that
 * continue one another are written as one super-frame. What is not written is added to `refused` by reason.
 */
static napi_value tap_write_frames(napi_env env, napi_callback_info info) {
  napi_value arguments[8];
  size_t room = 0, offset_bytes = 0, length_bytes = 0, flag_bytes = 0, refused_bytes = 0;
  glue_arguments(env, info, 8, arguments);
  tap *self = glue_pointer(env, arguments[0]);
  if (self == NULL) return NULL;
  const uint8_t *data = glue_array(env, arguments[1], &room);
  uint32_t first = glue_uint32(env, arguments[2]), end = glue_uint32(env, arguments[3]);
  const uint32_t *offsets = glue_array(env, arguments[4], &offset_bytes);
  const uint32_t *lengths = glue_array(env, arguments[5], &length_bytes);
  const uint8_t *flags = glue_array(env, arguments[6], &flag_bytes);
  uint32_t *refused = glue_array(env, arguments[7], &refused_bytes);
  if (data == NULL || offsets == NULL || lengths == NULL || flags == NULL || refused == NULL) return NULL;
  size_t count = offset_bytes / sizeof *offsets;
  if (end > count || length_bytes != offset_bytes || flag_bytes != count || refused_bytes < REFUSALS * sizeof *refused) {
    MUST(napi_throw_range_error(env, NULL, "A plan is shorter than its count."));
    return NULL;
  }
  for (uint32_t i = first; i < end; i++) {
    if (offsets[i] > room || lengths[i] > room - offsets[i] || lengths[i] < ETHERNET_HEADER)
      refused[REFUSED_MALFORMED]++;
    else if (lengths[i] > LONGEST_FRAME) refused[REFUSED_TOO_LONG]++;
    else if (self->watch == NULL) refused[REFUSED_QUEUE_FULL]++;
    else tap_writer_add(&self->writer, self->fd, data + offsets[i], lengths[i], flags[i]);
  }
  finish_writes(self, refused);
  return glue_number(env, self->broken ? 1 : 0);
}

void tap_register(napi_env env, napi_value exports) {
  glue_export(env, exports, "tapOpen", tap_open);
  glue_export(env, exports, "tapClose", tap_close);
  glue_export(env, exports, "tapDelete", tap_delete);
  glue_export(env, exports, "tapRead", tap_read);
  glue_export(env, exports, "tapWriteFrames", tap_write_frames);
}

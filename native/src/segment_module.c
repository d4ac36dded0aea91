/* Cutting and joining over plain buffers, so that they can be held against a slow oracle. */
#include "segment_module.h"

#include "cut.h"
#include "glue.h"
#include "join.h"

#include <string.h>

/* cutFrame(frame, segment, out, lengths): number of frames written to `out` one after another, or -1: not cut. */
static napi_value cut_frame(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  size_t length = 0, room = 0, capacity = 0, used = 0;
  glue_arguments(env, info, 4, arguments);
  const uint8_t *frame = glue_array(env, arguments[0], &length);
  uint8_t *out = glue_array(env, arguments[2], &room);
  uint32_t *lengths = glue_array(env, arguments[3], &capacity);
  cutter cut;
  if (frame == NULL || out == NULL || lengths == NULL) return NULL;
  if (!cut_begin(&cut, frame, (uint32_t)length, glue_uint32(env, arguments[1]))) return glue_number(env, -1);
  uint32_t count = 0;
  for (uint32_t next = cut_next_length(&cut); next > 0; next = cut_next_length(&cut)) {
    if (used + next > room || (count + 1) * sizeof *lengths > capacity) return glue_number(env, -1);
    cut_next(&cut, out + used);
    used += next;
    lengths[count++] = next;
  }
  return glue_number(env, count);
}

/*
 * joinFrames(data, lengths, flags, out): how many of the frames that lie in `data` one after another make up the first
 * frame that is written to the host; 0 if the first cannot be joined. `out` gets it, the virtio-net header first.
 */
static napi_value join_frames(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  size_t room = 0, bytes = 0, count = 0, out_room = 0;
  glue_arguments(env, info, 4, arguments);
  const uint8_t *data = glue_array(env, arguments[0], &room);
  const uint32_t *lengths = glue_array(env, arguments[1], &bytes);
  const uint8_t *flags = glue_array(env, arguments[2], &count);
  uint8_t *out = glue_array(env, arguments[3], &out_room);
  if (data == NULL || lengths == NULL || flags == NULL || out == NULL) return NULL;
  joiner self = {0};
  uint32_t joined = 0;
  for (size_t at = 0; joined < count && joined < bytes / sizeof *lengths; at += lengths[joined++]) {
    uint32_t length = lengths[joined];
    if (length > room - at) break;
    bool taken = joined == 0 ? join_begin(&self, data, length, flags[0])
                             : join_add(&self, data + at, length, flags[joined]);
    if (!taken) break;
  }
  if (joined == 0) return glue_number(env, 0);
  int parts;
  const struct iovec *whole = join_take(&self, &parts);
  size_t used = 0;
  for (int i = 0; i < parts && whole[i].iov_len <= out_room - used; used += whole[i++].iov_len) {
    memcpy(out + used, whole[i].iov_base, whole[i].iov_len);
  }
  return glue_number(env, joined);
}

void segment_register(napi_env env, napi_value exports) {
  glue_export(env, exports, "cutFrame", cut_frame);
  glue_export(env, exports, "joinFrames", join_frames);
}

/* The batches and plans of the engine port for JavaScript. */
#include "engine_handle.h"

#include "glue.h"

/* The elements of a plan's array, which has `count` of them at least; null with an exception pending otherwise. */
static void *elements(napi_env env, napi_value value, size_t count, size_t size) {
  size_t bytes = 0;
  void *data = glue_array(env, value, &bytes);
  if (data == NULL || bytes >= count * size) return data;
  MUST(napi_throw_range_error(env, NULL, "A plan is shorter than its count."));
  return NULL;
}

/* engineReadFrames(handle): number of frames in the arrays. */
static napi_value read_frames(napi_env env, napi_callback_info info) {
  napi_value argument;
  engine *self = engine_arguments(env, info, 1, &argument);
  if (self == NULL) return NULL;
  engine_read_frames(self);
  return glue_number(env, self->frames.count);
}

/* engineAdoptFrames(handle, count): JavaScript has put frames into the arrays, in place of those that were read. */
static napi_value adopt_frames(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  engine *self = engine_arguments(env, info, 2, arguments);
  if (self == NULL) return NULL;
  if (self->frames_held) {
    MUST(napi_throw_error(env, NULL, "Frames that were read ahead wait: read them before others are adopted."));
    return NULL;
  }
  uint32_t count = glue_uint32(env, arguments[1]);
  self->frames.count = count < FRAME_CAPACITY ? count : FRAME_CAPACITY;
  return glue_undefined(env);
}

/* engineReceive(handle): number of messages in the arrays. */
static napi_value receive(napi_env env, napi_callback_info info) {
  napi_value argument;
  engine *self = engine_arguments(env, info, 1, &argument);
  if (self == NULL) return NULL;
  engine_receive(self);
  return glue_number(env, self->messages.count);
}

/* engineSend(handle, count, source, item, offset, length, prefixes, prefixLength, session, path, plain, repeat, scratch) */
static napi_value send_messages(napi_env env, napi_callback_info info) {
  napi_value a[13];
  engine *self = engine_arguments(env, info, 13, a);
  if (self == NULL) return NULL;
  uint32_t n = glue_uint32(env, a[1]);
  send_plan plan = {.count = n};
  bool complete = (plan.source = elements(env, a[2], n, 1)) != NULL &&
                  (plan.item = elements(env, a[3], n, 4)) != NULL &&
                  (plan.offset = elements(env, a[4], n, 4)) != NULL &&
                  (plan.length = elements(env, a[5], n, 4)) != NULL &&
                  (plan.prefixes = elements(env, a[6], n, PREFIX_STRIDE)) != NULL &&
                  (plan.prefix_length = elements(env, a[7], n, 1)) != NULL &&
                  (plan.session = elements(env, a[8], n, 4)) != NULL &&
                  (plan.path = elements(env, a[9], n, 4)) != NULL &&
                  (plan.plain = elements(env, a[10], n, 1)) != NULL &&
                  (plan.repeat = elements(env, a[11], n, 4)) != NULL;
  if (!complete) return NULL;
  plan.scratch = glue_array(env, a[12], &plan.scratch_bytes);
  engine_send(self, &plan);
  return glue_undefined(env);
}

/* engineWriteFrames(handle, count, source, item, offset, length, flags, repeat, scratch) */
static napi_value write_frames(napi_env env, napi_callback_info info) {
  napi_value a[9];
  engine *self = engine_arguments(env, info, 9, a);
  if (self == NULL) return NULL;
  uint32_t n = glue_uint32(env, a[1]);
  write_plan plan = {.count = n};
  bool complete = (plan.source = elements(env, a[2], n, 1)) != NULL &&
                  (plan.item = elements(env, a[3], n, 4)) != NULL &&
                  (plan.offset = elements(env, a[4], n, 4)) != NULL &&
                  (plan.length = elements(env, a[5], n, 4)) != NULL &&
                  (plan.flags = elements(env, a[6], n, 1)) != NULL &&
                  (plan.repeat = elements(env, a[7], n, 1)) != NULL;
  if (!complete) return NULL;
  plan.scratch = glue_array(env, a[8], &plan.scratch_bytes);
  engine_write_frames(self, &plan);
  return glue_undefined(env);
}

void engine_register_plans(napi_env env, napi_value exports) {
  glue_export(env, exports, "engineReadFrames", read_frames);
  glue_export(env, exports, "engineAdoptFrames", adopt_frames);
  glue_export(env, exports, "engineReceive", receive);
  glue_export(env, exports, "engineSend", send_messages);
  glue_export(env, exports, "engineWriteFrames", write_frames);
}

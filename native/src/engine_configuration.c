/* The changes of the engine port for JavaScript: one function for each. */
#include "engine_handle.h"

#include "glue.h"

#include <string.h>

/* A change may be one of what was decided: nothing is repeated that was decided before it. */
static engine *changed_engine(napi_env env, napi_callback_info info, size_t count, napi_value *out) {
  engine *self = engine_arguments(env, info, count, out);
  if (self == NULL) return NULL;
  flow_forget_all(&self->outgoing);
  flow_forget_all(&self->incoming);
  return self;
}

static napi_value finish(napi_env env, state_result result) {
  static const char *const messages[] = {
      [STATE_THERE_ALREADY] = "It is there already.",
      [STATE_NOT_THERE] = "The session is not there.",
      [STATE_NO_MEMORY] = "No memory is left.",
  };
  if (result == STATE_CHANGED) return glue_undefined(env);
  MUST(napi_throw_error(env, NULL, messages[result]));
  return NULL;
}

/* The bytes of an argument, which must be just so many; null with an exception pending otherwise. */
static const uint8_t *bytes_of(napi_env env, napi_value value, size_t wanted) {
  size_t bytes = 0;
  const uint8_t *data = glue_array(env, value, &bytes);
  if (data == NULL || bytes == wanted) return data;
  MUST(napi_throw_range_error(env, NULL, "Keys have 32 bytes, cookies 16, endpoints 18."));
  return NULL;
}

/* engineAddSession(handle, session, sendCookie?, receiveCookie?) */
static napi_value add_session(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  engine *self = changed_engine(env, info, 4, arguments);
  if (self == NULL) return NULL;
  uint32_t number = glue_uint32(env, arguments[1]);
  if (glue_is_undefined(env, arguments[2])) return finish(env, state_add_session(&self->state, number, NULL, NULL));
  const uint8_t *send = bytes_of(env, arguments[2], COOKIE_BYTES);
  const uint8_t *receive = send == NULL ? NULL : bytes_of(env, arguments[3], COOKIE_BYTES);
  if (receive == NULL) return NULL;
  return finish(env, state_add_session(&self->state, number, send, receive));
}

/* engineRemoveSession(handle, session) */
static napi_value remove_session(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  engine *self = changed_engine(env, info, 2, arguments);
  if (self == NULL) return NULL;
  state_remove_session(&self->state, glue_uint32(env, arguments[1]));
  return glue_undefined(env);
}

/* engineAddKey(handle, session, phase, send, receive) */
static napi_value add_key(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  engine *self = changed_engine(env, info, 5, arguments);
  if (self == NULL) return NULL;
  const uint8_t *send = bytes_of(env, arguments[3], AEAD_KEY);
  const uint8_t *receive = send == NULL ? NULL : bytes_of(env, arguments[4], AEAD_KEY);
  if (receive == NULL) return NULL;
  uint8_t phase = (uint8_t)glue_uint32(env, arguments[2]);
  return finish(env, state_add_key(&self->state, glue_uint32(env, arguments[1]), phase, send, receive));
}

/* engineRemoveKey(handle, session, phase) */
static napi_value remove_key(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  engine *self = changed_engine(env, info, 3, arguments);
  if (self == NULL) return NULL;
  state_remove_key(&self->state, glue_uint32(env, arguments[1]), (uint8_t)glue_uint32(env, arguments[2]));
  return glue_undefined(env);
}

/* engineSetSendPhase(handle, session, phase) */
static napi_value set_send_phase(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  engine *self = changed_engine(env, info, 3, arguments);
  if (self == NULL) return NULL;
  uint8_t phase = (uint8_t)glue_uint32(env, arguments[2]);
  return finish(env, state_set_send_phase(&self->state, glue_uint32(env, arguments[1]), phase));
}

/* engineSetDirect(handle, session, endpoint?) */
static napi_value set_direct(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  engine *self = changed_engine(env, info, 3, arguments);
  if (self == NULL) return NULL;
  uint32_t number = glue_uint32(env, arguments[1]);
  if (glue_is_undefined(env, arguments[2])) return finish(env, state_set_direct(&self->state, number, NULL));
  const uint8_t *bytes = bytes_of(env, arguments[2], ENDPOINT_BYTES);
  if (bytes == NULL) return NULL;
  endpoint direct;
  memcpy(direct.bytes, bytes, ENDPOINT_BYTES);
  return finish(env, state_set_direct(&self->state, number, &direct));
}

/* engineAddIndex(handle, index, session, tag, roams) */
static napi_value add_index(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  engine *self = changed_engine(env, info, 5, arguments);
  if (self == NULL) return NULL;
  return finish(env, state_add_index(&self->state, glue_uint32(env, arguments[1]), glue_uint32(env, arguments[2]),
                                     glue_uint32(env, arguments[3]), glue_boolean(env, arguments[4])));
}

/* engineRemoveIndex(handle, index) */
static napi_value remove_index(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  engine *self = changed_engine(env, info, 2, arguments);
  if (self == NULL) return NULL;
  state_remove_index(&self->state, glue_uint32(env, arguments[1]));
  return glue_undefined(env);
}

/* engineSetPath(handle, path, endpoint, sendIndex) */
static napi_value set_path(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  engine *self = changed_engine(env, info, 4, arguments);
  const uint8_t *bytes = self == NULL ? NULL : bytes_of(env, arguments[2], ENDPOINT_BYTES);
  if (bytes == NULL) return NULL;
  endpoint to;
  memcpy(to.bytes, bytes, ENDPOINT_BYTES);
  return finish(env, state_set_path(&self->state, glue_uint32(env, arguments[1]), &to,
                                    glue_uint32(env, arguments[3]), self->family));
}

/* engineRemovePath(handle, path) */
static napi_value remove_path(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  engine *self = changed_engine(env, info, 2, arguments);
  if (self == NULL) return NULL;
  state_remove_path(&self->state, glue_uint32(env, arguments[1]));
  return glue_undefined(env);
}

/* engineSetLabel(handle, index, from, to, nextIndex) */
static napi_value set_label(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  engine *self = changed_engine(env, info, 5, arguments);
  if (self == NULL) return NULL;
  label value = {
      .index = glue_uint32(env, arguments[1]),
      .from = glue_uint32(env, arguments[2]),
      .to = glue_uint32(env, arguments[3]),
      .next_index = glue_uint32(env, arguments[4]),
  };
  return finish(env, state_set_label(&self->state, value));
}

/* engineRemoveLabel(handle, index) */
static napi_value remove_label(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  engine *self = changed_engine(env, info, 2, arguments);
  if (self == NULL) return NULL;
  state_remove_label(&self->state, glue_uint32(env, arguments[1]));
  return glue_undefined(env);
}

/* engineForget(handle): what was decided, and nothing else. */
static napi_value forget(napi_env env, napi_callback_info info) {
  napi_value argument;
  return changed_engine(env, info, 1, &argument) == NULL ? NULL : glue_undefined(env);
}

void engine_register_configuration(napi_env env, napi_value exports) {
  glue_export(env, exports, "engineAddSession", add_session);
  glue_export(env, exports, "engineRemoveSession", remove_session);
  glue_export(env, exports, "engineAddKey", add_key);
  glue_export(env, exports, "engineRemoveKey", remove_key);
  glue_export(env, exports, "engineSetSendPhase", set_send_phase);
  glue_export(env, exports, "engineSetDirect", set_direct);
  glue_export(env, exports, "engineAddIndex", add_index);
  glue_export(env, exports, "engineRemoveIndex", remove_index);
  glue_export(env, exports, "engineSetPath", set_path);
  glue_export(env, exports, "engineRemovePath", remove_path);
  glue_export(env, exports, "engineSetLabel", set_label);
  glue_export(env, exports, "engineRemoveLabel", remove_label);
  glue_export(env, exports, "engineForget", forget);
}

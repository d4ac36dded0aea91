#include "glue.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

void glue_must(napi_status status, const char *file, int line) {
  if (status == napi_ok || status == napi_pending_exception || status == napi_cannot_run_js) return;
  char text[160];
  snprintf(text, sizeof text, "%s:%d: Node-API status %d", file, line, (int)status);
  napi_fatal_error("weave_ts", NAPI_AUTO_LENGTH, text, NAPI_AUTO_LENGTH);
}

void glue_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *out) {
  MUST(napi_get_cb_info(env, info, &count, out, NULL, NULL));
}

bool glue_text(napi_env env, napi_value value, char *out, size_t room) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) == napi_ok && length < room) {
    MUST(napi_get_value_string_utf8(env, value, out, room, &length));
    /* A zero byte within would name another file or device than the caller checked. */
    if (strlen(out) == length) return true;
  }
  MUST(napi_throw_type_error(env, NULL, "A text is missing, too long or holds a zero byte."));
  return false;
}

/* Where an empty array points. */
static uint32_t no_bytes;

void *glue_array(napi_env env, napi_value value, size_t *bytes) {
  napi_typedarray_type type;
  size_t length = 0;
  void *data = NULL;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, NULL, NULL) != napi_ok) {
    MUST(napi_throw_type_error(env, NULL, "A typed array is missing."));
    return NULL;
  }
  *bytes = length * (type == napi_uint32_array ? sizeof(uint32_t) : 1);
  return data == NULL ? &no_bytes : data;
}

bool glue_property(napi_env env, napi_value object, const char *name, napi_value *out) {
  napi_status status = napi_get_named_property(env, object, name, out);
  if (status == napi_object_expected) MUST(napi_throw_type_error(env, NULL, "An object is missing."));
  return status == napi_ok;
}

void *glue_pointer(napi_env env, napi_value value) {
  void *pointer = NULL;
  if (napi_get_value_external(env, value, &pointer) == napi_ok && pointer != NULL) return pointer;
  MUST(napi_throw_type_error(env, NULL, "A handle is missing."));
  return NULL;
}

uint32_t glue_uint32(napi_env env, napi_value value) {
  uint32_t number = 0;
  napi_get_value_uint32(env, value, &number);
  return number;
}

bool glue_boolean(napi_env env, napi_value value) {
  bool boolean = false;
  napi_get_value_bool(env, value, &boolean);
  return boolean;
}

bool glue_is_undefined(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  MUST(napi_typeof(env, value, &type));
  return type == napi_undefined;
}

napi_value glue_number(napi_env env, double value) {
  napi_value number = NULL;
  MUST(napi_create_double(env, value, &number));
  return number;
}

napi_value glue_undefined(napi_env env) {
  napi_value undefined = NULL;
  MUST(napi_get_undefined(env, &undefined));
  return undefined;
}

void glue_throw_errno(napi_env env, const char *what, int error) {
  char text[256];
  snprintf(text, sizeof text, "%s: %s", what, strerror(error));
  MUST(napi_throw_error(env, uv_err_name(-error), text));
}

void glue_export(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value = NULL;
  MUST(napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value));
  MUST(napi_set_named_property(env, exports, name, value));
}

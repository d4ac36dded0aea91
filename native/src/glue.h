/* Between C and Node-API: arguments in, errors out. */
#ifndef WEAVE_GLUE_H
#define WEAVE_GLUE_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A Node-API call that fails only by a bug of ours, or when no memory is left. That the thread is being terminated,
 * so that JavaScript may not run, is no failure: results stay as they were, and all later calls end likewise.
 */
#define MUST(call) glue_must((call), __FILE__, __LINE__)

void glue_must(napi_status status, const char *file, int line);

/* The first `count` arguments; missing ones are undefined. */
void glue_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *out);

/* Text of at most `room - 1` bytes. False if it is no string or longer; an exception is pending then. */
bool glue_text(napi_env env, napi_value value, char *out, size_t room);

/* The bytes of a typed array; they do not move while it lives. Null with an exception pending if it is none. */
void *glue_array(napi_env env, napi_value value, size_t *bytes);

/* A property of an object. False with an exception pending if `object` is none. */
bool glue_property(napi_env env, napi_value object, const char *name, napi_value *out);

/* What an external holds. Null with an exception pending if it is none. */
void *glue_pointer(napi_env env, napi_value value);

uint32_t glue_uint32(napi_env env, napi_value value);
bool glue_boolean(napi_env env, napi_value value);
bool glue_is_undefined(napi_env env, napi_value value);
napi_value glue_number(napi_env env, double value);
napi_value glue_undefined(napi_env env);

/* Throws "WHAT: text of ERROR" with the errno's name as its code. */
void glue_throw_errno(napi_env env, const char *what, int error);

void glue_export(napi_env env, napi_value exports, const char *name, napi_callback function);

#endif

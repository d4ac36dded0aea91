#include "kernel_module.h"

#include "glue.h"
#include "kernel_steps.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* A run that is under way; `netns` and `steps` are copies. */
typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  bool elsewhere;
  char netns[PATH_MAX];
  uint8_t *steps;
  size_t length;
  kernel_outcome outcome;
} kernel_call;

static void execute(napi_env env, void *data) {
  (void)env;
  kernel_call *call = data;
  kernel_run(call->elsewhere ? call->netns : NULL, call->steps, call->length, &call->outcome);
}

static void set_text(napi_env env, napi_value object, const char *name, const char *text) {
  napi_value value = NULL;
  MUST(napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value));
  MUST(napi_set_named_property(env, object, name, value));
}

static napi_value outcome_object(napi_env env, const kernel_outcome *outcome) {
  napi_value object = NULL, buffer = NULL, replies = NULL;
  void *bytes = NULL;
  MUST(napi_create_object(env, &object));
  set_text(env, object, "code", outcome->error == 0 ? "" : uv_err_name(-outcome->error));
  set_text(env, object, "reason", outcome->error == 0 ? "" : strerror(outcome->error));
  set_text(env, object, "said", outcome->said);
  MUST(napi_set_named_property(env, object, "step", glue_number(env, outcome->step)));
  MUST(napi_create_arraybuffer(env, outcome->length, &bytes, &buffer));
  if (outcome->length > 0 && bytes != NULL) memcpy(bytes, outcome->replies, outcome->length);
  MUST(napi_create_typedarray(env, napi_uint8_array, outcome->length, buffer, 0, &replies));
  MUST(napi_set_named_property(env, object, "replies", replies));
  return object;
}

static void free_call(kernel_call *call) {
  free(call->outcome.replies);
  free(call->steps);
  free(call);
}

static void complete(napi_env env, napi_status status, void *data) {
  kernel_call *call = data;
  if (status == napi_ok) MUST(napi_resolve_deferred(env, call->deferred, outcome_object(env, &call->outcome)));
  MUST(napi_delete_async_work(env, call->work));
  free_call(call);
}

/* kernelRun(netns, steps): a promise of {code, reason, said, step, replies}. */
static napi_value run(napi_env env, napi_callback_info info) {
  napi_value arguments[2], promise = NULL, name = NULL;
  size_t length = 0;
  glue_arguments(env, info, 2, arguments);
  const uint8_t *steps = glue_array(env, arguments[1], &length);
  if (steps == NULL) return NULL;
  kernel_call *call = calloc(1, sizeof *call);
  if (call != NULL) call->steps = malloc(length + 1);
  if (call == NULL || call->steps == NULL) {
    free(call);
    MUST(napi_throw_error(env, "ENOMEM", "No memory is left for a request to the kernel."));
    return NULL;
  }
  memcpy(call->steps, steps, length);
  call->length = length;
  call->elsewhere = !glue_is_undefined(env, arguments[0]);
  if (call->elsewhere && !glue_text(env, arguments[0], call->netns, sizeof call->netns)) {
    free_call(call);
    return NULL;
  }
  MUST(napi_create_promise(env, &call->deferred, &promise));
  MUST(napi_create_string_utf8(env, "weave-ts kernel", NAPI_AUTO_LENGTH, &name));
  MUST(napi_create_async_work(env, NULL, name, execute, complete, call, &call->work));
  MUST(napi_queue_async_work(env, call->work));
  return promise;
}

/* networkNamespace(path): its inode number as a bigint; undefined if there is no network namespace. */
static napi_value network_namespace(napi_env env, napi_callback_info info) {
  napi_value argument, number = NULL;
  char path[PATH_MAX];
  glue_arguments(env, info, 1, &argument);
  if (!glue_text(env, argument, path, sizeof path)) return NULL;
  uint64_t inode = kernel_namespace(path);
  if (inode == 0) return glue_undefined(env);
  MUST(napi_create_bigint_uint64(env, inode, &number));
  return number;
}

void kernel_register(napi_env env, napi_value exports) {
  glue_export(env, exports, "kernelRun", run);
  glue_export(env, exports, "networkNamespace", network_namespace);
}

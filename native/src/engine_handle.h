/* An engine as JavaScript holds it. */
#ifndef WEAVE_ENGINE_HANDLE_H
#define WEAVE_ENGINE_HANDLE_H

#include "engine.h"

#include <node_api.h>

/* The engine in the first of `count` arguments; null with an exception pending if it is none. */
engine *engine_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *out);

void engine_register(napi_env env, napi_value exports);
void engine_register_configuration(napi_env env, napi_value exports);
void engine_register_plans(napi_env env, napi_value exports);

#endif

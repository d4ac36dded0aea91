#ifndef WEAVE_TAP_MODULE_H
#define WEAVE_TAP_MODULE_H

#include <node_api.h>

void tap_register(napi_env env, napi_value exports);

#endif
